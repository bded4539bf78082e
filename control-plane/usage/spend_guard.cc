#include "control-plane/usage/spend_guard.h"

#include <utility>

#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

using std::chrono::seconds;

constexpr seconds kFreshFor{5};  // Then it is read again, while requests go on.
constexpr seconds kKeptFor{15};  // Then requests wait for the read.
constexpr seconds kAskedFor{1};  // Likewise, of an account that is refused or unknown.
// More are forgotten all at once; every account is then read anew.
constexpr std::size_t kMaxAccounts = 50'000;

}  // namespace

bool SpendGuard::must_wait(const Known& known) const {
  if (!known.asked_at) return true;
  const bool is_certain = known.is_reached == false && clock_.now() < known.month_end;
  return clock_.steady() - *known.asked_at >= (is_certain ? kKeptFor : kAskedFor);
}

bool SpendGuard::is_refused(const Known& known) const {
  return known.is_reached == true && clock_.now() < known.month_end;
}

boost::asio::awaitable<bool> SpendGuard::may_spend(AccountId account) {
  make_room();
  while (must_wait(known_[account])) {
    std::shared_ptr<SignalEvent> is_read = known_[account].is_read.lock();
    if (is_read == nullptr) is_read = begin_read(account);
    if (is_read.use_count() == 1) break;  // Nobody reads: we are about to be gone.
    boost::asio::awaitable<bool> end = is_read->wait();
    is_read.reset();  // So that a read that is given up wakes us.
    co_await std::move(end);
    // Again: the limit may have been changed while it was read.
  }
  const Known& known = known_[account];
  const bool is_old = known.asked_at && clock_.steady() - *known.asked_at >= kFreshFor;
  if (is_old && known.is_read.expired()) begin_read(account);
  co_return !is_refused(known_[account]);
}

void SpendGuard::forget(AccountId account) {
  const auto found = known_.find(account);
  if (found == known_.end()) return;
  found->second.asked_at.reset();
  found->second.reading = 0;
  found->second.is_read.reset();
}

std::shared_ptr<SignalEvent> SpendGuard::begin_read(AccountId account) {
  auto is_read = std::make_shared<SignalEvent>(tasks_.executor());
  Known& known = known_[account];
  known.reading = ++reads_;
  known.is_read = is_read;
  tasks_.spawn("read what was spent", read(account, reads_, is_read));
  return is_read;
}

boost::asio::awaitable<void> SpendGuard::read(AccountId account, std::uint64_t number,
                                              std::shared_ptr<SignalEvent> is_read) {
  const WallTime now = clock_.now();
  // Not `this`: a thread of the pool may be at it when we are gone.
  auto get = [usage = &usage_, account, now] { return usage->is_limit_reached(account, now); };
  const Result<bool> is_reached = co_await pool_.run(std::move(get));
  note(account, number, is_reached, now);
  is_read->set();
}

// What was read at `at`.
void SpendGuard::note(AccountId account, std::uint64_t number, const Result<bool>& is_reached,
                      WallTime at) {
  const auto found = known_.find(account);
  if (found == known_.end() || found->second.reading != number) return;  // Out of date.
  Known& known = found->second;
  known.reading = 0;
  known.is_read.reset();
  known.asked_at = clock_.steady();
  if (!is_reached.ok()) {
    log::warn("reading what account={} spent: {}", account, is_reached.status().ToString());
    return;
  }
  known.is_reached = *is_reached;
  known.month_end = store::month_end(at);
}

void SpendGuard::make_room() {
  if (known_.size() < kMaxAccounts) return;
  std::erase_if(known_, [](const auto& entry) { return entry.second.is_read.expired(); });
}

}  // namespace mimeo::control
