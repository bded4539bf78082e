#include "control-plane/http/rate_limiter.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

TEST(RateLimiter, AFreshBucketIsFull) {
  FakeClock clock;
  RateLimiter limiter(clock, {});
  const RateDecision create = limiter.take(1, RateKind::kCreatePrediction);
  EXPECT_TRUE(create.is_allowed);
  EXPECT_EQ(create.remaining, 599);
  EXPECT_EQ(create.reset_s, 1);
  EXPECT_EQ(limiter.take(1, RateKind::kReadPrediction).remaining, 59'999);
  EXPECT_EQ(limiter.take(1, RateKind::kOther).remaining, 2'999);
}

TEST(RateLimiter, RefusesWhenEmptyAndSaysWhenToComeBack) {
  FakeClock clock;
  RateLimiter limiter(clock, {.create_prediction = 6, .read_prediction = 0, .other = 0});
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(limiter.take(1, RateKind::kCreatePrediction).is_allowed);
  }
  const RateDecision refused = limiter.take(1, RateKind::kCreatePrediction);
  EXPECT_FALSE(refused.is_allowed);
  EXPECT_EQ(refused.remaining, 0);
  EXPECT_EQ(refused.retry_after_s, 10);
  clock.advance(10s);
  EXPECT_TRUE(limiter.take(1, RateKind::kCreatePrediction).is_allowed);
  EXPECT_FALSE(limiter.take(1, RateKind::kCreatePrediction).is_allowed);
}

TEST(RateLimiter, AccountsDoNotShare) {
  FakeClock clock;
  RateLimiter limiter(clock, {.create_prediction = 1, .read_prediction = 0, .other = 0});
  EXPECT_TRUE(limiter.take(1, RateKind::kCreatePrediction).is_allowed);
  EXPECT_FALSE(limiter.take(1, RateKind::kCreatePrediction).is_allowed);
  EXPECT_TRUE(limiter.take(2, RateKind::kCreatePrediction).is_allowed);
}

TEST(RateLimiter, ZeroMeansNoLimitAndNoHeaders) {
  FakeClock clock;
  RateLimiter limiter(clock, {.create_prediction = 0, .read_prediction = 0, .other = 0});
  for (int i = 0; i < 10'000; ++i) {
    const RateDecision decision = limiter.take(1, RateKind::kOther);
    ASSERT_TRUE(decision.is_allowed);
    ASSERT_FALSE(decision.is_limited);
  }
}

TEST(RateLimiter, AnAccountsOwnLimitsReplaceTheCommonOnes) {
  FakeClock clock;
  RateLimiter limiter(clock, {});
  store::AccountLimits own;
  own.account = 1;
  own.create_per_minute = 60;
  own.create_burst = 2;
  own.other_per_minute = 0;
  limiter.set_overrides({own});
  EXPECT_EQ(limiter.take(1, RateKind::kCreatePrediction).remaining, 1);
  EXPECT_TRUE(limiter.take(1, RateKind::kCreatePrediction).is_allowed);
  EXPECT_FALSE(limiter.take(1, RateKind::kCreatePrediction).is_allowed);
  clock.advance(1s);
  EXPECT_TRUE(limiter.take(1, RateKind::kCreatePrediction).is_allowed);
  EXPECT_FALSE(limiter.take(1, RateKind::kOther).is_limited);
  EXPECT_EQ(limiter.take(1, RateKind::kReadPrediction).remaining, 59'999);
  EXPECT_EQ(limiter.take(2, RateKind::kCreatePrediction).remaining, 599);
  limiter.set_overrides({});
  EXPECT_TRUE(limiter.take(1, RateKind::kOther).is_limited);
}

TEST(RateLimiter, ClientsHaveBucketsOfTheirOwn) {
  FakeClock clock;
  RateLimiter limiter(clock, {.anonymous = 1});
  EXPECT_TRUE(limiter.take_open_call("a").is_allowed);
  EXPECT_FALSE(limiter.take_open_call("a").is_allowed);
  EXPECT_TRUE(limiter.take_open_call("b").is_allowed);
  EXPECT_TRUE(limiter.take_bad_token("a").is_allowed) << "calls without a token take nothing here";
  EXPECT_FALSE(limiter.take_bad_token("a").is_allowed);
  clock.advance(60s);
  EXPECT_TRUE(limiter.take_bad_token("a").is_allowed);
}

TEST(RateLimiter, WhoTriedTooManyBadTokensMayLookUpAFewASecond) {
  FakeClock clock;
  RateLimiter limiter(clock, {.anonymous = 1});
  const auto look_ups = [&] {
    int count = 0;
    while (count < 100 && limiter.may_look_up("a")) ++count;
    return count;
  };
  EXPECT_EQ(look_ups(), 100) << "no limit as long as all are good";
  (void)limiter.take_bad_token("a");
  EXPECT_EQ(look_ups(), 3);
  clock.advance(1s);
  EXPECT_EQ(look_ups(), 3);
  EXPECT_TRUE(limiter.may_look_up("b"));
}

TEST(BucketTable, ForgetsTheLongestUnusedBeyondItsCapacity) {
  FakeClock clock;
  BucketTable table(2);
  const BucketSize size{1, 1};
  (void)table.take("a", size, clock.steady());
  (void)table.take("b", size, clock.steady());
  (void)table.take("a", size, clock.steady());
  (void)table.take("c", size, clock.steady());
  EXPECT_EQ(table.size(), 2U);
  EXPECT_TRUE(table.is_empty("a", size, clock.steady()));
  EXPECT_FALSE(table.is_empty("b", size, clock.steady())) << "forgotten, so full";
}

}  // namespace
}  // namespace mimeo::control
