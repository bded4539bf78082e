#include "control-plane/http/preferences.h"

#include <algorithm>
#include <cstdint>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::int64_t kShortestDeadline = 5;
constexpr std::int64_t kLongestDeadline = 24 * 3600;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "1h30m45s" with each part at most once and in this order, or a bare number of seconds.
std::optional<std::int64_t> parse_duration(std::string_view text) {
  constexpr std::string_view kUnits = "hms";
  constexpr std::int64_t kSeconds[] = {3600, 60, 1};
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  bool has_parts = false;
  while (!text.empty()) {
    std::size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (digits == 0 || digits > 9) return std::nullopt;
    const std::int64_t number = parse_number<std::int64_t>(text.substr(0, digits)).value_or(0);
    text.remove_prefix(digits);
    if (text.empty()) {  // A bare number stands alone.
      if (has_parts) return std::nullopt;
      return number;
    }
    const std::size_t unit = kUnits.find(text.front(), next_unit);
    if (unit == std::string_view::npos) return std::nullopt;
    total += number * kSeconds[unit];
    next_unit = unit + 1;
    has_parts = true;
    text.remove_prefix(1);
  }
  if (!has_parts) return std::nullopt;
  return total;
}

}  // namespace

std::optional<SyncWait> parse_prefer(std::string_view header) {
  for (std::string_view preference : split(header, ",")) {
    preference = trimmed(preference.substr(0, preference.find(';')));
    const auto equals = preference.find('=');
    if (!equals_ignoring_case(trimmed(preference.substr(0, equals)), "wait")) {
      continue;
    }
    if (equals == std::string_view::npos) return SyncWait{.limit = kLongestWait, .applied = "wait"};
    std::string_view number = trimmed(preference.substr(equals + 1));
    if (number.size() >= 2 && number.front() == '"' && number.back() == '"') {
      number = number.substr(1, number.size() - 2);
    }
    if (number.empty() || !std::all_of(number.begin(), number.end(), is_digit)) continue;
    // More digits than fit count as 60.
    const std::int64_t seconds =
        std::clamp<std::int64_t>(parse_number<std::int64_t>(number).value_or(60), 1, 60);
    return SyncWait{
        .limit = std::min<std::chrono::milliseconds>(std::chrono::seconds(seconds), kLongestWait),
        .applied = concat("wait=", seconds)};
  }
  return std::nullopt;
}

Result<std::chrono::milliseconds> parse_cancel_after(std::string_view header) {
  const std::optional<std::int64_t> seconds = parse_duration(trimmed(header));
  if (!seconds) {
    return absl::InvalidArgumentError(
        "Cancel-After must be a duration such as \"30\", \"90s\", \"5m\" or \"1h30m45s\"");
  }
  if (*seconds < kShortestDeadline || *seconds > kLongestDeadline) {
    return absl::InvalidArgumentError("Cancel-After must be between 5 seconds and 24 hours");
  }
  return std::chrono::milliseconds(*seconds * 1000);
}

}  // namespace mimeo::control
