// How many webhooks are under way, in all, to one receiver and for one account; and which receivers
// are left alone for a while because they do not answer. So a receiver that is slow or down delays
// nobody else's webhooks, nor does an account with many of those.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <utility>

#include "common/async/signal_event.h"
#include "common/base/clock.h"
#include "common/base/ids.h"

namespace mimeo::control {

struct WebhookGateLimits {
  std::size_t in_flight = 32;
  std::size_t in_flight_per_host = 8;  // One slow receiver must not take all.
  std::size_t in_flight_per_account = 16;
  std::size_t reserved = 8;  // Of in_flight, for accounts that have none under way.
  std::size_t waiting = 4096;
  std::size_t waiting_per_host = 2048;  // Of several accounts: one alone must not fill its line.
  std::size_t waiting_per_account = 512;
  int failures_to_open = 5;  // In a row; then the host is left alone.
  std::chrono::milliseconds open_for{5000};
};

enum class Entry : std::uint8_t {
  kGo,         // leave() must follow.
  kFull,       // No place, nor one in time.
  kLeftAlone,  // The host failed several times in a row; see `until`.
};
struct Admission {
  Entry entry = Entry::kFull;
  SteadyTime until;  // With kLeftAlone: the next try makes sense then.
};

// What a request says about the host, not about the receiver's opinion of the request.
enum class HostHealth : std::uint8_t {
  kUp,       // It answered.
  kDown,     // No connection, no answer in time, or a gateway that says so.
  kUnknown,  // Nothing was sent.
};

// Whether a host that is left alone may be asked all the same.
enum class Patience : std::uint8_t { kNormal, kAskAnyway };

// On one executor's thread only. After a while of leaving a host alone one request is let through;
// only when that one finds it up do the others follow.
class WebhookGate {
 public:
  WebhookGate(boost::asio::any_io_executor executor, const Clock& clock,
              WebhookGateLimits limits = {});

  // Suspends until there is a place, at most for `limit`. Of those that may go, the account with
  // the fewest under way goes first, then the host, then who waits longest.
  boost::asio::awaitable<Admission> enter(std::string host, AccountId account,
                                          std::chrono::milliseconds limit,
                                          Patience patience = Patience::kNormal);
  void leave(const std::string& host, AccountId account, HostHealth health);
  // Leaves when it dies, however its coroutine ends. Made right after kGo.
  class Place {
   public:
    Place(WebhookGate& gate, std::string host, AccountId account)
        : gate_(gate), host_(std::move(host)), account_(account) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { gate_.leave(host_, account_, health); }

    HostHealth health = HostHealth::kUnknown;  // As it was found.

   private:
    WebhookGate& gate_;
    const std::string host_;
    const AccountId account_;
  };
  // Nobody enters any more, and who waits is told kFull.
  void close();
  [[nodiscard]] bool is_closed() const { return is_closed_; }
  // Suspends until nobody is in or waits; false after `limit`. Behind close().
  boost::asio::awaitable<bool> wait_empty(std::chrono::milliseconds limit);

  [[nodiscard]] std::size_t in_flight() const { return in_flight_; }
  [[nodiscard]] std::size_t waiting() const { return waiters_.size(); }

 private:
  struct Host {
    std::size_t in_flight = 0;
    std::size_t waiting = 0;
    int failures = 0;  // In a row.
    SteadyTime closed_until;
    bool is_probed = false;  // One request finds out whether it is up again.
  };
  struct Account {
    std::size_t in_flight = 0;
    std::size_t waiting = 0;
  };
  // Host and account stay where they are while somebody waits for them.
  struct Waiter {
    Waiter(const boost::asio::any_io_executor& executor, Host& host_in, Account& account_in,
           Patience patience_in)
        : host(host_in), account(account_in), patience(patience_in), timer(executor) {}
    Host& host;
    Account& account;
    const Patience patience;
    boost::asio::steady_timer timer;  // Cancelled when `admission` is there.
    bool is_told = false;
    Admission admission;
  };
  class Registration;

  [[nodiscard]] bool has_place(const Host& host, const Account& account) const;
  [[nodiscard]] bool is_open(const Host& host) const;
  [[nodiscard]] bool is_left_alone(const Host& host, Patience patience) const;
  [[nodiscard]] Admission left_alone(const Host& host) const;
  Admission admit(Host& host, Account& account);
  static void tell(Waiter& waiter, Admission admission);
  [[nodiscard]] Waiter* next() const;
  void wake();
  void forget_idle();
  void note_empty();

  const boost::asio::any_io_executor executor_;
  const Clock& clock_;
  const WebhookGateLimits limits_;
  std::map<std::string, Host> hosts_;
  std::map<AccountId, Account> accounts_;
  std::list<Waiter*> waiters_;  // Owned by the waiting coroutines.
  std::size_t in_flight_ = 0;
  bool is_closed_ = false;
  SignalEvent empty_;  // Set when is_closed_ and nobody is in or waits.
};

}  // namespace mimeo::control
