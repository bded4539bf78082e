// Carries one webhook to its receiver: signs it, sends it, and says what happened in the words of
// the log. When and whether to send is decided by others (gate.h, sender.h).

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/http/outbound.h"
#include "common/store/webhook_log.h"
#include "common/telemetry/metrics.h"
#include "control-plane/webhooks/gate.h"

namespace mimeo::control {

// All outlive the courier.
struct CourierParts {
  store::WebhookLogStore& log;  // For the accounts' secrets.
  BlockingPool& read_pool;
  BlockingPool& send_pool;  // One thread per request under way.
  const Clock& clock;
  Metrics& metrics;
  // Sends one request; called on a thread of send_pool. The real one is http::Outbound.
  std::function<Result<http::Response>(const http::OutboundRequest&)> send;
};

struct Webhook {
  AccountId account = 0;
  std::string url;
  std::string id;
  std::string body;
  std::chrono::milliseconds timeout{10'000};
  std::size_t logged_bytes = 16'384;  // Of the body.
};

struct WebhookReceipt {
  // OK: the receiver answered 2xx. kInvalidArgument, kNotFound, kPermissionDenied: trying again is
  // of no use. kCancelled: stop() came first. kUnavailable and others otherwise.
  Status status;
  HostHealth health = HostHealth::kUnknown;
  store::WebhookAttempt attempt;
};

// On the HTTP thread only.
class WebhookCourier {
 public:
  explicit WebhookCourier(CourierParts parts);

  // Suspends for at most the webhook's timeout and a read of the account's secrets, which are
  // remembered for a few seconds.
  boost::asio::awaitable<WebhookReceipt> deliver(Webhook webhook);
  // Ends what is under way within about a second, with kCancelled; nothing is sent any more.
  void stop() { stop_.request_stop(); }
  // Its secret was replaced just now.
  void forget_secrets(AccountId account) { secrets_.erase(account); }

 private:
  struct Errand;

  boost::asio::awaitable<Result<std::vector<std::string>>> secrets_of(AccountId account);

  const CourierParts parts_;
  prometheus::Counter& delivered_;
  prometheus::Counter& failed_;
  prometheus::Histogram& seconds_;
  std::map<AccountId, std::pair<std::vector<std::string>, SteadyTime>> secrets_;
  std::stop_source stop_;
};

}  // namespace mimeo::control
