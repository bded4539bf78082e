// Several coroutines at once, with one result: the first error, or OK when all went well.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/status.h"

namespace mimeo::worker {

namespace internal {
struct AllRuns {
  explicit AllRuns(boost::asio::any_io_executor executor) : done(std::move(executor)) {}
  SignalEvent done;
  std::size_t left = 0;
  Status status;
};
inline boost::asio::awaitable<void> run_one(std::shared_ptr<AllRuns> runs,
                                            boost::asio::awaitable<Status> task) {
  Status status = co_await std::move(task);
  if (runs->status.ok()) runs->status = std::move(status);
  if (--runs->left == 0) runs->done.set();
}
}  // namespace internal

// `what` names the tasks in logs. When the caller is cancelled, the tasks are too.
inline boost::asio::awaitable<Status> run_all(std::string what,
                                              std::vector<boost::asio::awaitable<Status>> tasks) {
  if (tasks.empty()) co_return absl::OkStatus();
  auto executor = co_await boost::asio::this_coro::executor;
  auto runs = std::make_shared<internal::AllRuns>(executor);
  runs->left = tasks.size();
  TaskGroup group(executor);
  for (auto& task : tasks) group.spawn(what, internal::run_one(runs, std::move(task)));
  const bool is_done = co_await runs->done.wait();
  if (!is_done) co_return absl::CancelledError(what + " was cancelled");
  co_return runs->status;
}

}  // namespace mimeo::worker
