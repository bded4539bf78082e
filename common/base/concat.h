// Texts made of texts, characters and numbers. (Abseil's StrCat, as the distribution builds it,
// does not know std::string_view.)

#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace mimeo {

inline void append_piece(std::string& out, std::string_view piece) { out.append(piece); }
inline void append_piece(std::string& out, char piece) { out.push_back(piece); }
template <std::integral T>
requires(!std::same_as<T, char> && !std::same_as<T, bool>) void append_piece(std::string& out,
                                                                             T number) {
  out.append(std::to_string(number));
}

// Texts, characters and integers one after the other.
template <class... Piece>
[[nodiscard]] std::string concat(const Piece&... piece) {
  std::string out;
  (append_piece(out, piece), ...);
  return out;
}

}  // namespace mimeo
