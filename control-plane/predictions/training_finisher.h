// Ends trainings that succeeded: has the version made from what the trainer returned, then commits
// result and version together. Everything else about results is result_committer.h's.
//
// Making a version takes as long as copying the weights: minutes. Until it is committed the worker
// keeps the result and offers it again after every fault, so that nothing here is durable: a
// process that dies in the middle leaves an image that nobody refers to, and the next one makes the
// same.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/retry.h"
#include "common/async/task_group.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/store/predictions.h"
#include "common/store/trainings.h"
#include "common/telemetry/metrics.h"
#include "control-plane/predictions/result_committer.h"
#include "control-plane/predictions/trained_version.h"

namespace mimeo::control {

struct TrainingFinisherOptions {
  // While the registry or the store does not answer, or answers strangely; without the time spent
  // waiting for a thread. Several attempts at copying the largest weights fit. Then the training
  // fails.
  RetryPolicyOptions retry{std::chrono::milliseconds{500}, std::chrono::milliseconds{30'000},
                           std::chrono::milliseconds{6 * 60 * 60 * 1000}};
  std::chrono::milliseconds report_every{3'000};  // Well below what workers wait for an answer.
};

// On the HTTP thread only.
class TrainingFinisher {
 public:
  // Blocking, on a thread of `pool`. kInvalidArgument and kFailedPrecondition fail the training
  // with their text; any other error is tried again.
  using MakeVersion = std::function<Result<TrainedVersion>(
      const store::PredictionView& training, std::uint32_t attempt, const std::string& output)>;
  using Done = ResultCommitter::Done;
  // The work goes on: whoever offered the result may go on waiting.
  using Progress = std::function<void()>;

  // `pool` is for making versions alone; its threads are how many are made at once. An empty `make`
  // (there is no registry) fails every training.
  TrainingFinisher(boost::asio::any_io_executor executor, BlockingPool& pool,
                   store::PredictionStore& predictions, store::TrainingStore& trainings,
                   ResultCommitter& committer, MakeVersion make, Random& random, Metrics& metrics,
                   TrainingFinisherOptions options = {});

  // Called when a training became a version of the model `destination` ("owner/name").
  using OnVersion = std::function<void(const std::string& destination)>;
  void on_version(OnVersion hook) { on_version_ = std::move(hook); }

  // A result of an instance in training mode. Offered again while it is worked on, it joins.
  void complete(store::Finish finish, Done done, Progress progress);

  // Gives up what is under way, unanswered; waits for at most `limit`.
  boost::asio::awaitable<Status> stop(std::chrono::milliseconds limit);

 private:
  using Key = std::pair<PredictionId, std::uint32_t>;
  struct Waiting {
    Done done;
    Progress progress;
  };
  struct Work {
    store::Finish finish;
    store::PredictionView view;
    TrainedVersion made;
    std::chrono::milliseconds waited{0};  // For a thread, in all attempts.
    std::vector<Waiting> waiting;
  };

  boost::asio::awaitable<void> work_on(std::shared_ptr<Work> work);
  boost::asio::awaitable<Result<store::FinishOutcome>> settle(std::shared_ptr<Work> work);
  boost::asio::awaitable<Status> make_version(std::shared_ptr<Work> work);
  boost::asio::awaitable<Status> make_once(std::shared_ptr<Work> work);
  Status make_now(Work& work) const;  // On a thread of the pool.
  void note_version(const Work& work, store::FinishOutcome outcome);
  boost::asio::awaitable<void> report_progress();

  BlockingPool& pool_;
  store::PredictionStore& predictions_;
  store::TrainingStore& trainings_;
  ResultCommitter& committer_;
  const MakeVersion make_;
  Random& random_;
  const TrainingFinisherOptions options_;
  prometheus::Gauge& under_way_;
  prometheus::Counter& made_;
  prometheus::Counter& failed_;
  OnVersion on_version_;
  std::map<Key, std::shared_ptr<Work>> works_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::control
