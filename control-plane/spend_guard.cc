#include "control-plane/spend_guard.h"

#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

using std::chrono::seconds;

constexpr seconds kFreshFor{5};    // Then it is read again, while requests go on.
constexpr seconds kKeptFor{15};    // Then requests wait for the read.
constexpr seconds kReachedFor{1};  // Likewise, of an account that is refused.
// More is forgotten all at once; every account is then read anew.
constexpr std::size_t kMaxAccounts = 50'000;

}  // namespace

boost::asio::awaitable<bool> SpendGuard::may_spend(AccountId account) {
  const SteadyTime now = clock_.steady();
  const auto found = known_.find(account);
  bool must_wait = found == known_.end();
  if (!must_wait) {
    Known& known = found->second;
    const auto age = now - known.read_at;
    must_wait =
        age >= (known.is_reached ? kReachedFor : kKeptFor) || clock_.now() >= known.month_end;
    if (!must_wait && age >= kFreshFor && !known.is_being_read) {
      known.is_being_read = true;
      tasks_.spawn("read what was spent", read(account));
    }
  }
  if (must_wait) co_await read(account);
  const auto known = known_.find(account);
  co_return known == known_.end() || !known->second.is_reached;
}

boost::asio::awaitable<void> SpendGuard::read(AccountId account) {
  const WallTime now = clock_.now();
  // Not `this`: a thread of the pool may be at it when we are gone.
  auto get = [usage = &usage_, account, now] { return usage->get_spend(account, now); };
  const Result<store::Spend> spend = co_await pool_.run(std::move(get));
  if (!spend.ok()) {
    log::debug("reading what account={} spent: {}", account, spend.status().ToString());
    known_.erase(account);
    co_return;
  }
  if (known_.size() >= kMaxAccounts) known_.clear();
  Known known;
  known.is_reached = spend->is_reached();
  known.read_at = clock_.steady();
  known.month_end = store::month_end(now);
  known_[account] = known;
}

}  // namespace mimeo::control
