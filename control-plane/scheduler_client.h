// Talks to the schedulers (proto/scheduler.proto): asks for a free slot before a prediction is
// committed, and tells them what was committed. Finds them in the table `replicas`; knows which
// one owns which cell.
//
// Everything but reserve() is a hint: a scheduler that was not told finds the row by itself within
// seconds, so nothing here reports an error.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/domain/prediction.h"
#include "common/store/fleet.h"
#include "common/store/predictions.h"
#include "common/telemetry/metrics.h"

namespace mimeo::control {

struct ReserveRequest {
  CellId cell = 0;
  TargetId target = 0;
  AccountId account = 0;
  std::chrono::milliseconds run_limit{0};
};

// A slot that a scheduler keeps free for us, for `hold` from the answer on.
struct HeldSlot {
  std::uint64_t link = 0;  // Which connection it came from; a newer one does not know it.
  std::uint64_t grant_id = 0;
  store::Grant grant;
  std::chrono::milliseconds hold{0};
};

// What a scheduler needs to run or queue a prediction that was committed.
struct Dispatch {
  PredictionId id;
  CellId cell = 0;
  TargetId target = 0;
  AccountId account = 0;
  Priority priority = Priority::kDefault;
  std::chrono::milliseconds run_limit{0};
  std::chrono::milliseconds deadline_left{0};  // 0 = none.
  std::chrono::milliseconds progress{0};       // Send events at least this often; 0 = when asked.
};

// What a scheduler knows of a target now.
struct TargetSnapshot {
  std::uint32_t queued = 0;
  std::uint32_t running = 0;
  std::uint32_t instances_ready = 0;
  std::uint32_t instances_starting = 0;
  std::string unmet_reason;  // Why fewer instances run than wanted; empty = nothing unmet.
};

// Every method on the HTTP thread.
class SchedulerClient {
 public:
  virtual ~SchedulerClient() = default;

  // A slot, or nothing: refused, no scheduler owns the cell, or no answer within `limit` (a slot
  // that comes later is given back).
  virtual boost::asio::awaitable<std::optional<HeldSlot>> reserve(
      ReserveRequest request, std::chrono::milliseconds limit) = 0;
  // The row of this slot is committed. `input` is the whole JSON object.
  virtual void granted(const HeldSlot& slot, const Dispatch& dispatch, std::string input) = 0;
  // The slot is not used.
  virtual void dropped(const HeldSlot& slot) = 0;
  // The prediction is committed as queued.
  virtual void queued(const Dispatch& dispatch) = 0;
  // A user asked to cancel; `state_before` kOnlyQueued when the row is terminal already.
  virtual void canceled(PredictionId id, TargetId target, ActiveStates states_before) = 0;

  // A target, deployment or release changed: whoever owns it reads it again.
  virtual void target_changed(TargetId target) = 0;
  // nullopt when no scheduler answers within `limit`.
  virtual boost::asio::awaitable<std::optional<TargetSnapshot>> snapshot(
      TargetId target, std::chrono::milliseconds limit) = 0;
};

// Who we are, told to every scheduler.
struct SchedulerClientOptions {
  ReplicaId replica;
  std::string hub_addr;                           // What workers dial to reach our event hub.
  std::chrono::milliseconds refresh_every{1000};  // How often `replicas` is read.
};

// The real one. start() begins to look for schedulers; stop() ends all links and waits.
class LinkedSchedulerClient : public SchedulerClient {
 public:
  virtual void start() = 0;
  virtual boost::asio::awaitable<void> stop() = 0;
  // True when a live link has told us its cells; for readiness and tests.
  [[nodiscard]] virtual bool owns(CellId cell) const = 0;
};
std::unique_ptr<LinkedSchedulerClient> make_scheduler_client(boost::asio::any_io_executor executor,
                                                             BlockingPool& pool,
                                                             store::FleetStore& fleet,
                                                             const Clock& clock, Metrics& metrics,
                                                             SchedulerClientOptions options);

}  // namespace mimeo::control
