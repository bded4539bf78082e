#include "control-plane/webhooks/gate.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <vector>

#include "common/base/clock.h"
#include "control-plane/testing/test_loop.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

class WebhookGateTest : public testing::Test {
 protected:
  WebhookGateTest() {
    limits_.in_flight = 3;
    limits_.in_flight_per_host = 2;
    limits_.in_flight_per_account = 2;
    limits_.reserved = 0;
    limits_.failures_to_open = 2;
    limits_.open_for = 5s;
  }
  WebhookGate& gate() {
    if (!gate_) gate_ = std::make_unique<WebhookGate>(loop_.executor(), clock_, limits_);
    return *gate_;
  }
  std::future<Admission> begin(const std::string& host, AccountId account) {
    return loop_.start(gate().enter(host, account, 1h));
  }
  Admission enter(const std::string& host, AccountId account = 1,
                  Patience patience = Patience::kNormal) {
    return loop_.run(gate().enter(host, account, 0ms, patience));
  }
  bool is_ready(std::future<Admission>& admission) {
    for (int i = 0; i < 10; ++i) loop_.settle();
    return TestLoop::is_ready(admission);
  }
  void fail(const std::string& host, int times) {
    for (int i = 0; i < times; ++i) {
      ASSERT_EQ(enter(host).entry, Entry::kGo);
      gate().leave(host, 1, HostHealth::kDown);
    }
  }

  TestLoop loop_;
  FakeClock clock_;
  WebhookGateLimits limits_;
  std::unique_ptr<WebhookGate> gate_;
};

TEST_F(WebhookGateTest, AHostHasSoManyPlacesAndOthersTheirs) {
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("a", 2).entry, Entry::kGo);
  EXPECT_EQ(enter("a", 3).entry, Entry::kFull);
  EXPECT_EQ(enter("b", 3).entry, Entry::kGo);
  EXPECT_EQ(enter("c", 4).entry, Entry::kFull) << "none is left in all";
}

TEST_F(WebhookGateTest, AnAccountCannotTakeAllPlacesByManyHosts) {
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("b", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("c", 1).entry, Entry::kFull);
  EXPECT_EQ(enter("c", 2).entry, Entry::kGo);
}

TEST_F(WebhookGateTest, WhoWaitsGetsTheNextPlaceInTurn) {
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("a", 2).entry, Entry::kGo);
  auto first = begin("a", 3);
  auto second = begin("a", 4);
  auto other = begin("b", 5);
  EXPECT_TRUE(is_ready(other)) << "nobody waits behind another host";
  EXPECT_FALSE(is_ready(first));
  gate().leave("a", 1, HostHealth::kUp);
  EXPECT_EQ(loop_.finish(first).entry, Entry::kGo);
  EXPECT_FALSE(is_ready(second));
  gate().leave("a", 2, HostHealth::kUp);
  EXPECT_EQ(loop_.finish(second).entry, Entry::kGo);
  EXPECT_EQ(gate().waiting(), 0U);
}

TEST_F(WebhookGateTest, TheLineIsBounded) {
  limits_.waiting_per_host = 1;
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("a", 2).entry, Entry::kGo);
  auto waiting = begin("a", 3);
  EXPECT_FALSE(is_ready(waiting));
  auto refused = begin("a", 4);
  ASSERT_TRUE(is_ready(refused));
  EXPECT_EQ(refused.get().entry, Entry::kFull);
  gate().close();
  EXPECT_EQ(loop_.finish(waiting).entry, Entry::kFull);
  EXPECT_EQ(enter("b", 1).entry, Entry::kFull) << "closed";
}

TEST_F(WebhookGateTest, TheLineOfAnAccountIsBounded) {
  limits_.waiting_per_account = 1;
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("b", 1).entry, Entry::kGo);
  auto waiting = begin("c", 1);
  EXPECT_FALSE(is_ready(waiting));
  auto refused = begin("d", 1);
  ASSERT_TRUE(is_ready(refused));
  EXPECT_EQ(refused.get().entry, Entry::kFull);
  gate().leave("a", 1, HostHealth::kUp);
  EXPECT_EQ(loop_.finish(waiting).entry, Entry::kGo);
}

TEST_F(WebhookGateTest, SomePlacesAreKeptForAccountsThatHaveNone) {
  limits_.reserved = 1;
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("b", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("c", 1).entry, Entry::kFull);
  EXPECT_EQ(enter("d", 2).entry, Entry::kGo);
  EXPECT_EQ(enter("e", 2).entry, Entry::kFull) << "it has one";
}

// Two accounts with slow receivers and long lines, and one that comes last.
TEST_F(WebhookGateTest, AFreedPlaceGoesToTheAccountWithTheFewest) {
  limits_.in_flight = 4;
  for (const char* host : {"a", "b"}) EXPECT_EQ(enter(host, 1).entry, Entry::kGo);
  for (const char* host : {"c", "d"}) EXPECT_EQ(enter(host, 2).entry, Entry::kGo);
  auto first = begin("e", 1);
  auto second = begin("f", 2);
  auto third = begin("g", 3);
  EXPECT_FALSE(is_ready(third));
  gate().leave("a", 1, HostHealth::kUp);
  EXPECT_TRUE(is_ready(third));
  EXPECT_FALSE(is_ready(first));
  EXPECT_FALSE(is_ready(second));
  gate().leave("b", 1, HostHealth::kUp);
  EXPECT_TRUE(is_ready(first));
  EXPECT_FALSE(is_ready(second));
  gate().close();
  EXPECT_EQ(loop_.finish(second).entry, Entry::kFull);
}

TEST_F(WebhookGateTest, AFreedPlaceGoesToTheHostWithTheFewest) {
  limits_.in_flight_per_account = 3;
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("b", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("c", 1).entry, Entry::kGo);
  auto same = begin("a", 1);
  auto other = begin("d", 1);
  EXPECT_FALSE(is_ready(other));
  gate().leave("b", 1, HostHealth::kUp);
  EXPECT_TRUE(is_ready(other));
  EXPECT_FALSE(is_ready(same));
  gate().close();
  EXPECT_EQ(loop_.finish(same).entry, Entry::kFull);
}

TEST_F(WebhookGateTest, AFreePlaceIsNotKeptFromAnAccountByOthersThatHaveAllOfTheirs) {
  limits_.in_flight_per_host = 3;
  for (const char* host : {"a", "b"}) EXPECT_EQ(enter(host, 1).entry, Entry::kGo);
  auto waiting = begin("a", 1);
  EXPECT_FALSE(is_ready(waiting));
  EXPECT_EQ(enter("a", 2).entry, Entry::kGo);
  gate().close();
  EXPECT_EQ(loop_.finish(waiting).entry, Entry::kFull);
}

TEST_F(WebhookGateTest, BehindClosingOneCanWaitUntilAllAreOut) {
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  gate().close();
  EXPECT_FALSE(loop_.run(gate().wait_empty(0ms)));
  gate().leave("a", 1, HostHealth::kUp);
  EXPECT_TRUE(loop_.run(gate().wait_empty(0ms)));
}

TEST_F(WebhookGateTest, AHostThatDoesNotAnswerIsLeftAloneForAWhile) {
  fail("a", 2);
  const Admission admission = enter("a");
  EXPECT_EQ(admission.entry, Entry::kLeftAlone);
  EXPECT_EQ(admission.until, clock_.steady() + 5s);
  EXPECT_EQ(enter("b").entry, Entry::kGo) << "others are not";
  EXPECT_EQ(enter("a", 1, Patience::kAskAnyway).entry, Entry::kGo);
}

TEST_F(WebhookGateTest, AnsweringOnceIsEnoughNotToBeLeftAlone) {
  fail("a", 1);
  ASSERT_EQ(enter("a").entry, Entry::kGo);
  gate().leave("a", 1, HostHealth::kUp);
  fail("a", 1);
  EXPECT_EQ(enter("a").entry, Entry::kGo);
}

TEST_F(WebhookGateTest, OneRequestFindsOutWhetherTheHostIsBack) {
  fail("a", 2);
  clock_.advance(5s);
  ASSERT_EQ(enter("a").entry, Entry::kGo);
  EXPECT_EQ(enter("a").entry, Entry::kLeftAlone) << "until the first one is back";
  gate().leave("a", 1, HostHealth::kDown);
  EXPECT_EQ(enter("a").entry, Entry::kLeftAlone);
  clock_.advance(5s);
  ASSERT_EQ(enter("a").entry, Entry::kGo);
  gate().leave("a", 1, HostHealth::kUp);
  EXPECT_EQ(enter("a").entry, Entry::kGo);
  EXPECT_EQ(enter("a").entry, Entry::kGo);
}

TEST_F(WebhookGateTest, WhoWaitsForAHostThatGoesDownIsToldSo) {
  limits_.failures_to_open = 1;
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("a", 2).entry, Entry::kGo);
  auto waiting = begin("a", 3);
  EXPECT_FALSE(is_ready(waiting));
  gate().leave("a", 1, HostHealth::kDown);
  EXPECT_EQ(loop_.finish(waiting).entry, Entry::kLeftAlone);
}

TEST_F(WebhookGateTest, WhoAsksAnywayDoesSoFromTheLineToo) {
  limits_.failures_to_open = 1;
  EXPECT_EQ(enter("a", 1).entry, Entry::kGo);
  EXPECT_EQ(enter("a", 2).entry, Entry::kGo);
  auto waiting = loop_.start(gate().enter("a", 3, 1h, Patience::kAskAnyway));
  EXPECT_FALSE(is_ready(waiting));
  gate().leave("a", 1, HostHealth::kDown);
  EXPECT_EQ(loop_.finish(waiting).entry, Entry::kGo);
}

}  // namespace
}  // namespace mimeo::control
