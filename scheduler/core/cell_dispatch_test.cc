#include <gtest/gtest.h>

#include "scheduler/core/testing/world.h"

namespace mimeo::scheduler {
namespace {

using testing::milliseconds;
using testing::seconds;
using testing::World;

TEST(Cell, StartsAnInstanceOnTheFirstPredictionAndRunsItThere) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 3));
  ASSERT_TRUE(w.ensures.empty());
  const PredictionId id = w.submit(1, 1);
  ASSERT_EQ(w.ensures.size(), 1U) << "the first demand is served at once, not at the next tick";
  EXPECT_TRUE(w.runs.empty());
  const InstanceId instance = w.make_ready();
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().id, id);
  EXPECT_EQ(w.runs.front().instance, instance);
  EXPECT_EQ(w.runs.front().attempt, 1U);
  EXPECT_EQ(w.rows.active[id].state, ActiveState::kAssigned) << "durable before dispatch";
}

TEST(Cell, FreesTheSlotWhenTheAttemptEndsAndTakesTheNext) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 1));
  const PredictionId a = w.submit(1, 1);
  const PredictionId b = w.submit(1, 1);
  w.make_ready();
  ASSERT_EQ(w.runs.size(), 1U) << "one slot runs one prediction";
  const SendRun first = w.start_next();
  EXPECT_EQ(first.id, a);
  w.end(first);
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().id, b);
}

TEST(Cell, GrantsAFreeSlotAndRunsWithoutAnotherCommit) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  const InstanceId instance = w.make_ready();
  const ReserveAnswer grant = w.cell->reserve(1, 7);
  ASSERT_TRUE(grant.is_granted);
  EXPECT_EQ(grant.instance, instance);
  EXPECT_EQ(grant.worker, worker);
  EXPECT_FALSE(w.cell->reserve(1, 7).is_granted) << "the slot is held";
  const PredictionId id = w.ids.next();
  w.cell->granted({.grant = grant.grant,
                   .id = id,
                   .input = "{\"a\":1}",
                   .run_limit = seconds{60},
                   .deadline_in = std::nullopt,
                   .progress = milliseconds{0},
                   .hub = 3});
  w.pump();
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().input, "{\"a\":1}");
  EXPECT_EQ(w.runs.front().hub, 3U);
  EXPECT_EQ(w.runs.front().run_limit, seconds{60});
  EXPECT_FALSE(w.runs.front().limit_is_deadline);
}

TEST(Cell, RefusesAGrantWhileSomebodyWaits) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 1));
  w.submit(1, 1);
  w.submit(1, 1);
  w.make_ready();
  w.end(w.start_next());
  EXPECT_FALSE(w.cell->reserve(1, 2).is_granted);
}

TEST(Cell, GivesAnUnusedGrantBackAfterItsHoldTime) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  ASSERT_TRUE(w.cell->reserve(1, 1).is_granted);
  w.submit(1, 2);
  EXPECT_TRUE(w.runs.empty());
  w.advance(w.options.grant_hold + milliseconds{200});
  EXPECT_EQ(w.runs.size(), 1U) << "whoever waited gets the slot";
}

TEST(Cell, SettlesAGrantThatIsUsedTooLate) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  const ReserveAnswer grant = w.cell->reserve(1, 1);
  w.submit(1, 2);
  w.advance(w.options.grant_hold + milliseconds{200});
  ASSERT_EQ(w.runs.size(), 1U);
  const PredictionId late = w.insert_row(1, 1);
  store::ActiveRow& row = w.rows.active[late];
  row.state = ActiveState::kAssigned;
  row.attempt = 1;
  row.instance = grant.instance;
  row.worker = grant.worker;
  row.incarnation = grant.incarnation;
  w.cell->granted({.grant = grant.grant, .id = late, .input = "{}"});
  w.pump();
  EXPECT_EQ(w.rows.active[late].state, ActiveState::kQueued) << "its slot was given away";
  w.end(w.start_next());
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().id, late);
  EXPECT_EQ(w.runs.front().attempt, 2U);
}

TEST(Cell, FindsPredictionsWhoseHintWasLost) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 1));
  const PredictionId id = w.insert_row(1, 1);
  EXPECT_TRUE(w.ensures.empty());
  w.scan();
  ASSERT_EQ(w.ensures.size(), 1U);
  w.make_ready();
  EXPECT_EQ(w.runs.front().id, id);
}

TEST(Cell, RunsAGrantedRowWhoseConfirmationWasLost) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  const ReserveAnswer grant = w.cell->reserve(1, 1);
  const PredictionId id = w.insert_row(1, 1);
  store::ActiveRow& row = w.rows.active[id];
  row.state = ActiveState::kAssigned;
  row.attempt = 1;
  row.instance = grant.instance;
  row.worker = grant.worker;
  row.incarnation = grant.incarnation;
  w.advance(milliseconds{100});
  w.scan();
  EXPECT_TRUE(w.runs.empty()) << "the confirmation may still come";
  w.advance(seconds{3});
  w.scan();
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().attempt, 1U);
  EXPECT_FALSE(w.runs.front().input.has_value()) << "the dispatcher reads it";
}

TEST(Cell, NeverRunsMoreThanTheSlotsThatTheWorkerReports) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1, 1));
  w.make_ready(/*slots=*/3);
  for (int i = 0; i < 10; ++i) w.submit(1, 1);
  EXPECT_EQ(w.runs.size(), 3U);
}

TEST(Cell, HoldsAnAccountToItsLimitAndServesItAgainWhenOneEnds) {
  World w;
  w.add_worker();
  w.policies[5] = {.weight = 1, .max_running = 1};
  w.put(w.make_target(1, 1, 1, 4));
  w.make_ready(4);
  w.submit(1, 5);
  w.submit(1, 5);
  w.submit(1, 6);
  ASSERT_EQ(w.runs.size(), 2U);
  const SendRun first = w.start_next();
  EXPECT_EQ(w.runs.front().id, w.runs.front().id);
  w.end(first);
  EXPECT_EQ(w.runs.size(), 2U) << "the second one of the limited account follows";
}

TEST(Cell, ALightAccountIsNotHeldUpByAnotherOnesDump) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 4, 4));
  for (int i = 0; i < 4; ++i) w.make_ready();
  for (int i = 0; i < 2000; ++i) w.submit(1, 1);
  // All slots are busy with the dump. The light account comes in the middle of it.
  for (int i = 0; i < 100; ++i) w.end(w.start_next());
  const PredictionId light = w.submit(1, 2);
  int before = 0;
  while (!w.is_done(light)) {
    w.end(w.start_next());
    ++before;
    ASSERT_LT(before, 20) << "waits longer than two rounds of the slots";
  }
}

TEST(Cell, CancelOfAQueuedPredictionTakesItOutOfTheQueue) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 1));
  w.submit(1, 1);
  const PredictionId second = w.submit(1, 1);
  w.cancel(second);
  w.make_ready();
  w.end(w.start_next());
  EXPECT_TRUE(w.runs.empty());
  EXPECT_EQ(w.counts(1).queued, 0U);
}

TEST(Cell, CancelOfARunningPredictionReachesItsWorker) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 0, 1));
  const PredictionId id = w.submit(1, 1);
  w.make_ready();
  const SendRun run = w.start_next();
  w.cancel(id);
  ASSERT_EQ(w.cancels.size(), 1U);
  EXPECT_EQ(w.cancels.front().worker, worker);
  EXPECT_EQ(w.cancels.front().attempt, 1U);
  w.end(run, milliseconds{50}, PredictionStatus::kCanceled);
  w.scan();
  EXPECT_EQ(w.counts(1).running, 0U);
}

TEST(Cell, CancelsOnItsOwnAuthorityWhenNobodyElseDoes) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 1));
  const PredictionId id = w.submit(1, 1);
  w.make_ready();
  w.start_next();
  w.cancel(id);
  w.advance(w.options.cancel_sweep + seconds{1});
  ASSERT_TRUE(w.is_done(id));
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kCanceled);
  EXPECT_EQ(w.forgets.size(), 1U);
}

TEST(Cell, ACancelWhoseHintWasLostIsFoundByTheScan) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 1));
  const PredictionId id = w.submit(1, 1);
  w.make_ready();
  w.start_next();
  w.rows.cancel(id);
  w.advance(milliseconds{100});
  w.scan();
  EXPECT_EQ(w.cancels.size(), 1U);
}

TEST(Cell, AbortsWhatIsStillQueuedAtItsDeadline) {
  World w;
  w.put(w.make_target(1, 0, 1));
  const PredictionId id = w.submit(1, 1, Priority::kDefault, seconds{5});
  w.advance(seconds{6});
  ASSERT_TRUE(w.is_done(id));
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kAborted);
}

TEST(Cell, CancelsWhatRunsPastItsDeadlineWhenTheWorkerDoesNot) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  const PredictionId id = w.submit(1, 1, Priority::kDefault, seconds{5});
  EXPECT_LE(w.runs.front().run_limit, seconds{5}) << "the worker enforces it first";
  EXPECT_TRUE(w.runs.front().limit_is_deadline) << "and must know what it enforces";
  w.start_next();
  w.advance(seconds{10});
  EXPECT_FALSE(w.is_done(id));
  w.advance(seconds{10});
  ASSERT_TRUE(w.is_done(id));
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kCanceled);
}

TEST(Cell, FailsWhatRunsPastItsLimitWhenTheWorkerDoesNot) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  const PredictionId id = w.insert_row(1, 1);
  w.rows.active[id].run_limit = seconds{20};
  w.scan();
  w.start_next();
  w.advance(seconds{29});
  EXPECT_FALSE(w.is_done(id));
  w.advance(seconds{2});
  ASSERT_TRUE(w.is_done(id));
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kFailed);
  EXPECT_EQ(w.forgets.size(), 1U);
}

TEST(Cell, AResultThatComesWhileTheDeadlineFiresWins) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  const PredictionId id = w.submit(1, 1, Priority::kDefault, seconds{5});
  const SendRun run = std::move(w.runs.front());
  // The container took it, but neither message has reached the cell.
  w.rows.mark_started(id, 1);
  w.advance(seconds{6});
  EXPECT_FALSE(w.is_done(id)) << "it has started: not to be aborted";
  EXPECT_TRUE(w.forgets.empty());
  w.cell->started(run.worker, {id, 1});
  w.end(run);
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kSucceeded);
  EXPECT_EQ(w.rows.double_results, 0);
}

TEST(Cell, ARejectedAttemptRunsElsewhereWithoutCountingAsAFailure) {
  World w;
  w.add_worker(1000);
  w.add_worker(1000);
  w.put(w.make_target(1, 2, 2));
  w.make_ready();
  w.make_ready();
  const PredictionId id = w.submit(1, 1);
  const SendRun first = std::move(w.runs.front());
  w.runs.pop_front();
  w.cell->rejected(first.worker, {id, 1}, first.instance, RejectReason::kBusy);
  w.pump();
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_NE(w.runs.front().worker, first.worker);
  EXPECT_EQ(w.runs.front().attempt, 2U);
  EXPECT_EQ(w.rows.active[id].infra_failures, 0U);
}

TEST(Cell, AssignsNothingWhilePaused) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  w.cell->pause();
  w.submit(1, 1);
  EXPECT_TRUE(w.runs.empty());
  EXPECT_FALSE(w.cell->reserve(1, 1).is_granted);
  w.cell->resume();
  w.pump();
  EXPECT_EQ(w.runs.size(), 1U);
}

}  // namespace
}  // namespace mimeo::scheduler
