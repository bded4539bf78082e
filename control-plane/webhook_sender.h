// Delivers webhooks: `start` and `completed` from the outbox, whose rows are written together with
// the change that they tell of; `output` and `logs` from the event hub's newest state, at most one
// request per prediction and half second, never retried.
//
// Every request is signed as standard-webhooks prescribes. What the body looks like is the API's
// business: it comes in as a function.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/http/outbound.h"
#include "common/store/catalog.h"
#include "common/store/outbox.h"
#include "common/store/predictions.h"
#include "common/telemetry/metrics.h"
#include "control-plane/event_hub.h"
#include "control-plane/prediction_intake.h"
#include "control-plane/result_committer.h"
#include "control-plane/result_watch.h"

namespace mimeo::control {

// All outlive the sender.
struct WebhookParts {
  store::OutboxStore& outbox;
  store::CatalogStore& catalog;  // For the accounts' secrets.
  PredictionIntake& intake;
  EventHub& hub;
  ResultCommitter& committer;
  ResultWatch& watch;
  const RecentPredictions& recent;
  BlockingPool& read_pool;
  BlockingPool& send_pool;  // One thread per request under way.
  const Clock& clock;
  Metrics& metrics;
  // The JSON that GET would answer; for predictions and trainings.
  std::function<std::string(const store::PredictionView&)> render;
  // Sends one request; called on a thread of send_pool. The real one is http::Outbound.
  std::function<Result<http::Response>(const http::OutboundRequest&)> send;
};

struct WebhookOptions {
  std::chrono::milliseconds poll_every{500};  // How late a row of somebody else is seen.
  std::chrono::milliseconds throttle{500};    // Between two `output` or `logs` of one prediction.
  std::chrono::milliseconds timeout{10'000};  // Of one request.
  std::chrono::milliseconds wait_for_progress{2000};  // `completed` waits for an earlier request.
  // Before the second, third, ... try of `completed`; then it is given up. The last one comes about
  // a minute after the first.
  std::vector<std::chrono::milliseconds> retry_after{
      std::chrono::seconds(1), std::chrono::seconds(4), std::chrono::seconds(15),
      std::chrono::seconds(40)};
  std::size_t in_flight = 64;          // Requests and waiting requests in all.
  std::size_t in_flight_per_host = 8;  // One slow receiver must not take all.
  int failures_to_open = 5;            // In a row; then the host is left alone for a while.
  std::chrono::milliseconds open_for{5000};
};

// Headers webhook-id, webhook-timestamp and webhook-signature of `body`; `secret` is "whsec_" and
// base64. kInvalidArgument for another form of secret.
[[nodiscard]] Result<http::Headers> sign_webhook(std::string_view secret, std::string_view id,
                                                 WallTime at, std::string_view body);

// On the HTTP thread only.
class WebhookSender {
 public:
  virtual ~WebhookSender() = default;
  virtual void start() = 0;
  // What is under way is finished or left to another sender, which sees it after a minute.
  virtual boost::asio::awaitable<void> stop() = 0;
};

std::unique_ptr<WebhookSender> make_webhook_sender(boost::asio::any_io_executor executor,
                                                   WebhookParts parts, WebhookOptions options = {});

}  // namespace mimeo::control
