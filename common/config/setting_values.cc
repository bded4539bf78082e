#include <absl/strings/numbers.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "common/config/settings.h"

namespace mimeo::config_values {

namespace {

absl::string_view as_absl(std::string_view text) { return {text.data(), text.size()}; }

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

Status bad(std::string_view text, const std::string& expected) {
  return absl::InvalidArgumentError("\"" + std::string(text) + "\" is not " + expected);
}

}  // namespace

Status read(std::string_view text, std::string* out) {
  *out = text;
  return absl::OkStatus();
}

Status read(std::string_view text, bool* out) {
  for (const std::string_view word : {"true", "yes", "on", "1"}) {
    if (text == word) {
      *out = true;
      return absl::OkStatus();
    }
  }
  for (const std::string_view word : {"false", "no", "off", "0"}) {
    if (text == word) {
      *out = false;
      return absl::OkStatus();
    }
  }
  return bad(text, "true or false");
}

Status read(std::string_view text, double* out) {
  double value = 0;
  if (!absl::SimpleAtod(as_absl(text), &value) || !std::isfinite(value)) {
    return bad(text, "a number");
  }
  *out = value;
  return absl::OkStatus();
}

Status read(std::string_view text, std::vector<std::string>* out) {
  out->clear();
  while (true) {
    const auto comma = text.find(',');
    const std::string_view item = trimmed(text.substr(0, comma));
    if (!item.empty()) out->emplace_back(item);
    if (comma == std::string_view::npos) return absl::OkStatus();
    text.remove_prefix(comma + 1);
  }
}

Status read_integer(std::string_view text, std::int64_t lowest, std::int64_t highest,
                    std::int64_t* out) {
  std::int64_t value = 0;
  if (!absl::SimpleAtoi(as_absl(text), &value) || value < lowest || value > highest) {
    return bad(text,
               "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest));
  }
  *out = value;
  return absl::OkStatus();
}

Status read(std::string_view text, std::uint64_t* out) {
  std::uint64_t value = 0;
  if (!absl::SimpleAtoi(as_absl(text), &value)) return bad(text, "a whole number from 0 on");
  *out = value;
  return absl::OkStatus();
}

namespace {

// A century is enough for every duration, and keeps sums of them from overflowing.
template <class Duration>
Status read_duration(std::string_view text, const char* unit, Duration* out) {
  constexpr std::int64_t kLongest =
      std::chrono::duration_cast<Duration>(std::chrono::hours(24 * 36'525)).count();
  std::int64_t value = 0;
  if (!absl::SimpleAtoi(as_absl(text), &value) || value < 0 || value > kLongest) {
    return bad(text, std::string("a whole number of ") + unit);
  }
  *out = Duration(value);
  return absl::OkStatus();
}

}  // namespace

Status read(std::string_view text, std::chrono::seconds* out) {
  return read_duration(text, "seconds", out);
}
Status read(std::string_view text, std::chrono::milliseconds* out) {
  return read_duration(text, "milliseconds", out);
}

std::string show(const std::string& value) { return value; }
std::string show(bool value) { return value ? "true" : ""; }
std::string show(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", value);
  return buffer;
}
std::string show(const std::vector<std::string>& value) {
  std::string out;
  for (const auto& item : value) out += (out.empty() ? "" : ",") + item;
  return out;
}

}  // namespace mimeo::config_values
