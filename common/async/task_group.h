// Owns background coroutines, so that each can be cancelled and waited for. The only place in the
// project that names asio::detached is task_group.cc.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"

namespace mimeo {

// All methods from the executor's thread, except cancel() (any thread). Members that hold a group
// declare it last: its tasks use everything above.
class TaskGroup {
 public:
  // `executor` runs the tasks; its context outlives the group.
  explicit TaskGroup(boost::asio::any_io_executor executor);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  // Cancels what still runs. Does not wait: call wait() first where tasks touch other members.
  ~TaskGroup();

  // Starts `task`. An exception that leaves it is logged with `name` and ends only that task. After
  // cancel() nothing starts any more. Name the awaitable or pass a function call: never a capturing
  // lambda coroutine.
  void spawn(std::string name, boost::asio::awaitable<void> task);

  // Asks every task to end: its current operation completes with operation_aborted, and a later
  // co_await throws that, which quietly ends the task. Work on a BlockingPool runs to its end
  // first.
  void cancel();

  // Suspends until no task runs; kDeadlineExceeded (with their names) after `limit`, kCancelled
  // when the caller is cancelled. Not from one of its own tasks.
  boost::asio::awaitable<Status> wait(std::chrono::milliseconds limit);

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] boost::asio::any_io_executor executor() const;  // Any thread.

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the tasks' completion handlers.
};

// Suspends for `duration`. False when cancelled meanwhile: `while (co_await sleep_for(1s)) ...`.
boost::asio::awaitable<bool> sleep_for(std::chrono::milliseconds duration);

}  // namespace mimeo
