#include "worker/files/data_url.h"

#include <utility>

#include "common/base/file_names.h"
#include "common/crypto/crypto.h"
#include "common/http/message.h"
#include "worker/text.h"

namespace mimeo::worker {

std::optional<DataUrl> parse_data_url(std::string_view url) {
  constexpr std::string_view kScheme = "data:";
  if (!starts_with_any_case(url, kScheme)) return std::nullopt;
  const std::size_t comma = url.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  std::string_view head = url.substr(kScheme.size(), comma - kScheme.size());
  const std::string_view body = url.substr(comma + 1);
  DataUrl out;
  bool is_base64 = false;
  const std::size_t semicolon = head.find(';');
  out.content_type = to_lower(head.substr(0, semicolon));
  if (out.content_type.empty()) out.content_type = "text/plain";
  while (!head.empty()) {
    const std::size_t end = head.find(';');
    if (to_lower(head.substr(0, end)) == "base64") is_base64 = true;
    if (end == std::string_view::npos) break;
    head.remove_prefix(end + 1);
  }
  // Base64 in a URL may be percent-encoded, too ("%3D"); its own alphabet has no '%'.
  std::optional<std::string> decoded;
  if (body.find('%') != std::string_view::npos) {
    decoded = http::percent_decode(body);
    if (!decoded) return std::nullopt;
  }
  const std::string_view text = decoded ? std::string_view(*decoded) : body;
  if (!is_base64) {
    out.content = std::string(text);
    return out;
  }
  auto content = crypto::base64_decode(text);
  if (!content) return std::nullopt;
  out.content = std::move(*content);
  return out;
}

std::string make_data_url(std::string_view content_type, std::string_view content) {
  return "data:" + std::string(content_type) + ";base64," + crypto::base64(content);
}

std::string filename_of_url(std::string_view url) {
  std::string_view path = url.substr(0, url.find_first_of("?#"));
  if (const std::size_t scheme = path.find("://"); scheme != std::string_view::npos) {
    path.remove_prefix(scheme + 3);
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos) return "file";
    path.remove_prefix(slash);
  }
  const std::string_view last = path.substr(path.rfind('/') + 1);
  return harmless_file_name(http::percent_decode(last).value_or(std::string(last)));
}

}  // namespace mimeo::worker
