#include "common/async/task_group.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <list>
#include <utility>
#include <vector>

#include "common/telemetry/log.h"

namespace mimeo {

namespace asio = boost::asio;

struct TaskGroup::State {
  struct Task {
    std::string name;
    asio::cancellation_signal cancel;
  };

  explicit State(asio::any_io_executor executor_in) : executor(std::move(executor_in)) {}

  void finished(const std::shared_ptr<Task>& task, std::exception_ptr failure) {
    tasks.remove(task);
    if (tasks.empty()) {
      for (auto* waiter : waiters) waiter->cancel();
    }
    if (!failure) return;
    try {
      std::rethrow_exception(std::move(failure));
    } catch (const boost::system::system_error& e) {
      // How a cancelled coroutine unwinds: nothing to report.
      if (is_cancelled && e.code() == asio::error::operation_aborted) return;
      log::error("background task failed task={} error=\"{}\"", task->name, e.what());
    } catch (const std::exception& e) {
      log::error("background task failed task={} error=\"{}\"", task->name, e.what());
    } catch (...) {
      log::error("background task failed task={} error=\"unknown exception\"", task->name);
    }
  }

  const asio::any_io_executor executor;
  std::list<std::shared_ptr<Task>> tasks;  // This and the rest on the executor only.
  std::list<asio::steady_timer*> waiters;
  bool is_cancelled = false;
};

TaskGroup::TaskGroup(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

TaskGroup::~TaskGroup() { cancel(); }

void TaskGroup::spawn(std::string name, asio::awaitable<void> task) {
  if (state_->is_cancelled) return;
  auto entry = std::make_shared<State::Task>();
  entry->name = std::move(name);
  state_->tasks.push_back(entry);
  asio::co_spawn(state_->executor, std::move(task),
                 asio::bind_cancellation_slot(entry->cancel.slot(),
                                              [state = state_, entry](std::exception_ptr failure) {
                                                state->finished(entry, std::move(failure));
                                              }));
}

void TaskGroup::cancel() {
  asio::dispatch(state_->executor, [state = state_] {
    state->is_cancelled = true;
    const std::vector<std::shared_ptr<State::Task>> running(state->tasks.begin(),
                                                            state->tasks.end());
    for (const auto& task : running) task->cancel.emit(asio::cancellation_type::terminal);
  });
}

asio::awaitable<Status> TaskGroup::wait(std::chrono::milliseconds limit) {
  const std::shared_ptr<State> state = state_;
  asio::steady_timer timer(state->executor, limit);
  while (!state->tasks.empty()) {
    auto place = state->waiters.insert(state->waiters.end(), &timer);
    boost::system::error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    state->waiters.erase(place);
    if (state->tasks.empty()) break;
    if (!error) {
      std::string names;
      for (const auto& task : state->tasks) names += (names.empty() ? "" : ", ") + task->name;
      co_return absl::DeadlineExceededError("still running: " + names);
    }
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) {
      co_return absl::CancelledError("waiting for background tasks was cancelled");
    }
    // A new task came between the last one's end and now: wait on, for what is left of the limit.
  }
  co_return absl::OkStatus();
}

std::size_t TaskGroup::size() const { return state_->tasks.size(); }

asio::any_io_executor TaskGroup::executor() const { return state_->executor; }

asio::awaitable<bool> sleep_for(std::chrono::milliseconds duration) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, duration);
  boost::system::error_code error;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

}  // namespace mimeo
