// The few questions about text that the worker asks in several places and the standard library does
// not answer.

#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

// "a::b" at ':' is "a", "", "b": as many parts as separators, and one.
[[nodiscard]] inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (std::size_t end = 0; (end = text.find(separator)) != std::string_view::npos;) {
    out.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  out.push_back(text);
  return out;
}
// What lies between blanks and ends of lines.
[[nodiscard]] inline std::vector<std::string> words(std::string_view text) {
  constexpr std::string_view kBlank = " \t\n";
  std::vector<std::string> out;
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
    if (text.empty()) return out;
    const std::size_t end = std::min(text.find_first_of(kBlank), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}
// All of the text as a decimal number that fits.
template <class Number>
[[nodiscard]] std::optional<Number> to_number(std::string_view text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace mimeo::worker
