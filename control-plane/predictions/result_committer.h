// Commits results: from workers (T5, T7) and on our own authority after a cancel (T10), many in one
// statement; and writes down that predictions started (T4), late and only if they still run.
//
// Who reports a result is hub_service.h's business, who waits for it result_watch.h's.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/async/batcher.h"
#include "common/async/blocking_pool.h"
#include "common/async/retry.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/store/predictions.h"
#include "common/telemetry/metrics.h"
#include "control-plane/predictions/recent_predictions.h"
#include "control-plane/predictions/result_watch.h"

namespace mimeo::control {

struct CommitterOptions {
  std::size_t batches_in_flight = 1;  // Decision D5.
  std::size_t max_batch = 256;
  std::chrono::milliseconds start_delay{250};  // Shorter predictions cost one write less.
  RetryPolicyOptions retry;                    // While the database does not answer.
};

// On the HTTP thread only.
class ResultCommitter {
 public:
  using Done = std::function<void(Result<store::FinishOutcome>)>;

  // `pool` is for the writes alone: one thread per batch in flight and one for starts.
  ResultCommitter(boost::asio::any_io_executor executor, BlockingPool& pool,
                  store::PredictionStore& predictions, RecentPredictions& recent,
                  ResultWatch& watch, Random& random, Metrics& metrics,
                  CommitterOptions options = {});

  // Commits, wakes who waits, then calls `done`. kUnavailable after retrying for a while: it may be
  // committed or not; offer it again.
  void complete(store::Finish finish, Done done);
  // The same for a coroutine.
  boost::asio::awaitable<Result<store::FinishOutcome>> finish(store::Finish finish);

  // The same for a result that is committed together with something else: `write`, on a thread of
  // the pool, commits both in one transaction. What it gets may differ from `finish` in texts that
  // no database takes. Errors other than kUnavailable mean that nothing was committed.
  using WriteWith = std::function<Result<store::FinishOutcome>(const store::Finish&)>;
  boost::asio::awaitable<Result<store::FinishOutcome>> finish_with(store::Finish finish,
                                                                   WriteWith write);

  // The attempt runs since `started.started_at`.
  void started(const store::Started& started);

  // Its result is here and will be committed later: a start that was not written yet is left out,
  // as the result knows it better, and the commit owes its webhook.
  void ended(PredictionId id);

  // Output of this prediction was given to somebody: it must not silently start anew elsewhere.
  void output_delivered(PredictionId id);

  // Write what the two above collected; run until cancelled. What could not be written is tried
  // again until it is, or until the attempt is over.
  boost::asio::awaitable<void> write_starts();
  boost::asio::awaitable<void> write_deliveries();

 private:
  struct PendingStart {
    store::Started started;
    SteadyTime due;
  };
  // Of a start that is being written: whether to do so again if it fails.
  enum class InFlight : std::uint8_t { kWanted, kOver };

  struct Written {
    store::FinishOutcome outcome = store::FinishOutcome::kUnknown;
    // What was written when it could not be what was given.
    std::shared_ptr<const store::Finish> instead;
  };

  Result<std::vector<Written>> write(std::span<const store::Finish> batch);
  Result<Written> write_alone(const store::Finish& finish);
  void settle(const store::Finish& finish, const Written& written);
  boost::asio::awaitable<void> complete_with_retries(store::Finish finish, Done done);
  void write_later(const store::Started& started);
  boost::asio::awaitable<void> write_some_starts(std::vector<store::Started> starts);
  boost::asio::awaitable<Status> run_write(const store::Finish* given, const WriteWith* write,
                                           Result<store::FinishOutcome>* outcome);
  boost::asio::awaitable<Status> try_once(const store::Finish* finish,
                                          Result<store::FinishOutcome>* outcome);

  BlockingPool& pool_;
  store::PredictionStore& predictions_;
  RecentPredictions& recent_;
  ResultWatch& watch_;
  Random& random_;
  const CommitterOptions options_;
  prometheus::Histogram& commit_seconds_;
  prometheus::Histogram& batch_size_;
  prometheus::Counter& refused_results_;
  std::map<store::FinishOutcome, prometheus::Counter*> outcomes_;
  Batcher<store::Finish, Written> batcher_;
  std::unordered_map<PredictionId, PendingStart> starts_;
  std::unordered_map<PredictionId, InFlight> starts_in_flight_;
  std::deque<PredictionId> start_order_;  // By due time.
  SignalEvent has_starts_;
  std::unordered_set<PredictionId> delivered_;
  SignalEvent has_delivered_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::control
