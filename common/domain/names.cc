#include "common/domain/names.h"

namespace mimeo {

Status check_name(std::string_view name) {
  if (name.empty()) return absl::InvalidArgumentError("a name must not be empty");
  if (name.size() > kMaxNameLength) {
    return absl::InvalidArgumentError("a name must not be longer than 128 characters");
  }
  bool after_separator = true;  // A name starts with a letter or digit.
  for (const char c : name) {
    const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!alphanumeric && (after_separator || (c != '.' && c != '_' && c != '-'))) {
      return absl::InvalidArgumentError(
          "a name has lower-case letters and digits, with single '.', '_' or '-' between them");
    }
    after_separator = !alphanumeric;
  }
  if (after_separator) return absl::InvalidArgumentError("a name must end with a letter or digit");
  return absl::OkStatus();
}

Result<std::pair<std::string, std::string>> split_model_name(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return absl::InvalidArgumentError("a model is named owner/name");
  }
  const std::string_view owner = text.substr(0, slash);
  const std::string_view name = text.substr(slash + 1);
  MIMEO_RETURN_IF_ERROR(with_context(check_name(owner), "owner"));
  MIMEO_RETURN_IF_ERROR(with_context(check_name(name), "name"));
  return std::pair{std::string(owner), std::string(name)};
}

}  // namespace mimeo
