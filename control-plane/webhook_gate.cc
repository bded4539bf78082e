#include "control-plane/webhook_gate.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kRememberedHosts = 4096;
constexpr std::chrono::milliseconds kProbeTime{500};  // Until the probe's answer may be known.

}  // namespace

// Keeps a waiter in the line for as long as its coroutine waits, however that ends.
class WebhookGate::Registration {
 public:
  Registration(WebhookGate& gate, Waiter& waiter) : gate_(gate), host_(waiter.host) {
    entry_ = gate_.waiters_.insert(gate_.waiters_.end(), &waiter);
    ++gate_.hosts_[host_].waiting;
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() {
    gate_.waiters_.erase(entry_);
    --gate_.hosts_[host_].waiting;
  }

 private:
  WebhookGate& gate_;
  const std::string host_;
  std::list<Waiter*>::iterator entry_;
};

WebhookGate::WebhookGate(asio::any_io_executor executor, const Clock& clock,
                         WebhookGateLimits limits)
    : executor_(std::move(executor)), clock_(clock), limits_(limits) {}

bool WebhookGate::is_open(const Host& host) const {
  return host.failures >= limits_.failures_to_open;
}

bool WebhookGate::has_place(const Host& host, AccountId account) const {
  const auto found = accounts_.find(account);
  const std::size_t of_account = found == accounts_.end() ? 0 : found->second;
  return in_flight_ < limits_.in_flight && host.in_flight < limits_.in_flight_per_host &&
         of_account < limits_.in_flight_per_account;
}

Admission WebhookGate::left_alone(const Host& host) const {
  Admission admission;
  admission.entry = Entry::kLeftAlone;
  admission.until = std::max(host.closed_until, clock_.steady() + kProbeTime);
  return admission;
}

// With a place at hand.
Admission WebhookGate::admit(Host& host, AccountId account) {
  if (is_open(host)) host.is_probed = true;
  ++in_flight_;
  ++host.in_flight;
  ++accounts_[account];
  Admission admission;
  admission.entry = Entry::kGo;
  return admission;
}

asio::awaitable<Admission> WebhookGate::enter(std::string name, AccountId account,
                                              std::chrono::milliseconds limit, Patience patience) {
  forget_idle_hosts();
  const Admission full;
  if (is_closed_) co_return full;
  Host& host = hosts_[name];
  const bool is_left_alone =
      is_open(host) && (host.is_probed || host.closed_until > clock_.steady());
  if (is_left_alone && patience == Patience::kNormal) co_return left_alone(host);
  const bool is_first = host.waiting == 0;
  if (is_first && has_place(host, account)) co_return admit(host, account);
  if (waiters_.size() >= limits_.waiting || host.waiting >= limits_.waiting_per_host) {
    co_return full;
  }
  Waiter waiter(executor_, std::move(name), account);
  const Registration registration(*this, waiter);
  waiter.timer.expires_after(limit);
  co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return waiter.admission;  // kFull when nobody told it anything.
}

void WebhookGate::leave(const std::string& name, AccountId account, HostHealth health) {
  Host& host = hosts_[name];
  --in_flight_;
  --host.in_flight;
  if (--accounts_[account] == 0) accounts_.erase(account);
  if (health == HostHealth::kUp) host.failures = 0;
  if (health == HostHealth::kDown && ++host.failures >= limits_.failures_to_open) {
    host.closed_until = clock_.steady() + limits_.open_for;
  }
  host.is_probed = false;
  wake();
}

void WebhookGate::wake() {
  for (Waiter* waiter : waiters_) {
    if (waiter->is_told) continue;
    Host& host = hosts_[waiter->host];
    const bool is_left_alone =
        is_open(host) && (host.is_probed || host.closed_until > clock_.steady());
    if (is_left_alone) {
      waiter->admission = left_alone(host);
    } else if (has_place(host, waiter->account)) {
      waiter->admission = admit(host, waiter->account);
    } else {
      continue;
    }
    waiter->is_told = true;
    waiter->timer.cancel();
  }
}

void WebhookGate::close() {
  is_closed_ = true;
  for (Waiter* waiter : waiters_) {
    if (waiter->is_told) continue;
    waiter->is_told = true;
    waiter->timer.cancel();
  }
}

void WebhookGate::forget_idle_hosts() {
  if (hosts_.size() < kRememberedHosts) return;
  const SteadyTime now = clock_.steady();
  std::erase_if(hosts_, [now](const auto& entry) {
    return entry.second.in_flight == 0 && entry.second.waiting == 0 &&
           entry.second.closed_until <= now;
  });
}

}  // namespace mimeo::control
