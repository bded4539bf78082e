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

}  // namespace
}  // namespace mimeo::control
