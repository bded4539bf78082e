// What a search text is to every store: its words.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mimeo::store {

// Lower-case runs of ASCII letters and digits and of all other than ASCII characters, the first
// `limit` of them, each cut to 60 bytes at a character's boundary. No punctuation is left: safe
// inside of a tsquery and a LIKE pattern.
[[nodiscard]] std::vector<std::string> search_words(std::string_view text, std::size_t limit);

}  // namespace mimeo::store
