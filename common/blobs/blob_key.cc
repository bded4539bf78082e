#include "common/blobs/blob_key.h"

#include <algorithm>
#include <string>

namespace mimeo::blobs {

namespace {

bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool is_segment(std::string_view text) {
  return !text.empty() && text.size() <= 255 && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), is_key_char);
}

}  // namespace

Status check_key(std::string_view key) {
  const Status bad =
      absl::InvalidArgumentError("\"" + std::string(key.substr(0, 100)) + "\" is no blob key");
  if (key.size() > 1'000) return bad;
  while (true) {
    const auto slash = key.find('/');
    if (!is_segment(key.substr(0, slash))) return bad;
    if (slash == std::string_view::npos) return absl::OkStatus();
    key.remove_prefix(slash + 1);
  }
}

std::string content_key(const Uuid& id) {
  const std::string text = id.str();
  return std::string(kContentPrefix) + "/" + text.substr(0, 6) + "/" + text.substr(6);
}

std::string lowest_content_key(WallTime at) { return content_key(Uuid::lowest_at(at)); }

}  // namespace mimeo::blobs
