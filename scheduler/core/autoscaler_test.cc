#include "scheduler/core/autoscaler.h"

#include <gtest/gtest.h>

namespace mimeo::scheduler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class AutoscalerTest : public ::testing::Test {
 protected:
  ScaleWish wish(const TargetLoad& load, ScaleBounds bounds = {0, 10}) {
    return scaler_.wish(now_, load, bounds);
  }
  // The same load for a while, looked at every second.
  ScaleWish hold(const TargetLoad& load, int for_s, ScaleBounds bounds = {0, 10}) {
    ScaleWish last;
    for (int i = 0; i < for_s; ++i) {
      now_ += seconds{1};
      last = wish(load, bounds);
    }
    return last;
  }
  SteadyTime now_{std::chrono::hours{1}};
  Autoscaler scaler_{now_, milliseconds{120'000}};
};

TEST_F(AutoscalerTest, WantsNothingWithoutDemand) {
  EXPECT_EQ(wish({}).want, 0U);
  EXPECT_EQ(wish({}).keep, 0U);
}

TEST_F(AutoscalerTest, WantsOneOnTheFirstDemandAtOnce) { EXPECT_EQ(wish({.queued = 1}).want, 1U); }

TEST_F(AutoscalerTest, KeepsTheMinimum) {
  EXPECT_EQ(wish({}, {2, 5}).want, 2U);
  EXPECT_EQ(wish({}, {2, 5}).keep, 2U);
}

TEST_F(AutoscalerTest, NeverWantsMoreThanTheMaximum) {
  EXPECT_EQ(hold({.queued = 10'000, .running = 3, .ready = 3}, 30, {0, 3}).want, 3U);
}

TEST_F(AutoscalerTest, NeverWantsMoreInstancesThanThereAreJobs) {
  scaler_.served(600);
  EXPECT_EQ(wish({.queued = 2}).want, 2U);
}

TEST_F(AutoscalerTest, StartsForABacklogOnlyWhatWouldFindWork) {
  scaler_.served(1);
  scaler_.started_up(60);
  // Thirty seconds of work for one instance: over before a second one is up.
  EXPECT_EQ(wish({.queued = 30, .running = 1, .ready = 1}).want, 1U);
  // Ten minutes of work: worth more.
  EXPECT_GT(wish({.queued = 600, .running = 1, .ready = 1}).want, 3U);
}

TEST_F(AutoscalerTest, CountsWhatIsOnItsWay) {
  scaler_.served(1);
  scaler_.started_up(10);
  const std::uint32_t first = wish({.queued = 100}).want;
  EXPECT_EQ(wish({.queued = 100, .coming = first}).want, first) << "orders nothing twice";
}

TEST_F(AutoscalerTest, AHeadThatWaitsLongerThanAStartTakesIsWorthAnInstance) {
  scaler_.started_up(10);
  EXPECT_EQ(wish({.queued = 1, .running = 1, .ready = 1, .oldest_wait_s = 5}).want, 1U);
  EXPECT_EQ(wish({.queued = 1, .running = 1, .ready = 1, .oldest_wait_s = 15}).want, 2U);
}

TEST_F(AutoscalerTest, ASteadyLoadIsGivenHeadRoom) {
  scaler_.served(1);
  scaler_.started_up(0.1);
  // Twelve jobs of one slot each, and a start costs next to nothing.
  EXPECT_EQ(hold({.queued = 4, .running = 8, .ready = 8}, 600, {0, 20}).want, 12U);
  EXPECT_EQ(hold({.queued = 0, .running = 8, .ready = 8}, 600, {0, 20}).want, 8U)
      << "but never more than there are jobs";
}

TEST_F(AutoscalerTest, SlotsShareAnInstance) {
  scaler_.served(1);
  EXPECT_EQ(wish({.queued = 4, .slots = 4}).want, 1U);
}

TEST_F(AutoscalerTest, RemembersTheLargestWishForTheKeepWindow) {
  hold({.queued = 0, .running = 4, .ready = 4}, 10);
  EXPECT_EQ(hold({.ready = 4}, 60).keep, 4U);
  EXPECT_EQ(hold({.ready = 4}, 120).keep, 0U);
}

TEST_F(AutoscalerTest, LearnsServiceAndStartTimes) {
  scaler_.served(20);
  EXPECT_DOUBLE_EQ(scaler_.service_seconds(), 20) << "the first measurement replaces the guess";
  for (int i = 0; i < 200; ++i) scaler_.served(2);
  EXPECT_NEAR(scaler_.service_seconds(), 2, 0.5);
  scaler_.started_up(40);
  EXPECT_DOUBLE_EQ(scaler_.startup_seconds(), 40);
}

TEST_F(AutoscalerTest, TheRateOfArrivalsFades) {
  for (int i = 0; i < 600; ++i) {
    now_ += milliseconds{100};
    scaler_.arrived(now_);
  }
  EXPECT_NEAR(scaler_.arrival_rate(now_), 6.3, 1) << "ten a second for a minute";
  EXPECT_LT(scaler_.arrival_rate(now_ + std::chrono::minutes{5}), 0.1);
}

}  // namespace
}  // namespace mimeo::scheduler
