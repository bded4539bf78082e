// Whether an account may still start predictions and trainings this month, without asking the
// database each time. What is spent is counted by metering.h, what may be spent is set by the
// operator and by the account (store/usage.h).
//
// What it knows is a few seconds old. An account below its limit goes on with that while it is read
// again: it can overshoot by what it starts in kKeptFor, plus what metering has not counted yet. An
// account at its limit is refused only on what was read within the last second, so that a raised
// limit helps at once. While the database does not answer, what was known last holds: an account at
// its limit stays there, and only one of which nothing was ever read goes on.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "common/async/blocking_pool.h"
#include "common/async/signal_event.h"
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

  // Suspends for a read when nothing recent is known of the account. All who wait for one account
  // share a read.
  boost::asio::awaitable<bool> may_spend(AccountId account);
  // The account's limit was changed here: the next call reads it, and what is being read already
  // does not count.
  void forget(AccountId account);
  // Ends reads in the background.
  void cancel() { tasks_.cancel(); }
  [[nodiscard]] bool is_idle() const { return tasks_.size() == 0; }

 private:
  struct Known {
    std::optional<bool> is_reached;      // As read last; nullopt: never.
    WallTime month_end;                  // Of the month that it is about.
    std::optional<SteadyTime> asked_at;  // When the last read ended, whatever came of it.
    std::uint64_t reading = 0;           // The number of the read that counts; 0: none.
    std::weak_ptr<SignalEvent> is_read;  // Set when it ends; gone when it is given up.
  };

  [[nodiscard]] bool must_wait(const Known& known) const;
  [[nodiscard]] bool is_refused(const Known& known) const;
  std::shared_ptr<SignalEvent> begin_read(AccountId account);
  boost::asio::awaitable<void> read(AccountId account, std::uint64_t number,
                                    std::shared_ptr<SignalEvent> is_read);
  void note(AccountId account, std::uint64_t number, const Result<bool>& is_reached, WallTime at);
  void make_room();

  BlockingPool& pool_;
  store::UsageStore& usage_;
  const Clock& clock_;
  std::unordered_map<AccountId, Known> known_;
  std::uint64_t reads_ = 0;  // Never repeats: a result finds out whether it is still asked for.
  TaskGroup tasks_;          // Last: its tasks use everything above.
};

}  // namespace mimeo::control
