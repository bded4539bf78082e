#include "control-plane/predictions/queue_limits.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

using std::chrono::seconds;

// More is forgotten all at once; every account is then counted anew by the database.
constexpr std::size_t kMaxAccounts = 50'000;
constexpr std::size_t kMaxUnfinished = 500'000;

}  // namespace

boost::asio::awaitable<Status> QueueLimits::enter(AccountId account, std::int32_t max_queued) {
  if (counts_.size() > kMaxAccounts || unfinished_.size() > kMaxUnfinished) {
    counts_.clear();
    unfinished_.clear();
  }
  const bool is_full = counts_[account].is_counted && counts_[account].unfinished >= max_queued;
  const bool is_stale = clock_.steady() - counts_[account].counted_at >= seconds(1);
  if (!counts_[account].is_counted || (is_full && is_stale)) {
    counts_[account].counted_at = clock_.steady();  // Others do not ask at the same time.
    counts_[account].is_counted = true;
    auto read = [this, account] { return predictions_.count_active(account); };
    const Result<std::int64_t> counted = co_await pool_.run(std::move(read));
    if (counted.ok()) {
      counts_[account].unfinished = *counted;
    } else {
      log::debug("counting predictions of account={}: {}", account, counted.status().ToString());
    }
  }
  Count& count = counts_[account];
  if (count.unfinished >= max_queued) {
    co_return absl::ResourceExhaustedError(absl::StrCat(
        "You have ", max_queued, " unfinished predictions; wait for some of them to finish."));
  }
  ++count.unfinished;
  co_return absl::OkStatus();
}

void QueueLimits::created(PredictionId id, AccountId account) { unfinished_.emplace(id, account); }

void QueueLimits::ended(PredictionId id) {
  const auto it = unfinished_.find(id);
  if (it == unfinished_.end()) return;
  leave(it->second);
  unfinished_.erase(it);
}

void QueueLimits::leave(AccountId account) {
  const auto it = counts_.find(account);
  if (it != counts_.end())
    it->second.unfinished = std::max<std::int64_t>(0, it->second.unfinished - 1);
}

}  // namespace mimeo::control
