// Takes a request's target apart: path, segments, query. Refuses what no handler should see.
// Private to this folder.

#pragma once

#include "common/base/status.h"
#include "common/http/message.h"

namespace mimeo::http {

// Fills path, segments and query from head.target, which is in origin form ("/a?b"), absolute form
// ("http://host/a?b") or "*". kInvalidArgument with a short reason for bad percent escapes, control
// characters, "." and ".." segments, and bytes that are not UTF-8, encoded or not.
//
// "/" has no segments; a slash at the end makes none; "//" makes an empty one. In the query '+' is
// a space.
[[nodiscard]] Status parse_target(RequestHead& head);

// Valid UTF-8: no overlong forms, surrogates or values above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace mimeo::http
