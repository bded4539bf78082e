#include "worker/instance/instance_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace mimeo::worker {
namespace {

using Steps = std::vector<InstanceStep>;

Steps steps(const std::vector<InstanceAction>& actions) {
  Steps out;
  for (const auto& action : actions) out.push_back(action.step);
  return out;
}

// An instance, driven by events; remembers the reports.
struct Driver {
  InstanceLife life;
  std::size_t attempts = 0;
  std::vector<std::pair<InstanceState, std::string>> reports;

  Steps begin() { return note(life.begin()); }
  Steps feed(const InstanceEvent& event) {
    return note(life.resume(event, InstanceLoad{attempts}));
  }
  Steps note(const std::vector<InstanceAction>& actions) {
    for (const auto& action : actions) {
      const bool is_report =
          action.step == InstanceStep::kReport || action.step == InstanceStep::kReportFailure;
      if (is_report) reports.emplace_back(action.state, action.text);
    }
    return steps(actions);
  }
  void make_ready() {
    begin();
    feed(ImageReady{});
    feed(ContainerRuns{});
    feed(HealthChanged{ServerHealth::kReady, {}});
  }
};

TEST(InstanceLife, PullsStartsSetsUpAndIsReady) {
  Driver driver;
  EXPECT_EQ(driver.begin(), (Steps{InstanceStep::kReport, InstanceStep::kPullImage}));
  EXPECT_EQ(driver.feed(ImageReady{}),
            (Steps{InstanceStep::kReport, InstanceStep::kStartContainer}));
  EXPECT_EQ(driver.feed(ContainerRuns{}),
            (Steps{InstanceStep::kReport, InstanceStep::kArmSetupLimit, InstanceStep::kStartShim}));
  EXPECT_FALSE(driver.life.is_ready());
  EXPECT_EQ(driver.feed(HealthChanged{ServerHealth::kStarting, {}}), Steps{});
  EXPECT_EQ(driver.feed(HealthChanged{ServerHealth::kReady, {}}), Steps{InstanceStep::kReport});
  EXPECT_TRUE(driver.life.is_ready());
  const std::vector<InstanceState> expected{InstanceState::kPreparing, InstanceState::kPreparing,
                                            InstanceState::kStarting, InstanceState::kReady};
  ASSERT_EQ(driver.reports.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(driver.reports[i].first, expected[i]);
}

TEST(InstanceLife, AFailureEndsAttemptsBeforeItIsReportedAndCleansUpAfter) {
  Driver driver;
  driver.make_ready();
  EXPECT_EQ(
      driver.feed(ContainerEnded{"the container exited with code 1"}),
      (Steps{InstanceStep::kEndAttempts, InstanceStep::kReportFailure, InstanceStep::kCleanUp}));
  EXPECT_FALSE(driver.life.is_ready());
  EXPECT_EQ(driver.reports.back().first, InstanceState::kFailed);
  EXPECT_EQ(driver.reports.back().second, "the container exited with code 1");
  EXPECT_EQ(driver.feed(CleanedUp{}), Steps{InstanceStep::kForget});
  EXPECT_TRUE(driver.life.is_gone());
}

TEST(InstanceLife, EveryWayToFailSaysWhatHappened) {
  const auto failure = [](std::vector<InstanceEvent> events) {
    Driver driver;
    driver.begin();
    for (const auto& event : events) driver.feed(event);
    EXPECT_EQ(driver.reports.back().first, InstanceState::kFailed);
    return driver.reports.back().second;
  };
  EXPECT_EQ(failure({ImageFailed{"manifest unknown"}}), "pulling the image: manifest unknown");
  EXPECT_EQ(failure({ImageReady{}, ContainerFailed{"no such file"}}),
            "starting the container: no such file");
  EXPECT_EQ(
      failure({ImageReady{}, ContainerRuns{}, ContainerEnded{"the container exited with code 3"}}),
      "the container exited with code 3 during setup");
  EXPECT_EQ(failure({ImageReady{}, ContainerRuns{},
                     HealthChanged{ServerHealth::kSetupFailed, "ImportError"}}),
            "setup failed: ImportError");
  EXPECT_EQ(failure({ImageReady{}, ContainerRuns{}, SetupLimitPassed{}}),
            "setup did not end within its limit");
  EXPECT_EQ(failure({ImageReady{}, ContainerRuns{}, HealthChanged{ServerHealth::kReady, {}},
                     HealthChanged{ServerHealth::kBroken, "BUSY with nothing in flight"}}),
            "the server became unhealthy: BUSY with nothing in flight");
}

TEST(InstanceLife, AnIdleInstanceStopsAtOnceAndSaysSoWhenItsContainerIsGone) {
  Driver driver;
  driver.make_ready();
  EXPECT_EQ(driver.feed(StopAsked{std::chrono::seconds{30}}),
            (Steps{InstanceStep::kEndAttempts, InstanceStep::kCleanUp}));
  EXPECT_EQ(driver.reports.back().first, InstanceState::kReady);
  EXPECT_EQ(driver.feed(ContainerEnded{"the container was killed by signal 9"}), Steps{});
  EXPECT_EQ(driver.feed(CleanedUp{}), (Steps{InstanceStep::kReport, InstanceStep::kForget}));
  EXPECT_EQ(driver.reports.back().first, InstanceState::kStopped);
}

TEST(InstanceLife, ABusyInstanceDrainsUntilItIsIdle) {
  Driver driver;
  driver.make_ready();
  driver.attempts = 1;
  EXPECT_EQ(driver.feed(StopAsked{std::chrono::seconds{30}}),
            (Steps{InstanceStep::kReport, InstanceStep::kArmDrainLimit}));
  EXPECT_EQ(driver.reports.back().first, InstanceState::kDraining);
  EXPECT_FALSE(driver.life.is_ready());
  driver.attempts = 0;
  EXPECT_EQ(driver.feed(BecameIdle{}), (Steps{InstanceStep::kEndAttempts, InstanceStep::kCleanUp}));
}

TEST(InstanceLife, DrainingEndsAtItsLimit) {
  Driver driver;
  driver.make_ready();
  driver.attempts = 2;
  driver.feed(StopAsked{std::chrono::seconds{30}});
  EXPECT_EQ(driver.feed(DrainLimitPassed{}),
            (Steps{InstanceStep::kEndAttempts, InstanceStep::kCleanUp}));
}

TEST(InstanceLife, StopWithoutDrainingDoesNotWaitForAttempts) {
  Driver driver;
  driver.make_ready();
  driver.attempts = 2;
  EXPECT_EQ(driver.feed(StopAsked{}), (Steps{InstanceStep::kEndAttempts, InstanceStep::kCleanUp}));
}

TEST(InstanceLife, StopWhileTheImageIsPulledDoesNotWaitForIt) {
  Driver driver;
  driver.begin();
  EXPECT_EQ(driver.feed(StopAsked{std::chrono::seconds{30}}),
            (Steps{InstanceStep::kEndAttempts, InstanceStep::kCleanUp}));
  EXPECT_EQ(driver.feed(ImageReady{}), Steps{});
  driver.feed(CleanedUp{});
  EXPECT_EQ(driver.reports.back().first, InstanceState::kStopped);
}

TEST(InstanceLife, BecomingIdleMeansNothingWithoutDraining) {
  Driver driver;
  driver.make_ready();
  EXPECT_EQ(driver.feed(BecameIdle{}), Steps{});
  EXPECT_TRUE(driver.life.is_ready());
}

TEST(InstanceLife, AnAdoptedInstanceIsReadyWhenItsShimSaysSo) {
  Driver driver;
  EXPECT_EQ(driver.note(driver.life.adopt()),
            (Steps{InstanceStep::kArmSetupLimit, InstanceStep::kStartShim}));
  EXPECT_EQ(driver.life.state(), InstanceState::kStarting);
  driver.feed(HealthChanged{ServerHealth::kReady, {}});
  EXPECT_TRUE(driver.life.is_ready());
}

}  // namespace
}  // namespace mimeo::worker
