// retry_rules and setup_backoff: small tables.

#include <gtest/gtest.h>

#include "scheduler/core/retry_rules.h"
#include "scheduler/core/setup_backoff.h"

namespace mimeo::scheduler {
namespace {

using Kind = RetryDecision::Kind;
using std::chrono::seconds;

constexpr std::uint32_t kMaxRetries = 2;

TEST(RetryRules, WhatNeverStartedIsQueuedAgainForFree) {
  for (const LossKind kind :
       {LossKind::kHandedBack, LossKind::kWorkerLost, LossKind::kInstanceGone}) {
    const RetryDecision decision =
        decide_retry({.kind = kind, .was_started = false, .infra_failures = 9}, kMaxRetries);
    EXPECT_EQ(decision.kind, Kind::kRequeue);
    EXPECT_EQ(decision.count, 0U);
  }
}

TEST(RetryRules, ALostMachineIsSurvivedTwice) {
  for (std::uint32_t failures = 0; failures < kMaxRetries; ++failures) {
    const RetryDecision decision =
        decide_retry({.was_started = true, .infra_failures = failures}, kMaxRetries);
    EXPECT_EQ(decision.kind, Kind::kRequeue);
    EXPECT_EQ(decision.count, 1U);
  }
  EXPECT_EQ(decide_retry({.was_started = true, .infra_failures = 2}, kMaxRetries).kind,
            Kind::kFail);
}

TEST(RetryRules, OutputThatSomebodySawIsNotProducedAgain) {
  EXPECT_EQ(decide_retry({.was_started = true, .output_seen = true}, kMaxRetries).kind,
            Kind::kFail);
}

TEST(RetryRules, APredictionCanForbidRetries) {
  EXPECT_EQ(decide_retry({.was_started = true, .retry = RetryPolicy::kNever}, kMaxRetries).kind,
            Kind::kFail);
}

TEST(RetryRules, AContainerThatEndsUnderItsPredictionFailsIt) {
  EXPECT_EQ(decide_retry({.kind = LossKind::kInstanceGone, .was_started = true}, kMaxRetries).kind,
            Kind::kFail);
}

TEST(RetryRules, TwoMachinesLostSoonAfterTheStartMakeAnInputPoison) {
  EXPECT_EQ(decide_retry({.was_started = true, .quick_losses = 1}, kMaxRetries).kind,
            Kind::kRequeue);
  EXPECT_EQ(decide_retry({.was_started = true, .quick_losses = 2}, kMaxRetries).kind, Kind::kFail);
}

class SetupBackoffTest : public ::testing::Test {
 protected:
  void fail() { backoff_.setup_failed(version_, "cpu", now_, "boom"); }
  bool may_start_after(seconds later) { return backoff_.may_start(version_, "cpu", now_ + later); }
  const VersionId version_ = *VersionId::from_bytes(std::string(32, 'v'));
  SteadyTime now_{std::chrono::hours{1}};
  SetupBackoff backoff_{std::chrono::minutes{15}};
};

TEST_F(SetupBackoffTest, PausesTenThenThirtySecondsThenIsBrokenForAQuarterOfAnHour) {
  EXPECT_TRUE(may_start_after(seconds{0}));
  fail();
  EXPECT_FALSE(may_start_after(seconds{9}));
  EXPECT_TRUE(may_start_after(seconds{10}));
  fail();
  EXPECT_FALSE(may_start_after(seconds{29}));
  EXPECT_TRUE(may_start_after(seconds{30}));
  EXPECT_FALSE(backoff_.broken_reason(version_, "cpu", now_).has_value());
  fail();
  EXPECT_EQ(backoff_.broken_reason(version_, "cpu", now_), "boom");
  EXPECT_FALSE(may_start_after(seconds{899}));
  EXPECT_TRUE(may_start_after(seconds{900}));
  EXPECT_FALSE(backoff_.broken_reason(version_, "cpu", now_ + seconds{900}).has_value());
}

TEST_F(SetupBackoffTest, OneSuccessForgetsTheFailures) {
  fail();
  fail();
  backoff_.became_ready(version_, "cpu");
  EXPECT_EQ(backoff_.failures(version_, "cpu"), 0);
  EXPECT_TRUE(may_start_after(seconds{0}));
}

TEST_F(SetupBackoffTest, HardwareIsJudgedApart) {
  fail();
  EXPECT_TRUE(backoff_.may_start(version_, "gpu", now_));
}

TEST_F(SetupBackoffTest, ACrashSoonAfterReadinessIsReplacedAtOnceTheFirstTimeOnly) {
  backoff_.crashed_early(version_, "cpu", now_, "exit 139");
  EXPECT_TRUE(may_start_after(seconds{0}));
  backoff_.became_ready(version_, "cpu");
  backoff_.crashed_early(version_, "cpu", now_, "exit 139");
  EXPECT_FALSE(may_start_after(seconds{5}));
  EXPECT_TRUE(may_start_after(seconds{10}));
  EXPECT_FALSE(backoff_.broken_reason(version_, "cpu", now_).has_value()) << "setup works";
}

}  // namespace
}  // namespace mimeo::scheduler
