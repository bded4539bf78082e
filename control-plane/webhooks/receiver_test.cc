// Webhooks over real HTTP: the sender, the outbound client with its address rules, and a server.

#include <map>

#include "common/http/test_server.h"
#include "control-plane/testing/webhook_fixture.h"

namespace mimeo::control {
namespace {

using store::DeliveryState;

class WebhookReceiverTest : public WebhookTest {
 protected:
  WebhookReceiverTest() {
    allow("127.0.0.1");
    send_ = [this](const http::OutboundRequest& request) { return outbound_->perform(request); };
  }
  void allow(const std::string& entry) {
    http::AddressRules rules;
    rules.ports = http::AllowedPorts::kWebAndHigh;
    EXPECT_EQ(http::add_exception(rules, entry), absl::OkStatus());
    outbound_ = std::make_unique<http::Outbound>(std::move(rules));
  }
  std::string url(const std::string& path, const std::string& host = "127.0.0.1") {
    return "http://" + host + ":" + std::to_string(server_.port()) + path;
  }
  // What came of the end of a prediction whose webhook is `url`.
  store::LoggedWebhook deliver(const std::string& target) {
    if (!sender_) start();
    const store::PredictionView created = create_hooked(8, target);
    complete_and_wait(finish_of(created.id));
    const std::string id = webhook_id_of(created.id, store::WebhookEvent::kCompleted);
    loop_.drive([&] {
      const auto found = store_.get_webhook(id, 0);
      return found.ok() && found->state != DeliveryState::kPending;
    });
    return *store_.get_webhook(id, 0);
  }
  int calls(const std::string& path) {
    const std::lock_guard lock(mutex_);
    return calls_[path];
  }

  boost::asio::awaitable<void> serve(http::Exchange& exchange) {
    const std::string path = exchange.head().path;
    const Result<std::string> body = co_await exchange.read_body(1_MiB);
    int call = 0;
    {
      const std::lock_guard lock(mutex_);
      call = ++calls_[path];
    }
    http::Response response;
    const std::vector<std::string> secrets = {account_.webhook_secret};
    const http::Headers& headers = exchange.head().headers;
    const auto good = sign_webhook(secrets, headers.get("webhook-id"), clock_.now(), *body);
    if (path == "/redirect") {
      response.status = 302;
      response.headers.add("Location", "/landed");
    } else if (path == "/once-busy" && call == 1) {
      response.status = 503;
    } else if (path == "/large") {
      response.body.assign(100'000, 'x');
    } else if (headers.get("webhook-signature") != *good) {
      response.status = 403;
    } else {
      response.body = *body;
    }
    co_await exchange.respond(std::move(response));
  }

  std::mutex mutex_;
  std::map<std::string, int> calls_;  // Guarded by mutex_.
  std::unique_ptr<http::Outbound> outbound_;
  http::TestServer server_{[this](http::Exchange& exchange) { return serve(exchange); }};
};

TEST_F(WebhookReceiverTest, WhatArrivesCarriesTheSignatureOfWhatArrives) {
  const store::LoggedWebhook delivery = deliver(url("/fine?a=b"));
  EXPECT_EQ(delivery.state, DeliveryState::kDelivered) << delivery.error;
  EXPECT_EQ(store_.list_webhook_attempts(delivery.id)->at(0).response_body, "succeeded \"hello\"");
}

TEST_F(WebhookReceiverTest, ABusyReceiverIsTriedAgain) {
  const store::LoggedWebhook delivery = deliver(url("/once-busy"));
  EXPECT_EQ(delivery.state, DeliveryState::kDelivered) << delivery.error;
  EXPECT_EQ(delivery.attempts, 2U);
}

TEST_F(WebhookReceiverTest, RedirectsAreNotFollowed) {
  const store::LoggedWebhook delivery = deliver(url("/redirect"));
  EXPECT_EQ(delivery.state, DeliveryState::kFailed);
  EXPECT_EQ(delivery.error, "the receiver answered 302; redirects are not followed");
  EXPECT_EQ(calls("/redirect"), 3);
  EXPECT_EQ(calls("/landed"), 0);
}

TEST_F(WebhookReceiverTest, AnAnswerOfAnySizeCountsAndItsBeginningIsKept) {
  const store::LoggedWebhook delivery = deliver(url("/large"));
  EXPECT_EQ(delivery.state, DeliveryState::kDelivered) << delivery.error;
  EXPECT_EQ(store_.list_webhook_attempts(delivery.id)->at(0).response_body, std::string(4096, 'x'));
}

TEST_F(WebhookReceiverTest, AddressesInsideAreRefusedWithAReason) {
  allow("10.0.0.0/8");
  for (const char* host : {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433",
                           "169.254.169.254"}) {
    const store::LoggedWebhook delivery = deliver(url("/fine", host));
    EXPECT_EQ(delivery.state, DeliveryState::kFailed) << host;
    EXPECT_EQ(delivery.error, "not sent: the address is not a public one") << host;
    EXPECT_EQ(delivery.attempts, 1U) << host << " is not tried again";
  }
  EXPECT_EQ(calls("/fine"), 0);
}

TEST_F(WebhookReceiverTest, OthersOfTheMachineAreNotOpenedByOnePort) {
  allow("127.0.0.1:1");
  EXPECT_EQ(deliver(url("/fine")).error, "not sent: the address is not a public one");
  allow("127.0.0.1:" + std::to_string(server_.port()));
  EXPECT_EQ(deliver(url("/fine")).state, DeliveryState::kDelivered);
}

TEST_F(WebhookReceiverTest, WhenNobodyListensTheLogSaysSo) {
  server_.stop(std::chrono::milliseconds(1000));
  const store::LoggedWebhook delivery = deliver(url("/fine"));
  EXPECT_EQ(delivery.state, DeliveryState::kFailed);
  EXPECT_EQ(delivery.attempts, 3U);
  EXPECT_TRUE(delivery.error.starts_with("no answer: ")) << delivery.error;
}

}  // namespace
}  // namespace mimeo::control
