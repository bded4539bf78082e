#include "control-plane/http/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace mimeo::control {
namespace {

constexpr std::size_t kManyBuckets = 50'000;

}  // namespace

std::int64_t RateLimiter::per_minute(RateKind kind) const {
  switch (kind) {
    case RateKind::kCreatePrediction:
      return limits_.create_prediction;
    case RateKind::kReadPrediction:
      return limits_.read_prediction;
    case RateKind::kOther:
      return limits_.other;
    case RateKind::kNone:
      break;
  }
  return 0;
}

RateDecision RateLimiter::take(AccountId account, RateKind kind) {
  const std::int64_t limit = per_minute(kind);
  if (limit <= 0) return {};
  const SteadyTime now = clock_.steady();
  const double size = static_cast<double>(limit);
  const double per_second = size / 60.0;
  if (buckets_.size() > kManyBuckets) forget_full_buckets(now);

  auto [it, is_new] = buckets_.try_emplace({account, kind}, Bucket{size, now});
  Bucket& bucket = it->second;
  const double elapsed = std::chrono::duration<double>(now - bucket.filled_at).count();
  bucket.tokens = std::min(size, bucket.tokens + elapsed * per_second);
  bucket.filled_at = now;

  RateDecision decision;
  decision.is_limited = true;
  decision.is_allowed = bucket.tokens >= 1.0;
  if (decision.is_allowed) {
    bucket.tokens -= 1.0;
  } else {
    decision.retry_after_s =
        static_cast<std::int64_t>(std::max(1.0, std::ceil((1.0 - bucket.tokens) / per_second)));
  }
  decision.remaining = static_cast<std::int64_t>(bucket.tokens);
  decision.reset_s = static_cast<std::int64_t>(std::ceil((size - bucket.tokens) / per_second));
  return decision;
}

void RateLimiter::forget_full_buckets(SteadyTime now) {
  // A bucket that nobody used for a minute is full: the same as none.
  std::erase_if(buckets_, [&](const auto& entry) {
    return now - entry.second.filled_at >= std::chrono::minutes(1);
  });
}

}  // namespace mimeo::control
