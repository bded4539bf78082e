// The grammar of the two headers that a create may carry: `Prefer` and `Cancel-After`.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::control {

// `Prefer: wait` or `wait=N` (RFC 7240).
struct SyncWait {
  std::chrono::milliseconds limit;  // For how long the answer is held back.
  std::string applied;              // For `Preference-Applied`: "wait" or "wait=10".
};

// Held back at most this long: some clients give up 60 s after they began, and would repeat the
// create.
inline constexpr std::chrono::milliseconds kLongestWait{58'000};

// nullopt when no waiting is asked for. Unknown preferences and malformed numbers are ignored,
// numbers are clamped to [1, 60].
[[nodiscard]] std::optional<SyncWait> parse_prefer(std::string_view header);

// "90", "90s", "5m", "1h30m45s": kInvalidArgument for anything else and outside of [5 s, 24 h].
[[nodiscard]] Result<std::chrono::milliseconds> parse_cancel_after(std::string_view header);

}  // namespace mimeo::control
