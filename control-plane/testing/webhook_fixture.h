// A core with a webhook sender before a receiver that the test plays.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/http/outbound.h"
#include "control-plane/testing/core_fixture.h"
#include "control-plane/webhooks/sender.h"
#include "control-plane/webhooks/signature.h"

namespace mimeo::control {

// The other end of every webhook: keeps what comes and answers what the test says.
class Receiver {
 public:
  Result<http::Response> take(const http::OutboundRequest& request) {
    std::unique_lock lock(mutex_);
    requests_.push_back(request);
    // As a receiver that does not answer, until the sender breaks it off.
    released_.wait(lock, request.stop, [&] { return !is_held_; });
    if (request.stop.stop_requested()) return absl::CancelledError("stopped");
    if (!failure_.ok()) return failure_;
    http::Response response;
    response.status = status_;
    response.headers.add("Server", "test");
    response.body = "thanks";
    return response;
  }
  void answer(int status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
    failure_ = absl::OkStatus();
  }
  void fail(Status failure) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  void hold() {
    const std::lock_guard lock(mutex_);
    is_held_ = true;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    is_held_ = false;
    released_.notify_all();
  }
  std::vector<http::OutboundRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::vector<std::string> bodies() {
    std::vector<std::string> bodies;
    for (const auto& request : requests()) bodies.push_back(request.body);
    return bodies;
  }
  std::vector<std::string> ids() {
    std::vector<std::string> ids;
    for (const auto& request : requests()) ids.emplace_back(request.headers.get("webhook-id"));
    return ids;
  }
  std::size_t count() { return requests().size(); }
  std::size_t count(const std::string& url_part) {
    const auto all = requests();
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const auto& r) {
      return r.url.find(url_part) != std::string::npos;
    }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any released_;
  std::vector<http::OutboundRequest> requests_;
  Status failure_;
  int status_ = 200;
  bool is_held_ = false;
};

class WebhookTest : public CoreTest {
 protected:
  WebhookTest() {
    account_.username = "hooked";
    account_.webhook_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    account_ = *store_.create_account(account_);
    options_.poll_every = std::chrono::milliseconds(5);
    options_.throttle = std::chrono::milliseconds(0);
    options_.first_progress_after = std::chrono::milliseconds(0);
    options_.retry_after = {std::chrono::milliseconds(0), std::chrono::milliseconds(0)};
    options_.gate.failures_to_open = 1000;
  }
  ~WebhookTest() override {
    receiver_.release();
    if (sender_) stop(*sender_);
  }
  void stop(WebhookSender& sender) { loop_.run(stopped(&sender)); }
  static boost::asio::awaitable<bool> stopped(WebhookSender* sender) {
    co_await sender->stop();
    co_return true;
  }
  // The sender of one control plane.
  std::unique_ptr<WebhookSender> make_sender(CorePlane& plane) {
    WebhookParts parts{store_,
                       store_,
                       *plane.intake,
                       *plane.hub,
                       plane.committer,
                       plane.watch,
                       plane.recent,
                       plane.reads,
                       sends_,
                       clock_,
                       random_,
                       plane.metrics,
                       ids_.next(),
                       [](const store::PredictionView& view) {
                         return std::string(to_string(view.status)) + " " + view.output;
                       },
                       [this](const http::OutboundRequest& r) { return send_(r); }};
    return make_webhook_sender(loop_.executor(), std::move(parts), options_);
  }
  void start() {
    sender_ = make_sender(*plane_);
    sender_->start();
  }
  store::PredictionView create_hooked(std::uint8_t events,
                                      const std::string& url = "https://example.com/hook?a=b") {
    return create_hooked(events, url, account_);
  }
  store::PredictionView create_hooked(std::uint8_t events, const std::string& url,
                                      const store::Account& account) {
    plane_->scheduler.grant = grant_;
    IntakeRequest wanted = request();
    wanted.account = account;
    wanted.webhook = url;
    wanted.webhook_events = events;
    return *loop_.run(plane_->intake->create(wanted));
  }
  void wait_for(std::size_t count) {
    loop_.drive([&] { return receiver_.count() >= count; });
  }
  // Nothing is owed, whoever asks.
  bool is_outbox_empty() {
    return store_.claim_due(10, std::chrono::milliseconds(0), ids_.next())->empty();
  }
  // Runs the loop for a while in which something could wrongly happen.
  void run_for_a_while() {
    for (int i = 0; i < 50; ++i) {
      loop_.settle();
      loop_.run(pause());
    }
  }
  static boost::asio::awaitable<bool> pause() {
    co_return co_await sleep_for(std::chrono::milliseconds(1));
  }
  store::Account add_account(const std::string& username) {
    store::Account account;
    account.username = username;
    account.webhook_secret = account_.webhook_secret;
    return *store_.create_account(account);
  }
  std::vector<store::LoggedWebhook> logged() {
    store::WebhookFilter filter;
    filter.account = account_.id;
    return *store_.list_webhooks(filter);
  }

  BlockingPool sends_{8};
  Receiver receiver_;
  // How requests leave; called on a thread of sends_.
  std::function<Result<http::Response>(const http::OutboundRequest&)> send_ =
      [this](const http::OutboundRequest& request) { return receiver_.take(request); };
  WebhookOptions options_;
  std::unique_ptr<WebhookSender> sender_;
};

}  // namespace mimeo::control
