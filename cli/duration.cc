#include "cli/duration.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <cstdint>
#include <map>

namespace mimeo::cli {

Result<std::chrono::seconds> parse_duration(const std::string& text) {
  static const std::map<char, std::int64_t> kUnits = {
      {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}, {'w', 604'800}};
  std::int64_t count = 0;
  const auto unit = text.empty() ? kUnits.end() : kUnits.find(text.back());
  if (unit == kUnits.end() || !absl::SimpleAtoi(text.substr(0, text.size() - 1), &count) ||
      count <= 0 || count > 100'000) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", text, "` is no duration: write 30d, 12h, 90m, 45s or 2w"));
  }
  return std::chrono::seconds{count * unit->second};
}

}  // namespace mimeo::cli
