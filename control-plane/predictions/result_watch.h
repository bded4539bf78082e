// Who waits for the end of which prediction, and how they learn of it: at once when this process
// commits the result, within about a second when somebody else does (a scheduler, another control
// plane), by asking the store. Readers of the event hub count as waiting.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"
#include "common/base/ids.h"
#include "common/domain/prediction.h"
#include "common/store/predictions.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/recent_predictions.h"

namespace mimeo::control {

// On the HTTP thread only.
class ResultWatch {
 public:
  ResultWatch(boost::asio::any_io_executor executor, BlockingPool& pool,
              store::PredictionStore& predictions, EventHub& hub, const RecentPredictions& recent);

  // Suspends until the prediction is terminal or `limit` is over. True = terminal.
  boost::asio::awaitable<bool> wait(PredictionId id, std::chrono::milliseconds limit);

  // Called at every end that this process learns of, before anybody is woken. Several may be added.
  void on_end(std::function<void(PredictionId, PredictionStatus)> callback);

  // Its terminal row is committed: wakes the waiters and ends the streams of its readers.
  void finished(PredictionId id, PredictionStatus status);

  // It may have ended elsewhere just now: ask the store without waiting for the next second.
  void check_soon(PredictionId id);

  // Asks the store each `every`; runs until cancelled.
  boost::asio::awaitable<void> run(std::chrono::milliseconds every);

  [[nodiscard]] std::size_t waiting() const { return waiters_.size(); }

 private:
  struct Waiter {
    explicit Waiter(const boost::asio::any_io_executor& executor) : timer(executor) {}
    boost::asio::steady_timer timer;  // Cancelled by wake().
    bool is_done = false;
  };
  class Registration;

  void wake(PredictionId id);
  boost::asio::awaitable<void> look(std::vector<PredictionId> ids);

  const boost::asio::any_io_executor executor_;
  BlockingPool& pool_;
  store::PredictionStore& predictions_;
  EventHub& hub_;
  const RecentPredictions& recent_;
  std::unordered_multimap<PredictionId, Waiter*> waiters_;  // Owned by the waiting coroutines.
  std::unordered_set<PredictionId> streamed_;               // Have readers and are not done.
  std::unordered_set<PredictionId> soon_;
  std::vector<std::function<void(PredictionId, PredictionStatus)>> on_end_;
  SignalEvent check_now_;
};

}  // namespace mimeo::control
