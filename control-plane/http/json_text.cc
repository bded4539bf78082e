#include "control-plane/http/json_text.h"

#include <nlohmann/json.hpp>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

// One pass before the parser: the parser's own tree must never become so deep that walking it
// overflows the stack.
Status prescan(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '"') in_string = false;
      if (c != '\\') continue;
      if (text.substr(i + 1, 5) == "u0000") {
        return absl::OutOfRangeError("strings must not contain the NUL character");
      }
      ++i;  // The escaped character, which may be a quote.
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) {
        return absl::InvalidArgumentError(
            concat("the JSON is nested more than ", kMaxJsonDepth, " levels deep"));
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return absl::OkStatus();
}

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text) {
  MIMEO_RETURN_IF_ERROR(prescan(text));
  nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
  if (!value.is_discarded()) return value;
  try {
    // Again, for the message: the first attempt avoids exceptions for what is fine.
    value = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    std::string_view what = e.what();
    if (const auto bracket = what.find("] "); bracket != std::string_view::npos) {
      what.remove_prefix(bracket + 2);
    }
    return absl::InvalidArgumentError(concat("the body is not valid JSON: ", what));
  }
  return absl::InvalidArgumentError("the body is not valid JSON");
}

}  // namespace mimeo::control
