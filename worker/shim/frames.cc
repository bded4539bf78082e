#include "worker/shim/frames.h"

#include <absl/strings/str_cat.h>

#include <cstddef>
#include <cstdint>

namespace mimeo::worker {
namespace {

constexpr std::size_t kHeader = 4;
constexpr std::size_t kLongest = 256U << 20U;  // Inputs and outputs are far smaller.

}  // namespace

void append_message_frame(std::string& out, const google::protobuf::MessageLite& message) {
  const std::size_t length = message.ByteSizeLong();
  const std::size_t at = out.size();
  out.resize(at + kHeader + length);
  for (std::size_t i = 0; i < kHeader; ++i) {
    out[at + i] = static_cast<char>(length >> (8 * (kHeader - 1 - i)));
  }
  message.SerializeWithCachedSizesToArray(
      reinterpret_cast<std::uint8_t*>(out.data() + at + kHeader));
}

Result<std::optional<std::string>> FrameSplitter::next() {
  const std::string_view rest = std::string_view(buffer_).substr(begin_);
  std::size_t length = 0;
  for (std::size_t i = 0; i < kHeader && rest.size() >= kHeader; ++i) {
    length = length << 8U | static_cast<unsigned char>(rest[i]);
  }
  if (length > kLongest) return absl::InvalidArgumentError(absl::StrCat("a frame of ", length));
  if (rest.size() < kHeader || rest.size() < kHeader + length) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    return std::optional<std::string>();
  }
  begin_ += kHeader + length;
  return std::optional<std::string>(rest.substr(kHeader, length));
}

}  // namespace mimeo::worker
