// What may be stored as text: Postgres takes only valid UTF-8 without NUL bytes, and models write
// whatever they like to their logs.

#pragma once

#include <string>
#include <string_view>

namespace mimeo::store {

// Whether `text` is valid UTF-8 without NUL.
[[nodiscard]] bool is_storable(std::string_view text);

// `text` with U+FFFD in place of each NUL and of each malformed sequence.
[[nodiscard]] std::string sanitize_text(std::string_view text);

}  // namespace mimeo::store
