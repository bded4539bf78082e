// "data:" URLs in inputs, and the file names that are made of URLs. "data URL", or "schema NUL
// input" for where files are looked for.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "worker/cog/model_schema.h"
#include "worker/files/data_url.h"
#include "worker/files/file_fields.h"

namespace {

using namespace mimeo;
using namespace mimeo::worker;

void check_name(const std::string& name) {
  MIMEO_FUZZ_CLAIM(!name.empty() && name.size() <= 100 && name.front() != '.');
  MIMEO_FUZZ_CLAIM(std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  }));
}

void check_url(std::string_view url) {
  check_name(filename_of_url(url));
  check_name(harmless_filename(url));
  (void)content_type_of(url);
  const auto parsed = parse_data_url(url);
  if (!parsed) return;
  (void)extension_of(parsed->content_type);
  const auto again = parse_data_url(make_data_url("image/png", parsed->content));
  MIMEO_FUZZ_CLAIM(again && again->content == parsed->content &&
                   again->content_type == "image/png");
}

void check_fields(std::string_view schema, std::string_view text) {
  const auto fields = FileFields::parse(schema, false);
  (void)cog::ModelSchema::parse(schema, cog::RunKind::kPrediction);
  nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
  if (value.is_discarded()) return;
  const auto visit = [](std::string& found, FileFields::Declared) {
    check_url(found);
    return absl::OkStatus();
  };
  if (value.is_object()) (void)fields->visit_input(value, visit);
  (void)fields->visit_output(value, visit);
  (void)fields->visit_output_item(value, visit);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string_view first = input.field();
  check_url(first);
  if (first.size() < size) check_fields(first, input.rest());
  return 0;
}
