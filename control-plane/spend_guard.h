// Whether an account may still start predictions and trainings this month, without asking the
// database each time. What is spent is counted by metering.h, what may be spent is set by the
// operator and by the account (store/usage.h).
//
// What it knows is a few seconds old. An account below its limit goes on with that while it is read
// again: it can overshoot by what it starts in kKeptFor, plus what metering has not counted yet. An
// account at its limit is refused only on what was read within the last second, so that a raised
// limit helps at once.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <unordered_map>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/store/usage.h"

namespace mimeo::control {

// On the HTTP thread only.
class SpendGuard {
 public:
  SpendGuard(boost::asio::any_io_executor executor, BlockingPool& pool, store::UsageStore& usage,
             const Clock& clock)
      : pool_(pool), usage_(usage), clock_(clock), tasks_(std::move(executor)) {}

  // Suspends for a read when nothing recent is known of the account. True also when the database
  // does not answer: then nothing is created anyway.
  boost::asio::awaitable<bool> may_spend(AccountId account);
  // The account's limit was changed here: the next call reads it.
  void forget(AccountId account) { known_.erase(account); }
  // Ends reads in the background.
  void cancel() { tasks_.cancel(); }
  [[nodiscard]] bool is_idle() const { return tasks_.size() == 0; }

 private:
  struct Known {
    bool is_reached = false;
    SteadyTime read_at;
    WallTime month_end;  // Of the month that it is about.
    bool is_being_read = false;
  };

  boost::asio::awaitable<void> read(AccountId account);

  BlockingPool& pool_;
  store::UsageStore& usage_;
  const Clock& clock_;
  std::unordered_map<AccountId, Known> known_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

}  // namespace mimeo::control
