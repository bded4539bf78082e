// What is said of a file operation that failed, and writing all of a text.

#pragma once

#include <string_view>

#include "common/base/status.h"

namespace mimeo {

// "`what`: No such file or directory" of an errno: kNotFound, kResourceExhausted (no room on the
// disk), else kInternal.
[[nodiscard]] Status from_errno(int error, std::string_view what);

// All of `data` at the descriptor's position, also when the system takes it in pieces. from_errno()
// of the piece that failed.
[[nodiscard]] Status write_all(int fd, std::string_view data, std::string_view what);

}  // namespace mimeo
