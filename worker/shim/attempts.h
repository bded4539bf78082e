// Every attempt that this shim knows, from StartAttempt to ResultStored: runs it, spools its
// events, writes its result, and says what is to be sent to the daemon.
//
// How a run talks to the server is worker/cog/cog_run.h; what its end means is outcome.h; bytes on
// the socket are daemon_link.h.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>

#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "worker/cog/cog_run.h"
#include "worker/gateway/gateway.h"
#include "worker/shim/event_spool.h"
#include "worker/shim/outcome.h"
#include "worker/shim/result_spool.h"
#include "worker/shim/shim.pb.h"

namespace mimeo::worker {

class Attempt;

struct AttemptsOptions {
  std::string instance_id;
  std::string spool_dir;
  std::string log_path;  // Of the container.
  cog::TranscriptLimits limits;
  cog::RunTimes times;
  std::size_t spool_memory_bytes = 256 * 1024;        // Per attempt; the rest goes to a file.
  std::chrono::milliseconds exit_reason_wait{5'000};  // For ContainerExited after a lost server.
};

// What Attempts needs from the rest of the shim; all outlive it.
struct AttemptsParts {
  boost::asio::any_io_executor executor;
  cog::Connections* connections = nullptr;
  Gateway* gateway = nullptr;  // Null = the container has none.
  BlockingPool* pool = nullptr;
  TaskGroup* tasks = nullptr;
  const Clock* clock = nullptr;
  std::function<void()> wake;    // collect() has something.
  std::function<void()> settle;  // An attempt ended or was stored: time to look at what is left.
  std::function<void()> doubt;   // The server refused or was lost: time to ask how it is.
  // Whether the server still answers, asked when a connection to it broke.
  std::function<boost::asio::awaitable<bool>()> is_server_alive;
};

// On one executor.
class Attempts {
 public:
  Attempts(AttemptsOptions options, AttemptsParts parts);
  ~Attempts();
  Attempts(const Attempts&) = delete;
  Attempts& operator=(const Attempts&) = delete;

  // The server is ready, and this is how it is. Until then every start is refused.
  void server_ready(cog::ServerFacts facts) { facts_ = std::move(facts); }
  // From now on every start is refused with this reason.
  void close(std::string reason) { closed_reason_ = std::move(reason); }

  void start(StartAttempt request);
  void cancel(const v1::AttemptId& id, CancelReason reason);
  void forget(const v1::AttemptId& id);
  void stored(const v1::AttemptId& id);
  void events_stored(const v1::AttemptId& id, std::uint64_t seq);
  void replay(const v1::AttemptId& id, std::uint64_t after_seq);
  // What runs ends with this; further calls are ignored.
  void container_exited(std::string reason, std::string log_tail);
  // The container's process is gone; its reason may still come from the daemon.
  void container_gone();
  // Cuts every running attempt off without a result.
  void abandon_all();

  // A daemon connected: everything that is held will be sent again.
  void rewind();
  // See DaemonCallbacks::collect.
  void collect(std::string& out, std::size_t limit);
  void describe(ShimState* state) const;

  [[nodiscard]] std::uint32_t running() const { return running_; }
  [[nodiscard]] bool is_empty() const { return attempts_.empty(); }
  [[nodiscard]] SteadyTime idle_since() const { return idle_since_; }

 private:
  friend class Attempt;
  using AttemptPtr = std::shared_ptr<Attempt>;

  [[nodiscard]] AttemptPtr find(const v1::AttemptId& id) const;
  [[nodiscard]] std::optional<std::string> why_not_now() const;
  boost::asio::awaitable<void> run(AttemptPtr attempt);
  boost::asio::awaitable<ContainerEnd> explain_loss();
  boost::asio::awaitable<void> wait_for_exit_reason();
  void finish(const AttemptPtr& attempt, cog::RunEnd end, const std::optional<ContainerEnd>& lost);
  void refuse(const v1::AttemptId& id, const std::string& reason);
  void remove(const AttemptPtr& attempt);
  void remember(const std::string& key);
  static boost::asio::awaitable<void> cancel_run(std::shared_ptr<cog::CogRun> run);

  const AttemptsOptions options_;
  const AttemptsParts parts_;
  std::optional<cog::ServerFacts> facts_;
  std::string closed_reason_;
  std::map<std::string, AttemptPtr> attempts_;  // By "<prediction>-<attempt>".
  ResultSpool results_;
  // The last ones ever started, so that a repeated StartAttempt runs nothing twice.
  std::unordered_set<std::string> seen_;
  std::deque<std::string> seen_order_;
  std::string refusals_;  // Frames to send; the attempts are forgotten already.
  std::uint32_t running_ = 0;
  SteadyTime idle_since_;
  std::optional<ContainerEnd> container_end_;
  SignalEvent exit_reason_;
};

}  // namespace mimeo::worker
