// Uploads: one byte for the size of the pieces, "Content-Type NUL body". The parts must not depend
// on how the bytes were cut.

#include <nlohmann/json.hpp>
#include <tuple>
#include <vector>

#include "control-plane/api/file_metadata.h"
#include "control-plane/http/multipart.h"
#include "fuzz/fuzz.h"

namespace {

using namespace mimeo;
using namespace mimeo::control;

class Parts final : public PartSink {
 public:
  Status begin_part(PartHead head) override {
    MIMEO_FUZZ_CLAIM(!is_open_);
    is_open_ = true;
    parts_.emplace_back(std::move(head.name), head.filename.value_or(""), head.content_type, "");
    return absl::OkStatus();
  }
  Status part_data(std::string_view data) override {
    MIMEO_FUZZ_CLAIM(is_open_);
    std::get<3>(parts_.back()).append(data);
    return absl::OkStatus();
  }
  Status end_part() override {
    MIMEO_FUZZ_CLAIM(is_open_);
    is_open_ = false;
    const auto& [name, filename, type, content] = parts_.back();
    // What a client does not mean as metadata is not taken for it; what is taken can be stored.
    if (name == "metadata" && !metadata_.set_text(content).ok()) return absl::OkStatus();
    if (name.starts_with("metadata[")) (void)metadata_.add_field(name, content);
    MIMEO_FUZZ_CLAIM(nlohmann::json::parse(metadata_.json()).is_object());
    return absl::OkStatus();
  }
  std::vector<std::tuple<std::string, std::string, std::string, std::string>> parts_;

 private:
  bool is_open_ = false;
  FileMetadata metadata_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::size_t piece = 1 + input.byte();
  const auto boundary = multipart_boundary(input.field());
  if (!boundary) return 0;
  Parts at_once;
  MultipartParser whole(*boundary, at_once);
  Status first = whole.feed(input.rest());
  if (first.ok()) first = whole.finish();
  Parts cut;
  MultipartParser parser(*boundary, cut);
  Status second;
  fuzz::in_pieces(input.rest(), piece, [&](std::string_view bytes) {
    if (second.ok()) second = parser.feed(bytes);
  });
  if (second.ok()) second = parser.finish();
  MIMEO_FUZZ_CLAIM(first.ok() == second.ok());
  if (first.ok()) MIMEO_FUZZ_CLAIM(at_once.parts_ == cut.parts_);
  return 0;
}
