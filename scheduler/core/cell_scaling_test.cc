#include <gtest/gtest.h>

#include <set>

#include "scheduler/core/testing/world.h"

namespace mimeo::scheduler {
namespace {

using testing::milliseconds;
using testing::seconds;
using testing::World;

CellOptions quick_idle() {
  CellOptions options;
  options.idle_timeout = seconds{30};
  options.shrink_every = seconds{5};
  return options;
}

TEST(CellScaling, GoesFromZeroToOneToTwoAndBackToZero) {
  World w(quick_idle());
  w.add_worker();
  w.put(w.make_target(1, 0, 2));
  w.advance(seconds{2});
  EXPECT_EQ(w.live_instances(), 0U);
  for (int i = 0; i < 40; ++i) w.submit(1, 1);
  w.advance(seconds{1});
  w.make_ready();
  while (!w.ensures.empty()) w.make_ready();
  EXPECT_EQ(w.counts(1).instances_ready, 2U) << "forty waiting are worth a second instance";
  w.run_everything();
  w.advance(seconds{60});
  w.stop_all();
  w.advance(seconds{60});
  w.stop_all();
  EXPECT_EQ(w.live_instances(), 0U);
}

TEST(CellScaling, KeepsTheMinimumWarmWithoutAnyDemand) {
  World w(quick_idle());
  w.add_worker();
  w.put(w.make_target(1, 1, 2));
  ASSERT_EQ(w.ensures.size(), 1U);
  w.make_ready();
  w.advance(seconds{300});
  EXPECT_TRUE(w.stops.empty());
  EXPECT_EQ(w.counts(1).instances_ready, 1U);
}

TEST(CellScaling, NeverExceedsTheMaximum) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 3));
  for (int i = 0; i < 500; ++i) w.submit(1, 1);
  w.advance(seconds{10});
  while (!w.ensures.empty()) w.make_ready();
  w.advance(seconds{10});
  EXPECT_EQ(w.live_instances(), 3U);
}

TEST(CellScaling, DoesNotStartAnInstanceForABacklogThatDrainsFaster) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 4));
  w.make_ready(1, seconds{60});  // A minute to start,
  for (int i = 0; i < 10; ++i) {
    w.submit(1, 1);
    w.end(w.start_next(), seconds{1});  // a second to serve.
  }
  for (int i = 0; i < 20; ++i) w.submit(1, 1);
  w.advance(seconds{1});
  EXPECT_EQ(w.live_instances(), 1U);
}

TEST(CellScaling, AddsAnInstanceWhenALongPredictionBlocksTheQueue) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 2));
  w.make_ready(1, seconds{5});
  w.submit(1, 1);
  w.start_next();  // Runs for minutes, says nothing.
  w.submit(1, 1);
  w.advance(seconds{8});
  EXPECT_EQ(w.live_instances(), 2U);
}

TEST(CellScaling, AFailingSetupIsTriedThreeTimesWithPausesAndThenFailsTheQueue) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 2));
  const PredictionId id = w.submit(1, 1);
  w.fail_setup("ImportError: torch");
  w.advance(seconds{5});
  EXPECT_TRUE(w.ensures.empty()) << "left alone for ten seconds";
  w.advance(seconds{6});
  ASSERT_EQ(w.ensures.size(), 1U);
  w.fail_setup("ImportError: torch");
  w.advance(seconds{31});
  ASSERT_EQ(w.ensures.size(), 1U);
  EXPECT_FALSE(w.is_done(id));
  w.fail_setup("ImportError: torch");
  w.advance(seconds{1});
  ASSERT_TRUE(w.is_done(id));
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kFailed);
  EXPECT_NE(w.rows.results[id].error.find("ImportError: torch"), std::string::npos);
  const PredictionId next = w.submit(1, 1);
  w.advance(seconds{1});
  EXPECT_TRUE(w.is_done(next)) << "it does not wait for ever, either";
  w.advance(std::chrono::minutes{16});
  w.submit(1, 1);
  w.advance(seconds{1});
  EXPECT_EQ(w.ensures.size(), 1U) << "tried again after a quarter of an hour";
}

TEST(CellScaling, TwoModelsShareOneGpuByEvictingTheIdleOne) {
  World w;
  w.add_worker(0, 1);
  TargetConfig a = w.make_target(1, 0, 1);
  a.sku = "gpu";
  a.resources.gpus = 1;
  TargetConfig b = a;
  b.id = 2;
  b.releases[0].version = World::version(2);
  w.put(a);
  w.put(b);
  w.submit(1, 1);
  w.make_ready();
  w.end(w.start_next());
  w.advance(seconds{6});
  const PredictionId second = w.submit(2, 1);
  w.advance(milliseconds{100});
  ASSERT_EQ(w.stops.size(), 1U);
  EXPECT_TRUE(w.ensures.empty()) << "one GPU is never booked twice";
  w.stop_all();
  ASSERT_EQ(w.ensures.size(), 1U);
  EXPECT_EQ(w.ensures.front().target, 2);
  w.make_ready();
  EXPECT_EQ(w.runs.front().id, second);
}

TEST(CellScaling, ABusyTargetGivesWayToOneThatStarves) {
  World w;
  w.add_worker(0, 1);
  TargetConfig a = w.make_target(1, 0, 1);
  a.sku = "gpu";
  a.resources.gpus = 1;
  TargetConfig b = a;
  b.id = 2;
  b.releases[0].version = World::version(2);
  w.put(a);
  w.put(b);
  for (int i = 0; i < 1000; ++i) w.submit(1, 1);
  w.make_ready();
  const PredictionId other = w.submit(2, 1);
  for (int i = 0; i < 70 && w.stops.empty(); ++i) {
    const SendRun run = w.start_next();
    w.advance(seconds{1});
    w.end(run);
  }
  ASSERT_EQ(w.stops.size(), 1U) << "after a minute its turn comes";
  EXPECT_GT(w.stops.front().drain, seconds{0}) << "nothing busy is killed";
  while (!w.runs.empty()) w.end(w.start_next());
  w.stop_all();
  ASSERT_EQ(w.ensures.size(), 1U);
  w.make_ready();
  ASSERT_FALSE(w.runs.empty());
  EXPECT_EQ(w.runs.front().id, other);
}

TEST(CellScaling, ATrainingIsNeverInterruptedForSomebodyElse) {
  World w;
  w.add_worker(0, 1);
  TargetConfig a = w.make_target(1, 0, 1);
  a.kind = store::TargetKind::kTraining;
  a.sku = "gpu";
  a.resources.gpus = 1;
  TargetConfig b = a;
  b.id = 2;
  b.kind = store::TargetKind::kVersionPool;
  b.releases[0].version = World::version(2);
  w.put(a);
  w.put(b);
  w.submit(1, 1);
  w.make_ready();
  const SendRun training = w.start_next();
  EXPECT_TRUE(training.is_training);
  const PredictionId other = w.submit(2, 2);
  w.advance(seconds{300});
  EXPECT_TRUE(w.stops.empty()) << "its hours of work would be lost";
  w.end(training);
  w.advance(seconds{6});
  w.stop_all();
  ASSERT_EQ(w.ensures.size(), 1U) << "an idle one makes room as usual";
  w.make_ready();
  ASSERT_FALSE(w.runs.empty());
  EXPECT_EQ(w.runs.front().id, other);
}

// Each is paid by somebody else (store::InstanceRow).
TEST(CellScaling, InstancesOfATrainingPoolAreStartedForWhoeverTrainsThereFirst) {
  World w;
  w.add_worker();
  TargetConfig pool = w.make_target(1, 0, 4);
  pool.kind = store::TargetKind::kTraining;
  w.put(pool);
  for (const AccountId account : {2, 2, 3}) w.submit(1, account);
  w.advance(seconds{1});
  const auto started_for = [&w] {
    std::vector<AccountId> accounts;
    for (const auto& [id, row] : w.instances) accounts.push_back(row.started_for);
    std::sort(accounts.begin(), accounts.end());
    return accounts;
  };
  ASSERT_FALSE(started_for().empty());
  while (!w.ensures.empty()) w.make_ready();
  w.advance(seconds{300});  // The others have waited for long enough to be worth one each.
  while (!w.ensures.empty()) w.make_ready();
  EXPECT_EQ(started_for(), (std::vector<AccountId>{2, 2, 3}));
}

TEST(CellScaling, WhoComesFirstInATrainingPoolIsNotSetUpAtTheCostOfWhomItOvertakes) {
  World w;
  w.add_worker();
  TargetConfig pool = w.make_target(1, 0, 4);
  pool.kind = store::TargetKind::kTraining;
  w.put(pool);
  w.submit(1, 2);
  w.make_ready();
  w.end(w.start_next(), std::chrono::hours{1});  // Others come before account 2 from now on.
  w.submit(1, 2);
  w.start_next();
  w.submit(1, 2);
  w.advance(seconds{6});
  ASSERT_EQ(w.ensures.size(), 1U);
  w.submit(1, 3);
  w.advance(seconds{6});
  ASSERT_EQ(w.ensures.size(), 2U);
  std::multiset<AccountId> started_for;
  for (const auto& [id, row] : w.instances) started_for.insert(row.started_for);
  EXPECT_EQ(started_for, (std::multiset<AccountId>{2, 2, 3}));
}

TEST(CellScaling, ARemovedVersionLetsItsTrainingEnd) {
  World w;
  w.add_worker();
  TargetConfig a = w.make_target(1, 0, 1);
  a.kind = store::TargetKind::kTraining;
  w.put(a);
  const PredictionId id = w.submit(1, 1);
  w.make_ready();
  const SendRun training = w.start_next();
  a.releases.clear();
  ++a.config_seq;
  w.put(a);
  w.advance(seconds{5});
  ASSERT_EQ(w.stops.size(), 1U);
  EXPECT_GT(w.stops.front().drain, std::chrono::hours{24}) << "the longest a training may run";
  w.end(training);
  EXPECT_TRUE(w.is_done(id));
}

TEST(CellScaling, SaysWhyAMinimumIsNotMet) {
  World w;
  w.add_worker(1500);
  w.put(w.make_target(1, 3, 3));
  w.advance(seconds{1});
  EXPECT_EQ(w.live_instances(), 1U);
  EXPECT_EQ(w.counts(1).unmet_reason, "processor or memory of all machines are in use");
}

TEST(CellScaling, EachGpuIsBookedOnce) {
  World w;
  const WorkerId worker = w.add_worker(0, 4);
  TargetConfig config = w.make_target(1, 8, 8);
  config.sku = "gpu";
  config.resources.gpus = 1;
  w.put(config);
  w.advance(seconds{1});
  std::set<GpuIndex> used;
  for (const SendEnsure& ensure : w.ensures) {
    EXPECT_EQ(ensure.worker, worker);
    for (const GpuIndex gpu : ensure.gpus) EXPECT_TRUE(used.insert(gpu).second);
  }
  EXPECT_EQ(used.size(), 4U);
}

// --- Rollouts -----------------------------------------------------------------------------------

TargetConfig deployment(World& w, std::int32_t min, std::int32_t max) {
  TargetConfig config = w.make_target(1, min, max);
  config.kind = store::TargetKind::kDeployment;
  config.deployment = 9;
  config.releases[0].number = 1;
  return config;
}

TargetConfig with_new_release(TargetConfig config, int version) {
  ReleaseConfig next = config.releases.front();
  ++next.number;
  next.state = store::ReleaseState::kRolling;
  next.version = World::version(version);
  config.releases.insert(config.releases.begin(), next);
  return config;
}

TEST(CellRollout, NewReleaseComesUpBesideTheOldAndTakesOverWithoutDroppingWork) {
  World w;
  w.add_worker();
  const TargetConfig first = deployment(w, 2, 2);
  w.put(first);
  w.make_ready();
  w.make_ready();
  for (int i = 0; i < 20; ++i) w.submit(1, 1);
  ASSERT_EQ(w.runs.size(), 2U);
  const SendRun old_run = w.start_next();

  w.put(with_new_release(first, 50));
  ASSERT_EQ(w.ensures.size(), 1U) << "one first, to see whether it works";
  EXPECT_EQ(w.ensures.front().version, World::version(50));
  EXPECT_TRUE(w.stops.empty());
  w.make_ready();
  ASSERT_EQ(w.release_changes.size(), 1U);
  EXPECT_EQ(w.release_changes.front().to, store::ReleaseState::kLive);
  w.advance(milliseconds{100});
  EXPECT_EQ(w.stops.size(), 1U) << "one for one";
  EXPECT_GT(w.stops.front().drain, seconds{0});
  w.make_ready();
  w.advance(milliseconds{100});
  EXPECT_EQ(w.stops.size(), 2U);

  w.end(old_run);
  while (!w.runs.empty()) w.end(w.start_next());
  w.stop_all();
  w.scan();
  EXPECT_EQ(w.counts(1).queued, 0U);
  EXPECT_EQ(w.rows.results.size(), 20U);
  EXPECT_EQ(w.live_instances(), 2U);
}

TEST(CellRollout, AReleaseWhoseSetupFailsIsHaltedAndTheOldOneServes) {
  World w;
  w.add_worker();
  const TargetConfig first = deployment(w, 1, 1);
  w.put(first);
  w.make_ready();
  w.put(with_new_release(first, 50));
  w.fail_setup("boom");
  w.advance(seconds{11});
  ASSERT_EQ(w.ensures.size(), 1U);
  w.fail_setup("boom");
  w.advance(seconds{1});
  ASSERT_EQ(w.release_changes.size(), 1U);
  EXPECT_EQ(w.release_changes.front().to, store::ReleaseState::kFailed);
  w.advance(seconds{120});
  EXPECT_TRUE(w.ensures.empty());
  EXPECT_TRUE(w.stops.empty());
  w.submit(1, 1);
  EXPECT_EQ(w.runs.size(), 1U);
}

TEST(CellRollout, AChangeOfBoundsKeepsTheContainers) {
  World w;
  w.add_worker();
  const TargetConfig first = deployment(w, 1, 1);
  w.put(first);
  w.make_ready();
  TargetConfig second = with_new_release(first, 1);
  second.max_instances = 5;
  w.put(second);
  EXPECT_TRUE(w.ensures.empty());
  EXPECT_TRUE(w.stops.empty());
  ASSERT_EQ(w.release_changes.size(), 1U);
  EXPECT_EQ(w.release_changes.front().to, store::ReleaseState::kLive);
}

TEST(CellRollout, OnOneGpuTheIdleOldInstanceMakesRoom) {
  World w;
  w.add_worker(0, 1);
  TargetConfig first = deployment(w, 1, 1);
  first.sku = "gpu";
  first.resources.gpus = 1;
  w.put(first);
  w.make_ready();
  w.put(with_new_release(first, 50));
  w.advance(milliseconds{100});
  ASSERT_EQ(w.stops.size(), 1U);
  w.stop_all();
  ASSERT_EQ(w.ensures.size(), 1U);
  EXPECT_EQ(w.ensures.front().version, World::version(50));
}

TEST(CellRollout, ADeletedDeploymentEndsItsInstances) {
  World w;
  w.add_worker();
  w.put(deployment(w, 1, 1));
  w.make_ready();
  w.cell->remove_target(1);
  w.pump();
  w.advance(seconds{1});
  w.stop_all();
  EXPECT_EQ(w.live_instances(), 0U);
}

}  // namespace
}  // namespace mimeo::scheduler
