// Retries, in one place: only for kUnavailable and kAborted, always under a deadline, with
// exponential backoff and full jitter.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>

#include "common/base/random.h"
#include "common/base/status.h"

namespace mimeo {

struct RetryPolicyOptions {
  std::chrono::milliseconds first{50};
  std::chrono::milliseconds longest{2000};
  std::chrono::milliseconds total{30'000};
};

// The next pause: uniform in [0, min(longest, first * 2^attempt)].
[[nodiscard]] std::chrono::milliseconds backoff(const RetryPolicyOptions& options, int attempt,
                                                Random& random);

// Calls `operation` until it answers something else than kUnavailable or kAborted, or `total` is
// over (then the last status). `random` outlives the call. `waited`, if given, says how long the
// calls so far have waited for their turn: that does not count.
boost::asio::awaitable<Status> retry(RetryPolicyOptions options, Random* random,
                                     std::function<boost::asio::awaitable<Status>()> operation,
                                     std::function<std::chrono::milliseconds()> waited = {});

}  // namespace mimeo
