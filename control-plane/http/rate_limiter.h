// Token buckets per account and kind of call, in the memory of this process: with N control planes
// an account gets N times as much, which is meant as protection, not as billing.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "control-plane/http/router.h"

namespace mimeo::control {

// Calls a minute; also the size of the burst. 0 = no limit.
struct RateLimits {
  std::int64_t create_prediction = 600;
  std::int64_t read_prediction = 60'000;
  std::int64_t other = 3'000;
};

struct RateDecision {
  bool is_limited = false;  // This kind has a limit: show the headers.
  bool is_allowed = true;
  std::int64_t remaining = 0;      // Calls left at once.
  std::int64_t reset_s = 0;        // Until the bucket is full again, rounded up.
  std::int64_t retry_after_s = 0;  // When refused: until the next call may be made, rounded up.
};

// Lives on the HTTP thread.
class RateLimiter {
 public:
  RateLimiter(const Clock& clock, RateLimits limits) : clock_(clock), limits_(limits) {}
  // Takes one call from the account's bucket of this kind.
  RateDecision take(AccountId account, RateKind kind);

 private:
  struct Bucket {
    double tokens = 0;
    SteadyTime filled_at;
  };
  [[nodiscard]] std::int64_t per_minute(RateKind kind) const;
  void forget_full_buckets(SteadyTime now);

  const Clock& clock_;
  const RateLimits limits_;
  std::map<std::pair<AccountId, RateKind>, Bucket> buckets_;
};

}  // namespace mimeo::control
