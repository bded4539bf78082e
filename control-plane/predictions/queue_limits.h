// How many predictions an account may have unfinished at once (max_queued). Kept as approximate
// counters: counted up at creation and down at ends that this process sees, and set right by the
// database. Nobody is refused on a guess: at the limit the database is asked first, at most once a
// second and account.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <unordered_map>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/store/catalog.h"
#include "common/store/predictions.h"

namespace mimeo::control {

// On the HTTP thread only.
class QueueLimits {
 public:
  QueueLimits(BlockingPool& pool, store::PredictionStore& predictions, const Clock& clock)
      : pool_(pool), predictions_(predictions), clock_(clock) {}

  // OK, and one more is counted; kResourceExhausted at the limit. Suspends only near the limit and
  // for the first prediction of an account.
  boost::asio::awaitable<Status> enter(AccountId account, std::int32_t max_queued);
  // What enter() counted was created as `id`.
  void created(PredictionId id, AccountId account);
  // What enter() counted was not created after all.
  void leave(AccountId account);
  // A prediction ended; without effect for those that this process did not create.
  void ended(PredictionId id);

 private:
  struct Count {
    std::int64_t unfinished = 0;
    SteadyTime counted_at;
    bool is_counted = false;  // By the database, at counted_at.
  };

  BlockingPool& pool_;
  store::PredictionStore& predictions_;
  const Clock& clock_;
  std::unordered_map<AccountId, Count> counts_;
  std::unordered_map<PredictionId, AccountId> unfinished_;  // Created here; to count their ends.
};

}  // namespace mimeo::control
