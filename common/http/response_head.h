// Writes the head of a response. Private to this folder.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/http/message.h"

namespace mimeo::http {

// What the server decides about a response's head, beside the handler's fields.
struct ResponseHead {
  int status = 200;
  const Headers* fields = nullptr;  // Content-Length, Transfer-Encoding and Date in it are skipped.
  std::optional<std::uint64_t> content_length;
  bool is_chunked = false;
  enum class Connection { kDefault, kClose, kKeepAlive } connection = Connection::kDefault;
};

// Appends the status line, the fields and the empty line. Line ends in values become blanks.
void append_head(std::string& out, const ResponseHead& head, const std::string& date);

// "application/problem+json" with this status and reason.
[[nodiscard]] Response problem_response(int status, std::string_view detail);

// 1xx, 204 and 304 never have a body.
[[nodiscard]] inline bool may_have_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

// Whether a comma-separated field value contains `token`, without case.
[[nodiscard]] bool has_token(std::string_view list, std::string_view token);

}  // namespace mimeo::http
