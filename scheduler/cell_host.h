// One cell that this process owns: the core's Cell with everything that moves it. Loads it from the
// store, feeds it time, gives its actions to the dispatcher, and knows which stream leads to which
// worker.
//
// Made when the lease is taken (leadership.h), closed when it is lost or given back. Closing is
// immediate for everybody outside; stop() then waits for what is in flight.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "scheduler/core/cell.h"
#include "scheduler/dispatcher.h"
#include "scheduler/hub_directory.h"
#include "scheduler/parts.h"
#include "scheduler/reconcile.h"

namespace mimeo::scheduler {

// A worker's stream, as the cell's host uses it.
class WorkerStream {
 public:
  virtual ~WorkerStream() = default;
  virtual void send(v1::SchedulerMessage message) = 0;
  // The worker dials again, and finds the owner then.
  virtual void close(const Status& reason) = 0;
};

struct CellHostOptions {
  CellOptions cell;
  ReconcileOptions reconcile;
  // Nothing is assigned when the lease was renewed longer ago than this.
  std::chrono::milliseconds lease_margin{3000};
};

// On the executor.
class CellHost final : public DispatcherHost {
 public:
  // References outlive the host. `on_fence_broken` is called at most once, posted.
  CellHost(boost::asio::any_io_executor executor, SchedulerParts& parts, HubDirectory& hubs,
           const CellHostOptions& options, const store::Fence& fence,
           std::function<void()> on_fence_broken);
  ~CellHost() override;

  // Reads everything; the cell is live after OK. Repeats while the database is away; kAborted after
  // close().
  boost::asio::awaitable<Status> load();
  // For others: nullptr until loaded and after close(). Pauses the cell first when the lease is not
  // certain any more. Call settle() after any event.
  [[nodiscard]] Cell* live_cell();
  [[nodiscard]] bool is_live() const { return is_live_; }
  [[nodiscard]] const store::Fence& fence() const { return fence_; }

  // Does what the cell wants.
  void settle();
  // The lease was renewed; the time is from before the call.
  void renewed(SteadyTime at);
  // Reads this target again, because somebody said that it changed. Suspends until the cell knows.
  boost::asio::awaitable<void> refresh_target(TargetId id);

  // Streams. A second one of a worker replaces the first, which is closed.
  void attach(WorkerId worker, std::shared_ptr<WorkerStream> stream);
  // Nothing happens when another stream of the worker is attached.
  void detach(WorkerId worker, const WorkerStream* stream);
  void send_to_all(const v1::SchedulerMessage& message);

  // Stops assigning, for a planned handover; what was decided is still written.
  boost::asio::awaitable<void> drain(std::chrono::milliseconds limit);
  // From now on the cell is somebody else's.
  void close(const Status& reason);
  // After close(): suspends until nothing of it runs.
  boost::asio::awaitable<void> stop();

  // DispatcherHost
  Cell* cell_for_answers() override { return is_closed_ ? nullptr : cell_.get(); }
  void settle_soon() override;
  void send(WorkerId worker, v1::SchedulerMessage message) override;
  void fence_broken() override;

 private:
  boost::asio::awaitable<void> beat();
  boost::asio::awaitable<Status> load_configuration();
  boost::asio::awaitable<Status> load_rows();
  void check_lease();
  void publish_metrics();

  const boost::asio::any_io_executor executor_;
  SchedulerParts& parts_;
  HubDirectory& hubs_;
  const CellHostOptions options_;
  const store::Fence fence_;
  std::function<void()> on_fence_broken_;
  std::unique_ptr<Cell> cell_;
  Dispatcher dispatcher_;
  std::unique_ptr<Reconcile> reconcile_;
  std::map<WorkerId, std::shared_ptr<WorkerStream>> streams_;
  SteadyTime renewed_at_;
  SteadyTime wakes_at_;    // When beat() looks again by itself.
  SteadyTime counted_at_;  // When the gauges were set.
  bool is_live_ = false;
  bool is_closed_ = false;
  bool is_draining_ = false;
  bool is_settle_posted_ = false;
  std::shared_ptr<CellHost*> self_;  // For posted calls that may come after us.
  SignalEvent wake_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::scheduler
