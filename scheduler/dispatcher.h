// Does what a cell wants: writes first, messages after. Decides nothing.
//
// Assignments, requeues and ends are grouped into batches, one in flight of each kind; what is
// written about instances, workers and releases keeps its order. Every write is repeated until it
// is answered; the answers go back into the cell. A write that finds the fence broken means that
// the cell has another owner.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/status.h"
#include "scheduler/core/actions.h"
#include "scheduler/core/cell.h"
#include "scheduler/hub_directory.h"
#include "scheduler/parts.h"

namespace mimeo::v1 {
class SchedulerMessage;
}

namespace mimeo::scheduler {

// What the dispatcher needs of its cell's host (cell_host.h). On the executor.
class DispatcherHost {
 public:
  virtual ~DispatcherHost() = default;
  // The cell, for answers; nullptr once it is not ours any more.
  virtual Cell* cell_for_answers() = 0;
  // An answer was given: the cell may want something.
  virtual void settle_soon() = 0;
  // Dropped when the worker is not connected.
  virtual void send(WorkerId worker, v1::SchedulerMessage message) = 0;
  // Another replica owns the cell.
  virtual void fence_broken() = 0;
};

// On the executor. Destroyed only when is_idle(): writes in flight call back.
class Dispatcher {
 public:
  // `host` owns the dispatcher; callbacks hold `alive` until they are done.
  Dispatcher(boost::asio::any_io_executor executor, SchedulerParts& parts, HubDirectory& hubs,
             const store::Fence& fence, const CellOptions& options, DispatcherHost& host);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  void perform(std::vector<Action> actions);
  // Nothing is being written or read.
  [[nodiscard]] bool is_idle() const;
  // Suspends until is_idle(), at most this long.
  boost::asio::awaitable<void> wait_idle(std::chrono::milliseconds limit);
  // Gives up retrying: what is in flight is answered, nothing follows.
  void close();

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with what is in flight: survives us until it is back.
};

}  // namespace mimeo::scheduler
