#include "control-plane/http/rate_limiter.h"

#include <algorithm>
#include <cmath>

#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr BucketSize kLookUps{.per_minute = 180, .burst = 3};

BucketSize same(std::int64_t per_minute) { return {per_minute, per_minute}; }

}  // namespace

double BucketTable::tokens_at(const Bucket& bucket, const BucketSize& size, SteadyTime now) {
  const double elapsed = std::chrono::duration<double>(now - bucket.filled_at).count();
  const double filled = bucket.tokens + elapsed * static_cast<double>(size.per_minute) / 60.0;
  return std::min(static_cast<double>(size.burst), filled);
}

RateDecision BucketTable::take(const std::string& key, const BucketSize& size, SteadyTime now) {
  if (size.per_minute <= 0) return {};
  auto it = buckets_.find(key);
  if (it == buckets_.end()) {
    order_.push_front({key, static_cast<double>(size.burst), now});
    it = buckets_.emplace(key, order_.begin()).first;
    if (buckets_.size() > capacity_) {
      buckets_.erase(order_.back().key);
      order_.pop_back();
    }
  } else {
    order_.splice(order_.begin(), order_, it->second);
  }
  Bucket& bucket = *it->second;
  bucket.tokens = tokens_at(bucket, size, now);
  bucket.filled_at = now;

  const double per_second = static_cast<double>(size.per_minute) / 60.0;
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
  const double missing = static_cast<double>(size.burst) - bucket.tokens;
  decision.reset_s = static_cast<std::int64_t>(std::ceil(missing / per_second));
  return decision;
}

bool BucketTable::is_empty(const std::string& key, const BucketSize& size, SteadyTime now) const {
  if (size.per_minute <= 0) return false;
  const auto it = buckets_.find(key);
  return it != buckets_.end() && tokens_at(*it->second, size, now) < 1.0;
}

BucketSize RateLimiter::size_of(AccountId account, RateKind kind) const {
  const auto found = overrides_.find(account);
  const store::AccountLimits* own = found == overrides_.end() ? nullptr : &found->second;
  switch (kind) {
    case RateKind::kCreatePrediction: {
      if (own == nullptr) return same(limits_.create_prediction);
      const std::int64_t rate = own->create_per_minute.value_or(limits_.create_prediction);
      return {rate, std::max<std::int64_t>(own->create_burst.value_or(rate), 1)};
    }
    case RateKind::kReadPrediction:
      return same(own == nullptr ? limits_.read_prediction
                                 : own->read_per_minute.value_or(limits_.read_prediction));
    case RateKind::kOther:
      return same(own == nullptr ? limits_.other : own->other_per_minute.value_or(limits_.other));
    case RateKind::kNone:
      break;
  }
  return {};
}

RateDecision RateLimiter::take(AccountId account, RateKind kind) {
  const std::string key = concat(account, "/", static_cast<int>(kind));
  return accounts_.take(key, size_of(account, kind), clock_.steady());
}

RateDecision RateLimiter::take_open_call(const std::string& client) {
  return open_calls_.take(client, same(limits_.anonymous), clock_.steady());
}

RateDecision RateLimiter::take_bad_token(const std::string& client) {
  return bad_tokens_.take(client, same(limits_.anonymous), clock_.steady());
}

bool RateLimiter::may_look_up(const std::string& client) {
  const SteadyTime now = clock_.steady();
  if (!bad_tokens_.is_empty(client, same(limits_.anonymous), now)) return true;
  return look_ups_.take(client, kLookUps, now).is_allowed;
}

void RateLimiter::set_overrides(const std::vector<store::AccountLimits>& overrides) {
  overrides_.clear();
  for (const store::AccountLimits& limits : overrides) overrides_.emplace(limits.account, limits);
}

}  // namespace mimeo::control
