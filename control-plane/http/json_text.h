// From untrusted JSON text to a value: size is limited by whoever read it, depth and content here.

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::control {

inline constexpr int kMaxJsonDepth = 128;

// kInvalidArgument says what is wrong and where: not JSON, not UTF-8, nested too deeply.
// kOutOfRange for a NUL character in a string ("\u0000"): no database text can hold it.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text);

}  // namespace mimeo::control
