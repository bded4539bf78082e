// Wall times as text: RFC 3339 in UTC with six fractional digits, as the public API shows them.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace mimeo {

// "2026-03-01T12:00:00.000000Z".
[[nodiscard]] std::string to_rfc3339(WallTime at);
// RFC 3339 with 'Z' or an offset, any number of fractional digits; a bare date is midnight UTC.
// kInvalidArgument otherwise.
[[nodiscard]] Result<WallTime> parse_rfc3339(std::string_view text);
// Seconds as a double, for `metrics` and Prometheus.
[[nodiscard]] double to_seconds(std::chrono::microseconds duration);

}  // namespace mimeo
