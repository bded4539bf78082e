// Brings the limits that operators set for single accounts from the store to the rate limiter.

#pragma once

#include <boost/asio/awaitable.hpp>

#include "common/async/blocking_pool.h"
#include "common/store/account_limits.h"
#include "control-plane/http/rate_limiter.h"

namespace mimeo::control {

// On the HTTP thread, until cancelled. Reads them all every few seconds: few accounts have any.
// While the store does not answer the last ones hold.
boost::asio::awaitable<void> keep_overrides(RateLimiter* limiter, store::AccountLimitsStore* store,
                                            BlockingPool* pool);

}  // namespace mimeo::control
