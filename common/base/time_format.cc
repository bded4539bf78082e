#include "common/base/time_format.h"

#include <absl/time/time.h>

namespace mimeo {

std::string to_rfc3339(WallTime at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ",
                          absl::FromUnixMicros(at.time_since_epoch().count()), absl::UTCTimeZone());
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  absl::Time parsed;
  std::string error;
  const absl::string_view view(text.data(), text.size());
  if (!absl::ParseTime(absl::RFC3339_full, view, &parsed, &error) &&
      !absl::ParseTime("%Y-%m-%d", view, absl::UTCTimeZone(), &parsed, &error)) {
    return absl::InvalidArgumentError("not an RFC 3339 time: " + error);
  }
  if (parsed == absl::InfiniteFuture() || parsed == absl::InfinitePast()) {
    return absl::InvalidArgumentError("not an RFC 3339 time: infinite");
  }
  return WallTime{std::chrono::microseconds{absl::ToUnixMicros(parsed)}};
}

double to_seconds(std::chrono::microseconds duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

}  // namespace mimeo
