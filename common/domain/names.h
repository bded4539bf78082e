// Which names accounts, models and deployments may have: those that are valid in an image
// repository (OCI distribution 1.1, "name"): lower-case [a-z0-9] with single '.', '_' or '-'
// between.

#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.h"

namespace mimeo {

inline constexpr std::size_t kMaxNameLength = 128;

// OK, or kInvalidArgument that says which rule the name breaks.
[[nodiscard]] Status check_name(std::string_view name);

// "owner/name" -> both parts checked by check_name; kInvalidArgument otherwise.
[[nodiscard]] Result<std::pair<std::string, std::string>> split_model_name(std::string_view text);

}  // namespace mimeo
