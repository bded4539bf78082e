// Takes predictions in: limits, reserve a slot, one commit, tell the scheduler; waits for the end
// of a prediction on behalf of `Prefer: wait`; cancels. What a prediction's input must look like is
// checked before, by input_validator.h; what happens at the end is result_committer.h's.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/store/catalog.h"
#include "common/store/predictions.h"
#include "control-plane/public_links.h"

namespace mimeo {
class BlockingPool;
class Metrics;
}  // namespace mimeo

namespace mimeo::control {

// A checked request for a prediction; everything that the caller decided.
struct IntakeRequest {
  store::Account account;
  store::Target target;
  ModelId model = 0;
  std::string model_owner;     // Names of `model`: the answer is built from the request, without
  std::string model_name;      // reading anything back.
  VersionId version;           // That the input was validated against.
  bool hides_version = false;  // Of an official model: the answer does not show it.
  std::optional<DeploymentId> deployment;
  std::string deployment_name;  // "owner/name" of `deployment`, or empty.
  PredictionSource source = PredictionSource::kApi;
  Priority priority = Priority::kDefault;
  bool is_training = false;
  std::string destination;   // Trainings.
  std::string input;         // JSON.
  std::string public_input;  // Redacted JSON; empty = same.
  std::string webhook;
  std::uint8_t webhook_events = 0;
  // What the version streams, if anything; the stream token is made from it (public_links.h).
  StreamKind stream = StreamKind::kNone;
  std::optional<std::chrono::milliseconds> cancel_after;
  std::chrono::milliseconds run_limit{30 * 60 * 1000};
  std::string idempotency_key;
};

// What the caller needs to answer. Lives on the HTTP thread; every method is called there.
class PredictionIntake {
 public:
  virtual ~PredictionIntake() = default;

  // Suspends for one reserve round trip (at most 50 ms) and one commit. Errors: kResourceExhausted
  // (max_queued), kUnavailable (the database does not answer).
  virtual boost::asio::awaitable<Result<store::PredictionView>> create(IntakeRequest request) = 0;

  // Suspends until `id` is terminal or `limit` is over. True = terminal. Must be called right after
  // create(), in the same coroutine, or a result could come in between and be seen only after 1 s.
  virtual boost::asio::awaitable<bool> wait(PredictionId id, std::chrono::milliseconds limit) = 0;

  // The prediction as it is now: the store's row, with output and logs so far from the event hub
  // while it runs. `account` 0 = any. kNotFound.
  virtual boost::asio::awaitable<Result<store::PredictionView>> view(PredictionId id,
                                                                     AccountId account) = 0;

  // Cancels and returns the (then terminal) prediction; at most about 600 ms. A terminal one is
  // returned unchanged. kNotFound.
  virtual boost::asio::awaitable<Result<store::PredictionView>> cancel(PredictionId id,
                                                                       AccountId account) = 0;
};

class EventHub;
class QueueLimits;
class RecentPredictions;
class ResultCommitter;
class ResultWatch;
class SchedulerClient;

// What the intake works with; all outlive it.
struct IntakeParts {
  store::PredictionStore& predictions;
  BlockingPool& create_pool;  // For the creating statement alone: one thread per batch in flight.
  BlockingPool& read_pool;
  SchedulerClient& scheduler;
  EventHub& hub;
  ResultCommitter& committer;
  ResultWatch& watch;
  RecentPredictions& recent;
  QueueLimits& limits;
  const Clock& clock;  // Set by the database's.
  Random& random;
  Metrics& metrics;
};

struct IntakeOptions {
  std::size_t batches_in_flight = 1;  // Decision D5.
  std::size_t max_batch = 256;
  std::chrono::milliseconds reserve_limit{50};
  std::chrono::milliseconds create_limit{5000};  // While the database does not answer.
  std::chrono::milliseconds cancel_grace{500};   // For the worker's own report.
  std::chrono::milliseconds progress{250};       // How often a worker reports without being asked.
};

std::unique_ptr<PredictionIntake> make_prediction_intake(boost::asio::any_io_executor executor,
                                                         IntakeParts parts,
                                                         IntakeOptions options = {});

}  // namespace mimeo::control
