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
// The times of the API's parameters: what parse_rfc3339() takes, and ISO 8601 as programs write it:
// without an offset (UTC then), without seconds or minutes, with a comma for the point, with a
// blank before the time or the offset, and with a blank where a '+' was that nobody encoded.
// kInvalidArgument otherwise.
[[nodiscard]] Result<WallTime> parse_iso8601(std::string_view text);
// Seconds as a double, for `metrics` and Prometheus.
[[nodiscard]] double to_seconds(std::chrono::microseconds duration);

}  // namespace mimeo
