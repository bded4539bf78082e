#include "common/base/time_format.h"

#include <absl/time/time.h>

#include <algorithm>
#include <string>

namespace mimeo {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "2026-03-01": '0' stands for any digit.
bool has_shape(std::string_view text, std::string_view shape) {
  if (text.size() != shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == '0' ? !is_digit(text[i]) : text[i] != shape[i]) return false;
  }
  return true;
}

// "12", "12:00", "12:00:00" or "12:00:00.5", with a point or a comma, as RFC 3339 has it; empty if
// it is none of them.
std::string full_time(std::string_view text) {
  const std::size_t point = text.find_first_of(".,");
  if (point != std::string_view::npos) {
    const std::string_view digits = text.substr(point + 1);
    for (const char c : digits) {
      if (!is_digit(c)) return {};
    }
    if (digits.empty() || !has_shape(text.substr(0, point), "00:00:00")) return {};
    return std::string(text.substr(0, point)).append(".").append(digits);
  }
  if (has_shape(text, "00")) return std::string(text).append(":00:00");
  if (has_shape(text, "00:00")) return std::string(text).append(":00");
  return has_shape(text, "00:00:00") ? std::string(text) : std::string();
}

// "", "Z", "+02", "+0200" or "+02:00", with any number of blanks before or, without a sign, at
// least one, as RFC 3339 has it; empty if it is none of them.
std::string full_offset(std::string_view text) {
  const std::size_t blanks = std::min(text.find_first_not_of(' '), text.size());
  if (text.empty()) return "Z";
  text.remove_prefix(blanks);
  if (text == "Z" || text == "z") return "Z";
  std::string sign = "+";  // A blank alone was one before the URL was decoded.
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    sign = text.front();
    text.remove_prefix(1);
  } else if (blanks == 0) {
    return {};
  }
  if (has_shape(text, "00")) return sign.append(text).append(":00");
  if (has_shape(text, "00:00")) return sign.append(text);
  if (!has_shape(text, "0000")) return {};
  return sign.append(text.substr(0, 2)).append(":").append(text.substr(2));
}

}  // namespace

std::string to_rfc3339(WallTime at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ",
                          absl::FromUnixMicros(at.time_since_epoch().count()), absl::UTCTimeZone());
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  absl::Time parsed;
  std::string error;
  const absl::string_view view(text.data(), text.size());
  if (!absl::ParseTime(absl::RFC3339_full, view, &parsed, &error) &&
      !absl::ParseTime("%Y-%m-%d", view, absl::UTCTimeZone(), &parsed, &error)) {
    return absl::InvalidArgumentError("not an RFC 3339 time: " + error);
  }
  if (parsed == absl::InfiniteFuture() || parsed == absl::InfinitePast()) {
    return absl::InvalidArgumentError("not an RFC 3339 time: infinite");
  }
  return WallTime{std::chrono::microseconds{absl::ToUnixMicros(parsed)}};
}

Result<WallTime> parse_iso8601(std::string_view text) {
  constexpr std::string_view kDate = "0000-00-00";
  const std::string_view date = text.substr(0, kDate.size());
  if (!has_shape(date, kDate) || text.size() == kDate.size()) return parse_rfc3339(text);
  text.remove_prefix(kDate.size());
  if (text.front() != 'T' && text.front() != 't' && text.front() != ' ') {
    return absl::InvalidArgumentError("not an ISO 8601 time: no T after the date");
  }
  text.remove_prefix(1);
  const std::size_t end = std::min(text.find_first_not_of("0123456789:.,"), text.size());
  const std::string time = full_time(text.substr(0, end));
  const std::string offset = full_offset(text.substr(end));
  if (time.empty()) return absl::InvalidArgumentError("not an ISO 8601 time: no time of day");
  if (offset.empty()) return absl::InvalidArgumentError("not an ISO 8601 time: no such offset");
  return parse_rfc3339(std::string(date).append("T").append(time).append(offset));
}

double to_seconds(std::chrono::microseconds duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

}  // namespace mimeo
