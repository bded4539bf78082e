#include "control-plane/http/cog_version.h"

#include <regex>

namespace mimeo::control {
namespace {

constexpr std::size_t kLongest = 64;

// PEP 440, appendix B: [N!]N(.N)*[{a|b|rc}N][.postN][.devN][+local], in all accepted spellings.
bool is_python_version(std::string_view text) {
  static const std::regex pattern(
      "v?([0-9]+!)?[0-9]+(\\.[0-9]+)*"
      "([-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?[0-9]*)?"
      "(-[0-9]+|[-_.]?(post|rev|r)[-_.]?[0-9]*)?"
      "([-_.]?dev[-_.]?[0-9]*)?"
      "(\\+[a-z0-9]+([-_.][a-z0-9]+)*)?",
      std::regex::icase);
  return text.size() <= kLongest && std::regex_match(text.begin(), text.end(), pattern);
}

}  // namespace

std::string shown_cog_version(std::string_view label) {
  return is_python_version(label) ? std::string(label) : kUnknownCog;
}

}  // namespace mimeo::control
