#include "scheduler/core/rollout.h"

#include <gtest/gtest.h>

namespace mimeo::scheduler {
namespace {

using store::ReleaseState;

ReleaseLoad release(std::int32_t number, ReleaseState state, std::uint32_t ready,
                    std::uint32_t coming = 0, int failures = 0) {
  return {.number = number,
          .state = state,
          .ready = ready,
          .coming = coming,
          .setup_failures = failures};
}

ReleaseShare share_of(const RolloutPlan& plan, std::int32_t number) {
  for (const ReleaseShare& share : plan.shares) {
    if (share.number == number) return share;
  }
  return {.number = number, .want = 0, .is_leaving = true};
}

TEST(Rollout, ASingleReleaseGetsEverything) {
  const RolloutPlan plan =
      plan_rollout({.releases = {release(1, ReleaseState::kLive, 1)}, .stale = {}, .want = 3});
  EXPECT_EQ(share_of(plan, 1).want, 3U);
  EXPECT_FALSE(share_of(plan, 1).is_leaving);
  EXPECT_FALSE(plan.change.has_value());
  EXPECT_EQ(plan.current, 1);
}

TEST(Rollout, ANewReleaseStartsWithAQuarterBesideTheOld) {
  const RolloutPlan plan = plan_rollout(
      {.releases = {release(2, ReleaseState::kRolling, 0), release(1, ReleaseState::kLive, 8)},
       .stale = {},
       .want = 8});
  EXPECT_EQ(share_of(plan, 2).want, 2U);
  EXPECT_EQ(share_of(plan, 1).want, 8U);
  EXPECT_FALSE(share_of(plan, 1).is_leaving);
  EXPECT_EQ(plan.current, 1);
}

TEST(Rollout, EachReadyInstanceLetsAnOldOneGo) {
  const RolloutPlan plan = plan_rollout(
      {.releases = {release(2, ReleaseState::kRolling, 3, 2), release(1, ReleaseState::kLive, 8)},
       .stale = {},
       .want = 8});
  EXPECT_EQ(share_of(plan, 2).want, 8U);
  EXPECT_EQ(share_of(plan, 1).want, 5U);
  EXPECT_TRUE(share_of(plan, 1).is_leaving);
  ASSERT_TRUE(plan.change.has_value());
  EXPECT_EQ(plan.change->to, ReleaseState::kLive);
  EXPECT_EQ(plan.current, 2);
}

TEST(Rollout, InstancesOfASupersededReleaseStayUntilTheyAreReplaced) {
  const RolloutPlan plan = plan_rollout({.releases = {release(2, ReleaseState::kLive, 1, 1)},
                                         .stale = {release(1, ReleaseState::kLive, 2)},
                                         .want = 2});
  EXPECT_EQ(share_of(plan, 1).want, 1U);
  EXPECT_TRUE(share_of(plan, 1).is_leaving);
}

TEST(Rollout, AnIdleDeploymentTriesItsNewReleaseOnTheNextDemand) {
  const RolloutView idle{
      .releases = {release(2, ReleaseState::kRolling, 0), release(1, ReleaseState::kLive, 0)},
      .stale = {},
      .want = 0};
  EXPECT_EQ(share_of(plan_rollout(idle), 2).want, 0U);
  RolloutView demand = idle;
  demand.want = 1;
  EXPECT_EQ(share_of(plan_rollout(demand), 2).want, 1U);
  EXPECT_EQ(share_of(plan_rollout(demand), 1).want, 0U) << "the old one is not started for it";
}

TEST(Rollout, TwoSetupFailuresHaltTheNewRelease) {
  const RolloutPlan plan = plan_rollout({.releases = {release(2, ReleaseState::kRolling, 0, 1, 2),
                                                      release(1, ReleaseState::kLive, 2)},
                                         .stale = {},
                                         .want = 2});
  ASSERT_TRUE(plan.change.has_value());
  EXPECT_EQ(plan.change->number, 2);
  EXPECT_EQ(plan.change->to, ReleaseState::kFailed);
  EXPECT_EQ(share_of(plan, 2).want, 0U);
  EXPECT_TRUE(share_of(plan, 2).is_leaving);
  EXPECT_EQ(share_of(plan, 1).want, 2U);
  EXPECT_EQ(plan.current, 1);
}

TEST(Rollout, AHaltedReleaseIsNotTriedAgainWhileAnotherServes) {
  const RolloutPlan plan = plan_rollout(
      {.releases = {release(2, ReleaseState::kFailed, 0), release(1, ReleaseState::kLive, 0)},
       .stale = {},
       .want = 1});
  EXPECT_EQ(share_of(plan, 1).want, 1U);
  EXPECT_EQ(share_of(plan, 2).want, 0U);
}

TEST(Rollout, TheOnlyReleaseIsNeverHalted) {
  const RolloutPlan plan = plan_rollout(
      {.releases = {release(1, ReleaseState::kRolling, 0, 0, 5)}, .stale = {}, .want = 1});
  EXPECT_FALSE(plan.change.has_value());
  EXPECT_EQ(share_of(plan, 1).want, 1U);
}

TEST(Rollout, ANewerReleaseReplacesOneThatIsStillRolling) {
  const RolloutPlan plan = plan_rollout(
      {.releases = {release(3, ReleaseState::kRolling, 0), release(2, ReleaseState::kRolling, 0, 1),
                    release(1, ReleaseState::kLive, 2)},
       .stale = {},
       .want = 2});
  EXPECT_EQ(share_of(plan, 3).want, 1U);
  EXPECT_EQ(share_of(plan, 2).want, 0U);
  EXPECT_TRUE(share_of(plan, 2).is_leaving);
}

TEST(Rollout, ADeletedTargetEndsEverything) {
  const RolloutPlan plan =
      plan_rollout({.releases = {}, .stale = {release(4, ReleaseState::kLive, 2)}, .want = 0});
  EXPECT_EQ(share_of(plan, 4).want, 0U);
  EXPECT_TRUE(share_of(plan, 4).is_leaving);
}

}  // namespace
}  // namespace mimeo::scheduler
