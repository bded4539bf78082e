#include <gtest/gtest.h>

#include "scheduler/core/testing/world.h"

namespace mimeo::scheduler {
namespace {

using testing::milliseconds;
using testing::seconds;
using testing::World;

TEST(CellWorkers, ALostWorkersPredictionRunsOnAnother) {
  World w;
  const WorkerId a = w.add_worker(1000);
  w.put(w.make_target(1, 0, 2));
  const PredictionId id = w.submit(1, 1);
  w.make_ready();
  w.start_next();
  const WorkerId b = w.add_worker(1000);
  w.alive.erase(a);
  w.cell->worker_closed(a);
  w.advance(seconds{11});
  EXPECT_EQ(w.worker_states[a], store::WorkerState::kLost);
  ASSERT_EQ(w.ensures.size(), 1U) << "replaced";
  EXPECT_EQ(w.ensures.front().worker, b);
  w.make_ready();
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().worker, b);
  EXPECT_EQ(w.rows.active[id].infra_failures, 1U);
}

TEST(CellWorkers, ASilentWorkerGetsNoNewWorkAndKeepsWhatItHas) {
  World w;
  const WorkerId a = w.add_worker(1000);
  w.put(w.make_target(1, 1, 1, 2));
  w.make_ready(2);
  const PredictionId id = w.submit(1, 1);
  const SendRun run = w.start_next();
  w.alive.erase(a);
  w.advance(seconds{4});
  w.submit(1, 1);
  EXPECT_TRUE(w.runs.empty());
  EXPECT_EQ(w.rows.active[id].state, ActiveState::kProcessing);
  w.alive.insert(a);
  w.advance(milliseconds{200});
  EXPECT_EQ(w.runs.size(), 1U) << "one sign of life is enough";
  w.end(run);
  EXPECT_TRUE(w.is_done(id));
}

TEST(CellWorkers, APauseOfTheSchedulerItselfLosesNobody) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  const PredictionId id = w.submit(1, 1);
  w.start_next();
  w.clock.advance(seconds{60});  // The process was stopped.
  w.cell->tick();
  w.pump();
  EXPECT_EQ(w.rows.active[id].state, ActiveState::kProcessing);
}

TEST(CellWorkers, AWorkerThatComesBackInTimeIsAskedAgainForWhatItDidNotGet) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  const InstanceId instance = w.make_ready();
  const PredictionId id = w.submit(1, 1);
  ASSERT_EQ(w.runs.size(), 1U);
  w.runs.clear();  // The message was lost with the stream.
  w.cell->worker_closed(worker);
  WorkerHello hello = w.hello(worker);
  hello.instances = {{.id = instance, .state = InstanceState::kReady, .slots = 1, .detail = ""}};
  w.connect(hello);
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().id, id);
  EXPECT_EQ(w.runs.front().attempt, 1U) << "the same attempt: the worker runs it once";
}

TEST(CellWorkers, ARunningAttemptIsUntouchedByAReconnect) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  const InstanceId instance = w.make_ready();
  const PredictionId id = w.submit(1, 1);
  const SendRun run = w.start_next();
  w.cell->worker_closed(worker);
  WorkerHello hello = w.hello(worker);
  hello.instances = {{.id = instance, .state = InstanceState::kReady, .slots = 1, .detail = ""}};
  hello.attempts = {{.key = {id, 1}, .instance = instance, .was_started = true}};
  w.connect(hello);
  EXPECT_TRUE(w.runs.empty());
  EXPECT_TRUE(w.forgets.empty());
  w.submit(1, 1);
  EXPECT_TRUE(w.runs.empty()) << "its slot is still taken";
  w.end(run);
  EXPECT_EQ(w.runs.size(), 1U);
}

TEST(CellWorkers, AttemptsThatTheStoreDoesNotKnowAreForgotten) {
  World w;
  const WorkerId worker = w.add_worker();
  WorkerHello hello = w.hello(worker);
  hello.attempts = {{.key = {w.ids.next(), 1}, .instance = {}, .was_started = true},
                    {.key = {w.ids.next(), 1}, .instance = {}, .is_spooled = true}};
  w.connect(hello);
  EXPECT_EQ(w.forgets.size(), 1U) << "a spooled result is offered to a control plane";
}

TEST(CellWorkers, UnknownInstancesAreStopped) {
  World w;
  const WorkerId worker = w.add_worker();
  WorkerHello hello = w.hello(worker);
  hello.instances = {{.id = w.ids.next(), .state = InstanceState::kReady, .slots = 1}};
  w.connect(hello);
  EXPECT_EQ(w.stops.size(), 1U);
}

TEST(CellWorkers, AMachineThatWasOnlyUnreachableKeepsItsWarmInstance) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  const InstanceId instance = w.make_ready();
  w.alive.erase(worker);
  w.cell->worker_closed(worker);
  w.advance(seconds{20});
  ASSERT_EQ(w.worker_states[worker], store::WorkerState::kLost);
  EXPECT_EQ(w.instances[instance].state, InstanceState::kReady);
  WorkerHello hello = w.hello(worker);
  hello.incarnation = 2;
  hello.instances = {{.id = instance, .state = InstanceState::kReady, .slots = 1}};
  w.connect(hello);
  EXPECT_TRUE(w.stops.empty());
  w.submit(1, 1);
  EXPECT_EQ(w.runs.size(), 1U);
}

TEST(CellWorkers, AMachineLostForLongLosesItsInstances) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  const InstanceId instance = w.make_ready();
  w.alive.erase(worker);
  w.cell->worker_closed(worker);
  w.advance(seconds{80});
  EXPECT_EQ(w.instances[instance].state, InstanceState::kLost);
  WorkerHello hello = w.hello(worker);
  hello.incarnation = 2;
  hello.instances = {{.id = instance, .state = InstanceState::kReady, .slots = 1}};
  w.connect(hello);
  EXPECT_EQ(w.stops.size(), 1U) << "the old container goes";
  EXPECT_GE(w.ensures.size(), 1U) << "a new one comes";
}

TEST(CellWorkers, LateResultOfALostWorkerIsAdoptedWhileNothingNewerRuns) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  const InstanceId instance = w.make_ready();
  const PredictionId id = w.submit(1, 1);
  w.start_next();
  w.alive.erase(worker);
  w.cell->worker_closed(worker);
  w.advance(seconds{12});
  ASSERT_EQ(w.rows.active[id].state, ActiveState::kQueued);
  WorkerHello hello = w.hello(worker);
  hello.incarnation = 2;
  hello.instances = {{.id = instance, .state = InstanceState::kReady, .slots = 1}};
  hello.attempts = {{.key = {id, 1}, .instance = instance, .was_started = true}};
  w.connect(hello);
  EXPECT_TRUE(w.forgets.empty()) << "it may still win";
  EXPECT_TRUE(w.runs.empty()) << "the container is busy with the first attempt";
  store::Finish late;
  late.id = id;
  late.attempt = 1;
  late.status = PredictionStatus::kSucceeded;
  EXPECT_EQ(w.rows.finish(late), store::FinishOutcome::kCommitted);
  w.cell->ended(worker, {.key = {id, 1}, .instance = instance, .ran = seconds{1}});
  w.pump();
  EXPECT_TRUE(w.runs.empty());
  EXPECT_EQ(w.counts(1).queued, 0U);
}

TEST(CellWorkers, OutputThatSomebodySawIsNotProducedTwice) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  const PredictionId id = w.submit(1, 1);
  w.start_next();
  w.rows.active[id].output_seen = true;  // The cell has not been told.
  w.alive.erase(worker);
  w.cell->worker_closed(worker);
  w.advance(seconds{12});
  ASSERT_TRUE(w.is_done(id));
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kFailed);
}

TEST(CellWorkers, APredictionThatTakesItsMachinesDownIsStopped) {
  World w;
  w.put(w.make_target(1, 0, 1));
  const PredictionId id = w.submit(1, 1);
  for (int hosts = 0; hosts < 2; ++hosts) {
    ASSERT_FALSE(w.is_done(id));
    const WorkerId worker = w.add_worker();
    w.advance(milliseconds{100});
    w.make_ready();
    w.start_next();
    w.alive.erase(worker);
    w.cell->worker_closed(worker);
    w.advance(seconds{12});
  }
  ASSERT_TRUE(w.is_done(id));
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kFailed);
}

TEST(CellWorkers, ATakeoverLeavesRunningWorkAloneAndKeepsTheQueue) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  const InstanceId instance = w.make_ready();
  const PredictionId running = w.submit(1, 1);
  const PredictionId waiting = w.submit(1, 1);
  const SendRun run = w.start_next();
  w.take_over();
  EXPECT_TRUE(w.runs.empty());
  WorkerHello hello = w.hello(worker);
  hello.instances = {{.id = instance, .state = InstanceState::kReady, .slots = 1}};
  hello.attempts = {{.key = {running, 1}, .instance = instance, .was_started = true}};
  w.connect(hello);
  EXPECT_TRUE(w.runs.empty());
  EXPECT_TRUE(w.ensures.empty());
  w.end(run);
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().id, waiting);
  EXPECT_EQ(w.live_instances(), 1U);
}

TEST(CellWorkers, AfterATakeoverAnAttemptThatWasNeverDeliveredIsSentAgain) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 1, 1));
  const InstanceId instance = w.make_ready();
  const PredictionId id = w.submit(1, 1);
  w.runs.clear();
  w.take_over();
  WorkerHello hello = w.hello(worker);
  hello.instances = {{.id = instance, .state = InstanceState::kReady, .slots = 1}};
  w.connect(hello);
  ASSERT_EQ(w.runs.size(), 1U);
  EXPECT_EQ(w.runs.front().id, id);
  EXPECT_EQ(w.runs.front().attempt, 1U);
}

TEST(CellWorkers, AfterATakeoverAWorkerThatDoesNotComeBackIsLost) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 1, 1));
  w.make_ready();
  const PredictionId id = w.submit(1, 1);
  w.start_next();
  w.take_over();
  w.advance(seconds{12});
  EXPECT_EQ(w.rows.active[id].state, ActiveState::kQueued);
}

TEST(CellWorkers, ADrainingWorkerIsReplacedAndFinishesItsWork) {
  World w;
  const WorkerId a = w.add_worker(1000);
  w.put(w.make_target(1, 1, 1));
  const InstanceId first = w.make_ready();
  w.submit(1, 1);
  const SendRun run = w.start_next();
  const WorkerId b = w.add_worker(1000);
  w.cell->worker_draining(a, seconds{30});
  w.pump();
  ASSERT_EQ(w.stops.size(), 1U);
  EXPECT_EQ(w.stops.front().drain, seconds{30});
  w.advance(seconds{1});
  ASSERT_EQ(w.ensures.size(), 1U);
  EXPECT_EQ(w.ensures.front().worker, b);
  w.end(run);
  EXPECT_TRUE(w.is_done(run.id));
  w.report(first, InstanceState::kStopped);
  EXPECT_EQ(w.instances[first].state, InstanceState::kStopped);
}

TEST(CellWorkers, AWorkerThatLeftIsUsedAgainWhenItComesBackToANewOwner) {
  World w;
  const WorkerId worker = w.add_worker();
  w.put(w.make_target(1, 0, 1));
  w.cell->worker_draining(worker, seconds{30});
  w.pump();
  w.take_over();  // Before its leaving was recorded: worker and scheduler stop together.
  w.connect(w.hello(worker));
  w.submit(1, 1);
  w.advance(seconds{1});
  ASSERT_EQ(w.ensures.size(), 1U);
  EXPECT_EQ(w.ensures.front().worker, worker);
}

TEST(CellWorkers, AnAttemptWhoseContainerVanishedIsSettledEvenWithoutItsResult) {
  World w;
  w.add_worker();
  w.put(w.make_target(1, 0, 1));
  const PredictionId id = w.submit(1, 1);
  const InstanceId instance = w.make_ready();
  w.start_next();
  w.report(instance, InstanceState::kFailed, "exit code 137");
  EXPECT_FALSE(w.is_done(id)) << "its result, with the log, is on its way";
  w.advance(w.options.end_grace + seconds{1});
  ASSERT_TRUE(w.is_done(id));
  EXPECT_EQ(w.rows.results[id].status, PredictionStatus::kFailed);
}

}  // namespace
}  // namespace mimeo::scheduler
