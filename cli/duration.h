// Durations as operators write them.

#pragma once

#include <chrono>
#include <string>

#include "common/base/status.h"

namespace mimeo::cli {

// "30d", "12h", "90m", "45s", "2w"; kInvalidArgument otherwise.
[[nodiscard]] Result<std::chrono::seconds> parse_duration(const std::string& text);

}  // namespace mimeo::cli
