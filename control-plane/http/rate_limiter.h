// Token buckets in the memory of this process: per account and kind of call, and per client for
// calls without a token and for tokens that are not valid. With N control planes behind a balancer
// an account may get up to N times as much: meant as protection, not as billing.

#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/store/account_limits.h"
#include "control-plane/http/router.h"

namespace mimeo::control {

// Calls a minute; also the size of the burst. 0 = no limit.
struct RateLimits {
  std::int64_t create_prediction = 600;
  std::int64_t read_prediction = 60'000;
  std::int64_t other = 3'000;
  std::int64_t anonymous = 300;  // Per client: without a token, and as many tries of bad ones.
};

struct RateDecision {
  bool is_limited = false;  // This kind has a limit: show the headers.
  bool is_allowed = true;
  std::int64_t remaining = 0;      // Calls left at once.
  std::int64_t reset_s = 0;        // Until the bucket is full again, rounded up.
  std::int64_t retry_after_s = 0;  // When refused: until the next call may be made, rounded up.
};

struct BucketSize {
  std::int64_t per_minute = 0;  // 0 = no limit.
  std::int64_t burst = 0;       // At once, at least 1.
};

// Buckets that were used lately; the rest are full. Beyond `capacity` the longest unused one is
// forgotten, which is to the good of whoever it belongs to.
class BucketTable {
 public:
  explicit BucketTable(std::size_t capacity) : capacity_(capacity) {}

  RateDecision take(const std::string& key, const BucketSize& size, SteadyTime now);
  // Whether take() would refuse. Takes nothing.
  [[nodiscard]] bool is_empty(const std::string& key, const BucketSize& size, SteadyTime now) const;
  [[nodiscard]] std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    std::string key;
    double tokens = 0;
    SteadyTime filled_at;
  };
  static double tokens_at(const Bucket& bucket, const BucketSize& size, SteadyTime now);

  const std::size_t capacity_;
  std::list<Bucket> order_;  // Most recently used first.
  std::unordered_map<std::string, std::list<Bucket>::iterator> buckets_;
};

// Lives on the HTTP thread.
class RateLimiter {
 public:
  RateLimiter(const Clock& clock, RateLimits limits) : clock_(clock), limits_(limits) {}

  // Takes one call from the account's bucket of this kind.
  RateDecision take(AccountId account, RateKind kind);
  // For clients, by client_network() of their address. A call that needs no token.
  RateDecision take_open_call(const std::string& client);
  // A token that was no good.
  RateDecision take_bad_token(const std::string& client);
  // Whether this client may have a token looked up. Always, until it has tried too many bad ones;
  // then a few a second, so that others behind the same address get in with good ones.
  bool may_look_up(const std::string& client);

  // Replaces what single accounts have instead.
  void set_overrides(const std::vector<store::AccountLimits>& overrides);

 private:
  [[nodiscard]] BucketSize size_of(AccountId account, RateKind kind) const;

  const Clock& clock_;
  const RateLimits limits_;
  std::unordered_map<AccountId, store::AccountLimits> overrides_;
  BucketTable accounts_{150'000};
  BucketTable open_calls_{50'000};
  BucketTable bad_tokens_{50'000};
  BucketTable look_ups_{50'000};
};

}  // namespace mimeo::control
