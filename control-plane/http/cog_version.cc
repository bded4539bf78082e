#include "control-plane/http/cog_version.h"

#include <algorithm>
#include <array>
#include <regex>

namespace mimeo::control {
namespace {

constexpr std::size_t kLongest = 64;
constexpr std::array<std::string_view, 3> kOldest{"0", "3", "9"};

// PEP 440, appendix B: [N!]N(.N)*[{a|b|rc}N][.postN][.devN][+local], in all accepted spellings.
// Captures the epoch, the release, what comes before it, and the development release.
const std::regex& python_version() {
  static const std::regex pattern(
      "v?(?:([0-9]+)!)?([0-9]+(?:\\.[0-9]+)*)"
      "([-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?[0-9]*)?"
      "(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?"
      "([-_.]?dev[-_.]?[0-9]*)?"
      "(?:\\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?",
      std::regex::icase);
  return pattern;
}

std::string_view without_zeros(std::string_view digits) {
  const std::size_t first = digits.find_first_not_of('0');
  return first == std::string_view::npos ? "0" : digits.substr(first);
}

// Like <=>, of numbers of any length.
int compare(std::string_view a, std::string_view b) {
  a = without_zeros(a);
  b = without_zeros(b);
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

// "1.2" is 1.2.0.
int compare_with_oldest(std::string_view release) {
  for (const std::string_view oldest : kOldest) {
    const std::size_t dot = std::min(release.find('.'), release.size());
    const int order = compare(dot == 0 ? "0" : release.substr(0, dot), oldest);
    if (order != 0) return order;
    release.remove_prefix(std::min(dot + 1, release.size()));
  }
  return release.find_first_not_of("0.") == std::string_view::npos ? 0 : 1;
}

}  // namespace

std::string shown_cog_version(std::string_view label) {
  const std::string text(label.substr(0, kLongest + 1));
  std::smatch parts;
  if (text.size() > kLongest || !std::regex_match(text, parts, python_version())) {
    return kOldestCog;
  }
  const bool has_epoch = without_zeros(parts[1].str()) != "0" && parts[1].matched;
  const int order = compare_with_oldest(parts[2].str());
  const bool is_before_release = parts[3].matched || parts[4].matched;
  const bool is_older = order < 0 || (order == 0 && is_before_release);
  return is_older && !has_epoch ? kOldestCog : text;
}

}  // namespace mimeo::control
