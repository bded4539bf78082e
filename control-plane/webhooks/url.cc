#include "control-plane/webhooks/url.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kLongestUrl = 4096;
constexpr std::size_t kLongestHost = 253;

Status wrong(const char* reason) { return absl::InvalidArgumentError(reason); }

bool is_host_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || byte >= 0x80 || c == '%';
}

Status read_host(std::string_view text, WebhookUrl& url) {
  const bool is_ipv6 = text.starts_with('[');
  if (is_ipv6) {
    const std::string_view inner = text.substr(1, text.size() - 2);
    const bool is_fine = text.size() > 3 && text.ends_with(']') &&
                         inner.find_first_not_of("0123456789abcdefABCDEF:.") == inner.npos;
    if (!is_fine) return wrong("the host is not an IPv6 address");
  } else {
    if (text.empty()) return wrong("it has no host");
    if (text.size() > kLongestHost) return wrong("the host is too long");
    if (!std::all_of(text.begin(), text.end(), is_host_character)) {
      return wrong("the host has characters that no host has");
    }
  }
  url.host.clear();
  for (const char c : text) {
    url.host += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return absl::OkStatus();
}

Status read_port(std::string_view text, WebhookUrl& url) {
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end || port == 0 || port > 65535) {
    return wrong("the port is not a number from 1 to 65535");
  }
  url.port = static_cast<std::uint16_t>(port);
  return absl::OkStatus();
}

}  // namespace

Result<WebhookUrl> parse_webhook_url(std::string_view text) {
  if (text.size() > kLongestUrl) return wrong("it is longer than 4096 characters");
  const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7F && c != '\\';
  });
  if (!is_plain) return wrong("blanks, control characters and backslashes must be encoded");
  WebhookUrl url;
  url.is_https = starts_with_ignoring_case(text, "https://");
  if (!url.is_https && !starts_with_ignoring_case(text, "http://")) {
    return wrong("it must begin with https:// or http://");
  }
  std::string_view authority = text.substr(text.find("//") + 2);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (const auto at = authority.rfind('@'); at != authority.npos) authority.remove_prefix(at + 1);
  const std::size_t host_end = authority.starts_with('[') ? authority.find(']') : 0;
  const std::size_t colon =
      host_end == authority.npos ? authority.npos : authority.find(':', host_end);
  MIMEO_RETURN_IF_ERROR(read_host(authority.substr(0, colon), url));
  url.port = url.is_https ? 443 : 80;
  if (colon != authority.npos && colon + 1 < authority.size()) {
    MIMEO_RETURN_IF_ERROR(read_port(authority.substr(colon + 1), url));
  }
  return url;
}

}  // namespace mimeo::control
