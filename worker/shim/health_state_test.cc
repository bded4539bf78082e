#include "worker/shim/health_state.h"

#include <gtest/gtest.h>

namespace mimeo::worker {
namespace {

using cog::HealthReport;
using cog::ServerHealth;
using std::chrono::milliseconds;

Result<HealthReport> says(ServerHealth health) {
  HealthReport report;
  report.health = health;
  report.is_setup_over = health != ServerHealth::kStarting;
  report.setup_logs = "logs";
  return report;
}
Result<HealthReport> refused() { return absl::UnavailableError("connection refused"); }
Result<HealthReport> slow() { return absl::DeadlineExceededError("timed out"); }

class HealthStateTest : public ::testing::Test {
 protected:
  HealthJudgement see(int ms, const Result<HealthReport>& report, std::uint32_t in_flight = 0) {
    return state_.observe(at(ms), report, in_flight, idle_since_);
  }
  static SteadyTime at(int ms) { return SteadyTime{milliseconds{1'000'000 + ms}}; }
  void be_ready() { ASSERT_EQ(see(0, says(ServerHealth::kReady)).verdict, Verdict::kReady); }

  SteadyTime idle_since_ = at(0);
  HealthState state_{HealthLimits{}, at(0)};
};

TEST_F(HealthStateTest, WaitsForSetupAndReportsItsLogs) {
  EXPECT_EQ(see(0, refused()).verdict, Verdict::kStarting);
  EXPECT_EQ(see(10, says(ServerHealth::kStarting)).verdict, Verdict::kStarting);
  const HealthJudgement ready = see(20, says(ServerHealth::kReady));
  EXPECT_EQ(ready.verdict, Verdict::kReady);
  EXPECT_EQ(ready.detail, "logs");
}

TEST_F(HealthStateTest, GivesUpASetupThatTakesTooLong) {
  EXPECT_EQ(see(599'999, says(ServerHealth::kStarting)).verdict, Verdict::kStarting);
  EXPECT_EQ(see(600'000, says(ServerHealth::kStarting)).verdict, Verdict::kSetupFailed);
}

TEST_F(HealthStateTest, BelievesReadyOnlyOnceSetupIsWrittenDown) {
  HealthReport early;
  early.health = ServerHealth::kReady;
  EXPECT_EQ(see(0, early).verdict, Verdict::kStarting);
  EXPECT_EQ(see(15, says(ServerHealth::kReady)).verdict, Verdict::kReady);
}

TEST_F(HealthStateTest, ButDoesNotWaitForThatForEver) {
  HealthReport early;
  early.health = ServerHealth::kReady;
  see(0, early);
  EXPECT_EQ(see(200, early).verdict, Verdict::kReady);
}

TEST_F(HealthStateTest, AFailedSetupIsFinal) {
  EXPECT_EQ(see(0, says(ServerHealth::kSetupFailed)).verdict, Verdict::kSetupFailed);
  EXPECT_EQ(see(1, says(ServerHealth::kReady)).verdict, Verdict::kSetupFailed);
}

TEST_F(HealthStateTest, ReplacesAServerThatIsBusyWithNothing) {
  be_ready();
  EXPECT_EQ(see(1000, says(ServerHealth::kBusy)).verdict, Verdict::kReady);
  EXPECT_TRUE(state_.current().is_doubtful);
  EXPECT_EQ(see(5'999, says(ServerHealth::kBusy)).verdict, Verdict::kReady);
  EXPECT_EQ(see(6'000, says(ServerHealth::kBusy)).verdict, Verdict::kBroken);
}

TEST_F(HealthStateTest, CountsTheIdleTimeFromTheLastAttempt) {
  be_ready();
  see(1000, says(ServerHealth::kBusy), /*in_flight=*/1);
  idle_since_ = at(20'000);
  see(20'001, says(ServerHealth::kBusy));
  EXPECT_EQ(see(24'999, says(ServerHealth::kBusy)).verdict, Verdict::kReady);
  EXPECT_EQ(see(25'001, says(ServerHealth::kBusy)).verdict, Verdict::kBroken);
}

TEST_F(HealthStateTest, ABusyServerThatWorksIsFine) {
  be_ready();
  for (int ms = 0; ms < 100'000; ms += 5'000) {
    EXPECT_EQ(see(ms, says(ServerHealth::kBusy), 1).verdict, Verdict::kReady);
  }
}

TEST_F(HealthStateTest, LetsARunFinishInAnUnhealthyServer) {
  be_ready();
  see(0, says(ServerHealth::kUnhealthy), 1);
  EXPECT_EQ(see(60'000, says(ServerHealth::kUnhealthy), 1).verdict, Verdict::kReady);
  EXPECT_EQ(see(60'001, says(ServerHealth::kUnhealthy), 0).verdict, Verdict::kBroken);
}

TEST_F(HealthStateTest, ForgivesAnUnhealthyMoment) {
  be_ready();
  see(0, says(ServerHealth::kUnhealthy));
  see(29'000, says(ServerHealth::kReady));
  EXPECT_EQ(see(31'000, says(ServerHealth::kUnhealthy)).verdict, Verdict::kReady);
}

TEST_F(HealthStateTest, ASlowAnswerWhileItWorksIsNoFault) {
  be_ready();
  see(0, slow(), 1);
  EXPECT_EQ(see(90'000, slow(), 1).verdict, Verdict::kReady);
  EXPECT_EQ(see(90'001, refused(), 1).verdict, Verdict::kBroken);
}

TEST_F(HealthStateTest, ADeadWorkerProcessIsBrokenAtOnce) {
  be_ready();
  EXPECT_EQ(see(1, says(ServerHealth::kDefunct), 1).verdict, Verdict::kBroken);
}

TEST_F(HealthStateTest, AContainerThatEndsDuringSetupHasFailedIt) {
  EXPECT_EQ(state_.container_gone("exit code 1").verdict, Verdict::kSetupFailed);
  EXPECT_EQ(state_.current().detail, "the container ended during setup: exit code 1");
}

}  // namespace
}  // namespace mimeo::worker
