// What slow receivers of some accounts leave to others.

#include "control-plane/testing/webhook_fixture.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

class WebhookSharesTest : public WebhookTest {
 protected:
  WebhookSharesTest() {
    options_.gate.in_flight = 8;
    options_.gate.in_flight_per_account = 4;
    options_.gate.in_flight_per_host = 1;
    options_.gate.reserved = 1;
    receiver_.hold();
    send_ = [this](const http::OutboundRequest& request) {
      const bool is_slow = request.url.find("slow") != std::string::npos;
      return (is_slow ? receiver_ : healthy_).take(request);
    };
  }
  // As many ends, to eight hosts that do not answer.
  void end_slow_ones(const store::Account& account, int count) {
    for (int i = 0; i < count; ++i) {
      const std::string host = account.username + std::to_string(i % 8) + ".slow.example";
      complete_and_wait(finish_of(create_hooked(8, "https://" + host, account).id));
    }
  }
  void expect_delivery(const store::Account& account) {
    complete_and_wait(finish_of(create_hooked(8, "https://fine.example", account).id));
    loop_.drive([&] { return healthy_.count() == 1; });
  }
  Receiver healthy_;
};

TEST_F(WebhookSharesTest, TwoAccountsWithSlowReceiversDoNotHoldUpAThird) {
  start();
  end_slow_ones(add_account("one"), 20);
  end_slow_ones(add_account("two"), 20);
  loop_.drive([&] { return receiver_.count() == 7; });
  expect_delivery(add_account("three"));
  EXPECT_EQ(receiver_.count(), 7U) << "one place is kept";
}

TEST_F(WebhookSharesTest, WhatIsClaimedOfOneAccountDoesNotKeepOthersFromBeingLookedAt) {
  options_.under_way = 8;
  options_.under_way_per_account = 4;
  start();
  end_slow_ones(add_account("one"), 30);
  loop_.drive([&] { return receiver_.count() == 4; });
  expect_delivery(add_account("two"));
  EXPECT_EQ(receiver_.count(), 4U);
  receiver_.release();
  loop_.drive([&] {
    clock_.advance(20ms);
    return receiver_.count() >= 30;
  });
}

}  // namespace
}  // namespace mimeo::control
