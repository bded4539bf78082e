#include "control-plane/rate_overrides.h"

#include <utility>

#include "common/async/task_group.h"
#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

constexpr std::chrono::milliseconds kEvery{5000};

}  // namespace

boost::asio::awaitable<void> keep_overrides(RateLimiter* limiter, store::AccountLimitsStore* store,
                                            BlockingPool* pool) {
  for (;;) {
    auto read = [store] { return store->list_account_limits(); };
    const auto overrides = co_await pool->run(std::move(read));
    if (overrides.ok()) {
      limiter->set_overrides(*overrides);
    } else {
      log::warn("reading limits of accounts: {}", overrides.status().ToString());
    }
    const bool goes_on = co_await sleep_for(kEvery);
    if (!goes_on) co_return;
  }
}

}  // namespace mimeo::control
