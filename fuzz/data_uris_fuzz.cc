// "data:" URLs in inputs, and the file names that are made of URLs. "data URL", or "schema NUL
// input" for where files are looked for.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/file_names.h"
#include "common/store/text.h"
#include "fuzz/fuzz.h"
#include "worker/cog/model_schema.h"
#include "worker/files/data_url.h"
#include "worker/files/file_fields.h"

namespace {

using namespace mimeo;
using namespace mimeo::worker;

void check_name(const std::string& name) {
  MIMEO_FUZZ_CLAIM(!name.empty() && name.size() <= kLongestFileName && name.front() != '.');
  MIMEO_FUZZ_CLAIM(store::is_storable(name));
  MIMEO_FUZZ_CLAIM(std::none_of(name.begin(), name.end(),
                                [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '/'; }));
}

void check_url(std::string_view url) {
  check_name(filename_of_url(url));
  check_name(harmless_file_name(url));
  (void)type_of_file_name(url);
  (void)checked_content_type(url);
  const auto parsed = parse_data_url(url);
  if (!parsed) return;
  (void)ending_of_type(parsed->content_type);
  const auto again = parse_data_url(make_data_url("image/png", parsed->content));
  MIMEO_FUZZ_CLAIM(again && again->content == parsed->content &&
                   again->content_type == "image/png");
}

void check_fields(std::string_view schema, std::string_view text) {
  const auto fields = FileFields::parse(schema, false);
  const auto model = cog::ModelSchema::parse(schema, cog::RunKind::kPrediction);
  const std::string known = cog::without_unknown(std::string(text), model);
  nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
  if (value.is_discarded()) return;
  // The parser takes a mark before the text, and a NUL for its end.
  const bool is_plain = text.front() == '{' && text.find('\0') == std::string_view::npos;
  if (value.is_object() && model.inputs && is_plain) {
    nlohmann::json expected = nlohmann::json::object();
    for (const auto& [name, member] : value.items()) {
      if (model.inputs->contains(name)) expected[name] = member;
    }
    MIMEO_FUZZ_CLAIM(nlohmann::json::parse(known, nullptr, false) == expected);
  }
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
