#include "common/http/request_target.h"

#include <algorithm>

namespace mimeo::http {
namespace {

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

Status decode_segment(std::string_view raw, std::vector<std::string>& segments) {
  auto segment = percent_decode(raw);
  if (!segment) return absl::InvalidArgumentError("the path has a malformed percent escape");
  if (has_control(*segment)) {
    return absl::InvalidArgumentError("the path contains a control character");
  }
  if (*segment == "." || *segment == "..") {
    return absl::InvalidArgumentError("the path contains a \".\" or \"..\" segment");
  }
  if (!is_utf8(*segment)) return absl::InvalidArgumentError("the path is not UTF-8");
  segments.push_back(std::move(*segment));
  return absl::OkStatus();
}

Status parse_path(std::string_view raw, RequestHead& head) {
  std::string_view rest = raw.substr(1);
  while (!rest.empty()) {
    const auto slash = rest.find('/');
    MIMEO_RETURN_IF_ERROR(decode_segment(rest.substr(0, slash), head.segments));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (raw.find('%') == std::string_view::npos) {
    head.path = raw;
    return absl::OkStatus();
  }
  for (const std::string& segment : head.segments) (head.path += '/') += segment;
  if (raw.back() == '/') head.path += '/';
  return absl::OkStatus();
}

Result<std::string> decode_query_part(std::string_view raw) {
  std::string text(raw);
  std::replace(text.begin(), text.end(), '+', ' ');
  auto decoded = percent_decode(text);
  if (!decoded) return absl::InvalidArgumentError("the query has a malformed percent escape");
  if (!is_utf8(*decoded) || decoded->find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("the query is not UTF-8 text");
  }
  return *std::move(decoded);
}

Status parse_query(std::string_view raw, RequestHead& head) {
  while (!raw.empty()) {
    const auto end = raw.find('&');
    const std::string_view pair = raw.substr(0, end);
    raw.remove_prefix(end == std::string_view::npos ? raw.size() : end + 1);
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    MIMEO_ASSIGN_OR_RETURN(std::string key, decode_query_part(pair.substr(0, equals)));
    std::string value;
    if (equals != std::string_view::npos) {
      MIMEO_ASSIGN_OR_RETURN(value, decode_query_part(pair.substr(equals + 1)));
    }
    head.query.emplace_back(std::move(key), std::move(value));
  }
  return absl::OkStatus();
}

// The origin form of an absolute one; "" when it has no path at all.
std::string_view without_authority(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    const auto end = target.find_first_of("/?");
    return end == std::string_view::npos ? std::string_view{} : target.substr(end);
  }
  return target;
}

}  // namespace

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || i + length > text.size()) return false;
    unsigned int code = lead & (0xffU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0U) != 0x80U) return false;
      code = code << 6U | (next & 0x3fU);
    }
    if (length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) return false;
    if (length == 4 && (code < 0x10000 || code > 0x10ffff)) return false;
    i += length;
  }
  return true;
}

Status parse_target(RequestHead& head) {
  if (head.target == "*") {
    head.path = "*";
    return absl::OkStatus();
  }
  std::string_view rest = without_authority(head.target);
  rest = rest.substr(0, rest.find('#'));
  const auto question = rest.find('?');
  std::string_view path = rest.substr(0, question);
  if (path.empty() && rest.data() != head.target.data()) path = "/";
  if (!path.starts_with('/')) {
    return absl::InvalidArgumentError("the request target must begin with a slash");
  }
  MIMEO_RETURN_IF_ERROR(parse_path(path, head));
  if (question == std::string_view::npos) return absl::OkStatus();
  return parse_query(rest.substr(question + 1), head);
}

}  // namespace mimeo::http
