// The few questions about text that the worker asks in several places and the standard library does
// not answer.

#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace mimeo::worker {

[[nodiscard]] inline char lower_ascii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
[[nodiscard]] inline std::string to_lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower_ascii);
  return out;
}
[[nodiscard]] inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}
// Schemes and parameters: "HTTP://" is "http://".
[[nodiscard]] inline bool starts_with_any_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && to_lower(text.substr(0, lower.size())) == lower;
}

}  // namespace mimeo::worker
