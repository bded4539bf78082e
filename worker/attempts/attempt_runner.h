// Every attempt on this worker: obeys its AttemptLife (attempt_state.h) with the instance that runs
// it, the scheduler that gave it, and the control planes that want its events and its result.
//
// Keeps the order of an attempt: an event that names a file waits until the file is stored, and
// everything after it waits, too, the result last.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/telemetry/metrics.h"
#include "proto/event_hub.pb.h"
#include "proto/worker_session.pb.h"
#include "worker/attempts/attempt_key.h"
#include "worker/attempts/attempt_state.h"
#include "worker/files/input_files.h"
#include "worker/files/output_files.h"
#include "worker/hub_client.h"
#include "worker/instance/instance.h"
#include "worker/instance/supervisor.h"

namespace mimeo::worker {

struct AttemptParts {
  boost::asio::any_io_executor executor;
  Supervisor& supervisor;
  HubClient& hub;
  InputFiles& inputs;
  OutputFiles& outputs;
  const Clock& clock;
  Metrics& metrics;
  std::function<void(v1::WorkerMessage)> report;  // To the scheduler.
  std::function<bool()> has_lease;
};

// On one executor.
class AttemptRunner {
 public:
  // What `parts` refers to outlives the runner.
  explicit AttemptRunner(AttemptParts parts);
  ~AttemptRunner();
  AttemptRunner(const AttemptRunner&) = delete;
  AttemptRunner& operator=(const AttemptRunner&) = delete;

  // --- From the scheduler ---
  void run(v1::Run run);
  void cancel(const v1::CancelAttempt& cancel);
  void forget(const v1::ForgetAttempt& forget);
  // Nothing new is accepted from now on.
  void drain() { is_draining_ = true; }
  // A new incarnation: attempts with known numbers may come again.
  void new_incarnation() { seen_.clear(); }

  // --- From instances (see InstanceUser) ---
  void on_shim_state(Instance& instance, const ShimState& state);
  void on_event(Instance& instance, v1::Event event);
  void on_result(Instance& instance, v1::Complete result);
  void on_refused(Instance& instance, const AttemptRefused& refused);
  void on_attempts_ended(Instance& instance, const std::string& reason);

  // --- From the hub client ---
  void on_completed(AttemptKey key, v1::CompleteReply::Result answer);
  void on_replay_wanted(AttemptKey key, std::uint64_t after_seq);

  // For Hello.
  [[nodiscard]] std::vector<v1::AttemptReport> reports() const;
  // Attempts that hold a slot.
  [[nodiscard]] std::size_t running() const { return running_; }
  [[nodiscard]] std::size_t size() const { return attempts_.size(); }

  // Suspends until no attempt is left, results included; false after `limit`.
  boost::asio::awaitable<bool> wait_idle(std::chrono::milliseconds limit);
  boost::asio::awaitable<void> stop();

 private:
  struct Attempt;

  Attempt* find(AttemptKey key);
  Attempt* find(const v1::AttemptId& id);
  Attempt& add(AttemptKey key, Instance& instance, HubRoute route);
  void feed(Attempt& attempt, AttemptEvent event);
  void obey(Attempt& attempt, const AttemptAction& action);
  void settle(Attempt& attempt);
  void fetch_inputs(Attempt& attempt);
  boost::asio::awaitable<void> fetch(AttemptKey key, InputJob job);
  void start(Attempt& attempt);
  void send_cancel(Attempt& attempt);
  void arm(Attempt& attempt, std::chrono::milliseconds pause, AttemptEvent event);
  void make_result(Attempt& attempt, const AttemptAction& action);
  void offer(Attempt& attempt);
  void pump(Attempt& attempt);
  bool pass_on(Attempt& attempt);
  boost::asio::awaitable<void> store_files(AttemptKey key, OutputJob job);
  void finish_front(Attempt& attempt, Result<std::string> stored);

  void report_accepted(AttemptKey key);
  void report_rejected(AttemptKey key, const std::string& instance,
                       v1::AttemptRejected::Reason reason);
  void report_started(const Attempt& attempt);
  void note_end(Attempt& attempt);
  void report_ended(const v1::AttemptEnded& ended);

  AttemptParts parts_;
  prometheus::Histogram& dispatch_seconds_;
  std::map<AttemptKey, std::unique_ptr<Attempt>> attempts_;
  // Attempts of this incarnation that are over: a Run that comes twice is run once.
  std::unordered_set<AttemptKey> seen_;
  std::deque<AttemptKey> seen_order_;  // Oldest first; bounds seen_.
  std::size_t running_ = 0;
  bool is_draining_ = false;
  SignalEvent became_idle_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::worker
