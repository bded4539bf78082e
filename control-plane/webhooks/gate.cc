#include "control-plane/webhooks/gate.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kRemembered = 4096;             // Hosts, and accounts.
constexpr std::chrono::milliseconds kProbeTime{500};  // Until the probe's answer may be known.

}  // namespace

// Keeps a waiter in the line for as long as its coroutine waits, however that ends.
class WebhookGate::Registration {
 public:
  Registration(WebhookGate& gate, Waiter& waiter) : gate_(gate), waiter_(waiter) {
    entry_ = gate_.waiters_.insert(gate_.waiters_.end(), &waiter_);
    ++waiter_.host.waiting;
    ++waiter_.account.waiting;
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() {
    gate_.waiters_.erase(entry_);
    --waiter_.host.waiting;
    --waiter_.account.waiting;
    gate_.note_empty();
  }

 private:
  WebhookGate& gate_;
  Waiter& waiter_;
  std::list<Waiter*>::iterator entry_;
};

WebhookGate::WebhookGate(asio::any_io_executor executor, const Clock& clock,
                         WebhookGateLimits limits)
    : executor_(std::move(executor)), clock_(clock), limits_(limits), empty_(executor_) {}

bool WebhookGate::is_open(const Host& host) const {
  return host.failures >= limits_.failures_to_open;
}

bool WebhookGate::is_left_alone(const Host& host, Patience patience) const {
  return patience == Patience::kNormal && is_open(host) &&
         (host.is_probed || host.closed_until > clock_.steady());
}

bool WebhookGate::has_place(const Host& host, const Account& account) const {
  const std::size_t reserved = account.in_flight == 0 ? 0 : limits_.reserved;
  return in_flight_ + reserved < limits_.in_flight && host.in_flight < limits_.in_flight_per_host &&
         account.in_flight < limits_.in_flight_per_account;
}

Admission WebhookGate::left_alone(const Host& host) const {
  Admission admission;
  admission.entry = Entry::kLeftAlone;
  admission.until = std::max(host.closed_until, clock_.steady() + kProbeTime);
  return admission;
}

// With a place at hand.
Admission WebhookGate::admit(Host& host, Account& account) {
  if (is_open(host)) host.is_probed = true;
  ++in_flight_;
  ++host.in_flight;
  ++account.in_flight;
  Admission admission;
  admission.entry = Entry::kGo;
  return admission;
}

asio::awaitable<Admission> WebhookGate::enter(std::string name, AccountId account_id,
                                              std::chrono::milliseconds limit, Patience patience) {
  forget_idle();
  const Admission full;
  if (is_closed_) co_return full;
  Host& host = hosts_[name];
  Account& account = accounts_[account_id];
  if (is_left_alone(host, patience)) co_return left_alone(host);
  // Whoever waits and could take this place has been given one: see wake().
  if (has_place(host, account)) co_return admit(host, account);
  if (waiters_.size() >= limits_.waiting || host.waiting >= limits_.waiting_per_host ||
      account.waiting >= limits_.waiting_per_account) {
    co_return full;
  }
  Waiter waiter(executor_, host, account, patience);
  const Registration registration(*this, waiter);
  waiter.timer.expires_after(limit);
  co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return waiter.admission;  // kFull when nobody told it anything.
}

void WebhookGate::leave(const std::string& name, AccountId account, HostHealth health) {
  Host& host = hosts_[name];
  --in_flight_;
  --host.in_flight;
  --accounts_[account].in_flight;
  if (health == HostHealth::kUp) host.failures = 0;
  if (health == HostHealth::kDown && ++host.failures >= limits_.failures_to_open) {
    host.closed_until = clock_.steady() + limits_.open_for;
  }
  host.is_probed = false;
  wake();
  note_empty();
}

void WebhookGate::tell(Waiter& waiter, Admission admission) {
  waiter.admission = admission;
  waiter.is_told = true;
  waiter.timer.cancel();
}

// Who goes next; null when nobody may.
WebhookGate::Waiter* WebhookGate::next() const {
  Waiter* best = nullptr;
  for (Waiter* waiter : waiters_) {
    if (waiter->is_told || !has_place(waiter->host, waiter->account)) continue;
    const auto load = [](const Waiter& w) {
      return std::pair(w.account.in_flight, w.host.in_flight);
    };
    if (best == nullptr || load(*waiter) < load(*best)) best = waiter;
  }
  return best;
}

void WebhookGate::wake() {
  for (;;) {
    // An admission may make a host one that is being probed, so this comes each time.
    for (Waiter* waiter : waiters_) {
      if (waiter->is_told || !is_left_alone(waiter->host, waiter->patience)) continue;
      tell(*waiter, left_alone(waiter->host));
    }
    Waiter* chosen = next();
    if (chosen == nullptr) return;
    tell(*chosen, admit(chosen->host, chosen->account));
  }
}

void WebhookGate::close() {
  is_closed_ = true;
  const Admission full;
  for (Waiter* waiter : waiters_) {
    if (!waiter->is_told) tell(*waiter, full);
  }
  note_empty();
}

void WebhookGate::note_empty() {
  if (is_closed_ && in_flight_ == 0 && waiters_.empty()) empty_.set();
}

asio::awaitable<bool> WebhookGate::wait_empty(std::chrono::milliseconds limit) {
  return empty_.wait_for(limit);
}

void WebhookGate::forget_idle() {
  if (accounts_.size() >= kRemembered) {
    std::erase_if(accounts_, [](const auto& entry) {
      return entry.second.in_flight == 0 && entry.second.waiting == 0;
    });
  }
  if (hosts_.size() < kRemembered) return;
  const SteadyTime now = clock_.steady();
  std::erase_if(hosts_, [now](const auto& entry) {
    return entry.second.in_flight == 0 && entry.second.waiting == 0 &&
           entry.second.closed_until <= now;
  });
}

}  // namespace mimeo::control
