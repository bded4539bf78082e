// Delivers webhooks. What a prediction tells once comes from the outbox, whose rows are written
// together with the change that they tell of; it is here. `output` and `logs` of running
// predictions are progress.h's.
//
// What the body looks like is the API's business: it comes in as a function.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/http/outbound.h"
#include "common/store/outbox.h"
#include "common/store/predictions.h"
#include "common/telemetry/metrics.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/prediction_intake.h"
#include "control-plane/predictions/result_committer.h"
#include "control-plane/predictions/result_watch.h"
#include "control-plane/webhooks/courier.h"
#include "control-plane/webhooks/gate.h"

namespace mimeo::control {

// All outlive the sender.
struct WebhookParts {
  store::OutboxStore& outbox;
  store::WebhookLogStore& log;
  PredictionIntake& intake;
  EventHub& hub;
  ResultCommitter& committer;
  ResultWatch& watch;
  const RecentPredictions& recent;
  BlockingPool& read_pool;
  BlockingPool& send_pool;  // As many threads as gate.in_flight.
  const Clock& clock;
  Random& random;
  Metrics& metrics;
  ReplicaId sender;  // Of this process.
  // The JSON that GET would answer; for predictions and trainings.
  std::function<std::string(const store::PredictionView&)> render;
  // Sends one request; called on a thread of send_pool. The real one is http::Outbound.
  std::function<Result<http::Response>(const http::OutboundRequest&)> send;
};

struct WebhookOptions {
  std::chrono::milliseconds poll_every{500};  // How late a row of somebody else is seen.
  std::chrono::milliseconds throttle{500};    // Between two `output` or `logs` of one prediction.
  std::chrono::milliseconds first_progress_after{50};  // The first of those events.
  std::chrono::milliseconds timeout{10'000};           // Of one request.
  std::chrono::milliseconds progress_timeout{5000};    // Of one of `output` and `logs`.
  std::chrono::milliseconds hold{15'000};              // See progress.h.
  std::chrono::milliseconds lease{60'000};  // Longer than a delivery takes with all its waiting.
  std::chrono::milliseconds wait_for_place{15'000};
  // Before the second, third, ... try of the last that a prediction tells; then it is given up. The
  // last try comes about a minute after the first.
  std::vector<std::chrono::milliseconds> retry_after{
      std::chrono::seconds(1), std::chrono::seconds(4), std::chrono::seconds(15),
      std::chrono::seconds(40)};
  // While its host is left alone or has no place, a delivery is put off without counting a try,
  // until it is this old.
  std::chrono::milliseconds patience_alone{75'000};
  std::chrono::milliseconds patience_full{15 * 60'000};
  // Claimed and not settled, in all and of one account: what is above is put off, so that nobody's
  // slow receivers keep others from being looked at.
  std::size_t under_way = 8192;
  std::size_t under_way_per_account = 512;
  std::size_t tests_per_account = 2;           // Test requests at once.
  std::chrono::milliseconds stop_after{2000};  // When stopping, for requests under way.
  WebhookGateLimits gate;
};

// On the HTTP thread only.
class WebhookSender {
 public:
  virtual ~WebhookSender() = default;
  virtual void start() = 0;
  // No more begins. What is under way is waited for; what takes longer than a few seconds is broken
  // off and left to another sender. Behind it nothing uses the sender any more, unless the store
  // did not answer for long.
  virtual boost::asio::awaitable<void> stop() = 0;

  // Sends `body` now, signed, past the outbox and the log. kResourceExhausted when too many of
  // these, or of the receiver's, are under way; kUnavailable behind stop().
  virtual boost::asio::awaitable<Result<WebhookReceipt>> send_test(AccountId account,
                                                                   std::string url,
                                                                   std::string body) = 0;
  // Something became due just now.
  virtual void look_now() = 0;
  // This account's secret was replaced.
  virtual void forget_secrets(AccountId account) = 0;
};

std::unique_ptr<WebhookSender> make_webhook_sender(boost::asio::any_io_executor executor,
                                                   WebhookParts parts, WebhookOptions options = {});

}  // namespace mimeo::control
