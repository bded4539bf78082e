// Webhooks of running predictions: `output` and `logs`, from the event hub's newest state, at most
// one request per prediction and half second, never retried.
//
// Between control planes they keep their order by holds (common/store/outbox.h): none is sent
// before `start` is out, by one control plane at a time, and `completed` waits for the holder.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/async/batcher.h"
#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/store/outbox.h"
#include "common/store/predictions.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/prediction_intake.h"
#include "control-plane/predictions/recent_predictions.h"
#include "control-plane/predictions/result_committer.h"
#include "control-plane/predictions/result_watch.h"
#include "control-plane/webhooks/courier.h"
#include "control-plane/webhooks/gate.h"
#include "control-plane/webhooks/ledger.h"

namespace mimeo::control {

// All outlive it.
struct ProgressParts {
  store::OutboxStore& outbox;
  PredictionIntake& intake;
  EventHub& hub;
  ResultCommitter& committer;
  ResultWatch& watch;
  const RecentPredictions& recent;
  BlockingPool& read_pool;
  const Clock& clock;
  Random& random;
  ReplicaId sender;
  WebhookGate& gate;
  WebhookCourier& courier;
  WebhookLedger& ledger;
  std::function<std::string(const store::PredictionView&)> render;
};

struct ProgressOptions {
  std::chrono::milliseconds first_after{50};  // The first event.
  std::chrono::milliseconds throttle{500};    // Between two requests of one prediction.
  std::chrono::milliseconds timeout{5000};    // Of one request.
  // Longer than a request, a wait for a place and the reads between them; where those take longer,
  // the hold is taken anew before the request.
  std::chrono::milliseconds hold{15'000};
  std::chrono::milliseconds ask_again{200};  // While `start` is not out or another one holds.
  std::size_t logged = 50;                   // Requests per prediction; more are not in the log,
  std::size_t logged_per_minute = 300;       // nor are more than these of one account.
};

// On the HTTP thread only. Begins to listen when it is made.
class WebhookProgress {
 public:
  WebhookProgress(boost::asio::any_io_executor executor, ProgressParts parts,
                  ProgressOptions options);

  // Suspends until no request of this prediction is under way, or until it would have timed out.
  boost::asio::awaitable<void> wait_idle(PredictionId id);
  // Its last webhook is out.
  void forget(PredictionId id) { predictions_.erase(id); }
  // No more requests begin.
  void stop() { stopping_.set(); }
  // Behind stop(): suspends until none is under way; kDeadlineExceeded after `limit`.
  boost::asio::awaitable<Status> wait(std::chrono::milliseconds limit);
  void cancel() { tasks_.cancel(); }

 private:
  // One running prediction.
  struct Running {
    explicit Running(const boost::asio::any_io_executor& executor) : idle(executor) { idle.set(); }
    bool is_known = false;  // Whether it wants any of them, and where.
    unsigned wanted = 0;    // Bits of webhook_events.
    AccountId account = 0;
    std::string url;
    unsigned pending = 0;   // What came since the last request.
    bool is_busy = false;   // A task sends for it.
    bool is_ended = false;  // Nothing more of these is wanted.
    bool start_is_out = false;
    SteadyTime held_until;  // A request must be over by then.
    std::size_t sent = 0;
    SteadyTime last_sent;
    SignalEvent idle;  // No request is under way.
  };
  enum class Turn : std::uint8_t { kOurs, kNotYet, kNever };

  std::shared_ptr<Running> running(PredictionId id);
  void on_event(PredictionId id, const HubEvent& event);
  void on_end(PredictionId id);
  boost::asio::awaitable<void> send_all(PredictionId id, std::shared_ptr<Running> running);
  boost::asio::awaitable<bool> rest(std::chrono::milliseconds duration);
  boost::asio::awaitable<bool> send_some(PredictionId id, std::shared_ptr<Running> running);
  boost::asio::awaitable<bool> send_newest(PredictionId id, std::shared_ptr<Running> running,
                                           HostHealth* health);
  [[nodiscard]] bool is_held_for_a_request(const Running& running) const;
  boost::asio::awaitable<bool> learn(PredictionId id, std::shared_ptr<Running> running);
  boost::asio::awaitable<Turn> take_turn(PredictionId id, std::shared_ptr<Running> running);
  bool may_note(const Running& running);
  void note(PredictionId id, const Running& running, unsigned sent, const std::string& webhook_id,
            WebhookReceipt receipt);

  const boost::asio::any_io_executor executor_;
  const ProgressParts parts_;
  const ProgressOptions options_;
  std::unordered_map<PredictionId, std::shared_ptr<Running>> predictions_;
  SignalEvent stopping_;
  std::map<AccountId, std::size_t> noted_;  // Since noted_since_.
  SteadyTime noted_since_;
  Batcher<PredictionId, store::WebhookHold> holds_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::control
