#include "control-plane/webhook_sender.h"

#include <algorithm>
#include <condition_variable>

#include "common/crypto/crypto.h"
#include "control-plane/testing/core_fixture.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;
using store::PredictionView;

// The other end of every webhook: keeps what comes and answers what the test says.
class Receiver {
 public:
  Result<http::Response> take(const http::OutboundRequest& request) {
    std::unique_lock lock(mutex_);
    requests_.push_back(request);
    if (is_held_) released_.wait(lock, [&] { return !is_held_; });
    http::Response response;
    response.status = status_;
    return response;
  }
  void answer(int status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
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
  std::size_t count() { return requests().size(); }

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  std::vector<http::OutboundRequest> requests_;
  int status_ = 200;
  bool is_held_ = false;
};

class WebhookSenderTest : public CoreTest {
 protected:
  WebhookSenderTest() {
    account_.username = "hooked";
    account_.webhook_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    account_ = *store_.create_account(account_);
    options_.poll_every = 5ms;
    options_.throttle = 0ms;
    options_.retry_after = {0ms, 0ms};
    options_.open_for = 0ms;
  }
  ~WebhookSenderTest() override {
    receiver_.release();
    if (sender_) loop_.run(stop(sender_.get()));
  }
  static boost::asio::awaitable<bool> stop(WebhookSender* sender) {
    co_await sender->stop();
    co_return true;
  }
  void start() {
    WebhookParts parts{store_,
                       store_,
                       *plane_->intake,
                       *plane_->hub,
                       plane_->committer,
                       plane_->watch,
                       plane_->recent,
                       plane_->reads,
                       sends_,
                       system_,
                       plane_->metrics,
                       [](const PredictionView& view) {
                         return std::string(to_string(view.status)) + " " + view.output;
                       },
                       [this](const http::OutboundRequest& r) { return receiver_.take(r); }};
    sender_ = make_webhook_sender(loop_.executor(), std::move(parts), options_);
    sender_->start();
  }
  PredictionView create_hooked(std::uint8_t events) {
    plane_->scheduler.grant = grant_;
    IntakeRequest wanted = request();
    wanted.webhook = "https://example.com/hook?a=b";
    wanted.webhook_events = events;
    return *loop_.run(plane_->intake->create(wanted));
  }
  std::vector<std::string> bodies() {
    std::vector<std::string> bodies;
    for (const auto& request : receiver_.requests()) bodies.push_back(request.body);
    return bodies;
  }
  void wait_for(std::size_t count) {
    loop_.drive([&] { return receiver_.count() >= count; });
  }
  bool is_outbox_empty() { return store_.claim_due(10, 0ms)->empty(); }

  SystemClock system_;
  BlockingPool sends_{4};
  Receiver receiver_;
  WebhookOptions options_;
  std::unique_ptr<WebhookSender> sender_;
};

TEST(SignWebhook, MatchesTheStandardsTestVector) {
  const auto headers =
      sign_webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
                   WallTime{std::chrono::seconds{1614265330}}, R"({"test": 2432232314})");
  ASSERT_TRUE(headers.ok());
  EXPECT_EQ(headers->get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  EXPECT_EQ(headers->get("webhook-timestamp"), "1614265330");
}

TEST_F(WebhookSenderTest, TheEndIsDeliveredOnceSignedAndWithTheWholePrediction) {
  start();
  const PredictionView created = create_hooked(8);
  complete_and_wait(finish_of(created.id));
  wait_for(1);
  loop_.drive([&] { return is_outbox_empty(); });
  ASSERT_EQ(receiver_.count(), 1U);
  const http::OutboundRequest request = receiver_.requests().at(0);
  EXPECT_EQ(request.url, "https://example.com/hook?a=b");
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.body, "succeeded \"hello\"");
  EXPECT_EQ(request.max_redirects, 0);
  EXPECT_EQ(request.headers.get("content-type"), "application/json");
  EXPECT_TRUE(request.headers.get("webhook-id").starts_with("msg_"));
  EXPECT_TRUE(request.headers.get("webhook-signature").starts_with("v1,"));
}

TEST_F(WebhookSenderTest, AStartIsDeliveredBeforeTheEnd) {
  start();
  const PredictionView created = create_hooked(9);
  complete_and_wait(finish_of(created.id));
  wait_for(2);
  EXPECT_TRUE(receiver_.requests().at(0).headers.get("webhook-id").ends_with("_start"));
  EXPECT_TRUE(receiver_.requests().at(1).headers.get("webhook-id").ends_with("_completed"));
}

TEST_F(WebhookSenderTest, AnEndThatIsRefusedIsTriedAgainWithTheSameIdAndThenGivenUp) {
  receiver_.answer(500);
  start();
  const PredictionView created = create_hooked(8);
  complete_and_wait(finish_of(created.id));
  wait_for(3);
  loop_.drive([&] { return is_outbox_empty(); });
  const auto requests = receiver_.requests();
  EXPECT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].headers.get("webhook-id"), requests[2].headers.get("webhook-id"));
}

TEST_F(WebhookSenderTest, OutputOfARunningPredictionIsSentAsItsNewestState) {
  start();
  const PredictionView created = create_hooked(2);
  receiver_.hold();
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  publish(created.id, 3, EventKind::kOutput, "2");
  publish(created.id, 4, EventKind::kOutput, "3");
  receiver_.release();
  wait_for(2);
  loop_.settle();
  EXPECT_EQ(bodies(), (std::vector<std::string>{"processing [1]", "processing [1,2,3]"}));
}

TEST_F(WebhookSenderTest, OnlyWhatWasAskedForIsSent) {
  start();
  const PredictionView created = create_hooked(2 | 8);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kLog, "line\n");
  complete_and_wait(finish_of(created.id));
  wait_for(1);
  loop_.drive([&] { return is_outbox_empty(); });
  EXPECT_EQ(bodies(), (std::vector<std::string>{"succeeded \"hello\""}));
}

TEST_F(WebhookSenderTest, TheEndWaitsForARequestThatIsUnderWay) {
  options_.wait_for_progress = 1h;
  start();
  const PredictionView created = create_hooked(2 | 8);
  receiver_.hold();
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  complete_and_wait(finish_of(created.id));
  for (int i = 0; i < 20; ++i) loop_.settle();
  EXPECT_EQ(receiver_.count(), 1U);
  receiver_.release();
  wait_for(2);
  EXPECT_EQ(bodies().back(), "succeeded \"hello\"");
}

TEST_F(WebhookSenderTest, ARefusedProgressRequestIsNotTriedAgain) {
  receiver_.answer(500);
  start();
  const PredictionView created = create_hooked(4);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kLog, "line\n");
  wait_for(1);
  publish(created.id, 3, EventKind::kLog, "more\n");
  wait_for(2);
  EXPECT_EQ(receiver_.count(), 2U);
}

TEST_F(WebhookSenderTest, ASlowReceiverDoesNotHoldUpAnother) {
  options_.in_flight_per_host = 1;
  start();
  plane_->scheduler.grant = grant_;
  receiver_.hold();
  std::vector<PredictionId> ids;
  for (const std::string host : {"slow", "slow", "slow", "other"}) {
    IntakeRequest wanted = request();
    wanted.webhook = "https://" + host + ".example/hook";
    wanted.webhook_events = 8;
    ids.push_back(loop_.run(plane_->intake->create(wanted))->id);
  }
  for (const PredictionId id : ids) complete_and_wait(finish_of(id));
  const auto sent_to = [&](std::string_view host) {
    const auto requests = receiver_.requests();
    return std::count_if(requests.begin(), requests.end(),
                         [&](const auto& r) { return r.url.find(host) != std::string::npos; });
  };
  loop_.drive([&] { return sent_to("other.example") == 1; });
  EXPECT_EQ(sent_to("slow.example"), 1);
  receiver_.release();
  loop_.drive([&] { return sent_to("slow.example") == 3; });
}

TEST_F(WebhookSenderTest, WhatAStoppedProcessLeftIsDeliveredByTheNext) {
  const PredictionView created = create_hooked(8);
  complete_and_wait(finish_of(created.id));
  restart_plane();
  start();
  wait_for(1);
  EXPECT_EQ(bodies(), (std::vector<std::string>{"succeeded \"hello\""}));
}

}  // namespace
}  // namespace mimeo::control
