#include "common/http/response_head.h"

#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "common/http/wire.h"

namespace mimeo::http {
namespace {

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

// A value with a line end in it could smuggle in fields of its own.
void append_clean(std::string& out, std::string_view text) {
  const auto begin = out.size();
  out += text;
  for (auto i = begin; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
  }
}

bool is_ours(std::string_view name) {
  switch (name.size()) {
    case 4:
      return wire::equal_ignoring_case(name, "date");
    case 10:
      return wire::equal_ignoring_case(name, "connection");
    case 14:
      return wire::equal_ignoring_case(name, "content-length");
    case 17:
      return wire::equal_ignoring_case(name, "transfer-encoding");
    default:
      return false;
  }
}

}  // namespace

void append_head(std::string& out, const ResponseHead& head, const std::string& date) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(head.status));
  out += ' ';
  out += wire::as_std(
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(head.status)));
  out += "\r\nDate: ";
  out += date;
  out += "\r\n";
  for (const auto& [name, value] : head.fields->fields()) {
    if (is_ours(name)) continue;
    append_clean(out, name);
    out += ": ";
    append_clean(out, value);
    out += "\r\n";
  }
  if (head.is_chunked) out += "Transfer-Encoding: chunked\r\n";
  if (head.content_length) {
    out += "Content-Length: ";
    append_number(out, *head.content_length);
    out += "\r\n";
  }
  if (head.connection == ResponseHead::Connection::kClose) out += "Connection: close\r\n";
  if (head.connection == ResponseHead::Connection::kKeepAlive) out += "Connection: keep-alive\r\n";
  out += "\r\n";
}

Response problem_response(int status, std::string_view detail) {
  std::string escaped;
  for (const char c : detail) {  // Our own short texts: quotes and backslashes are all there is.
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  const auto title = wire::as_std(
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status)));
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/problem+json");
  response.body.append("{\"title\":\"").append(title).append("\",\"status\":");
  append_number(response.body, static_cast<std::uint64_t>(status));
  response.body.append(",\"detail\":\"").append(escaped).append("\"}");
  return response;
}

bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (wire::equal_ignoring_case(item, token)) return true;
  }
  return false;
}

}  // namespace mimeo::http
