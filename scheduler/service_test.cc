#include <gtest/gtest.h>

#include "scheduler/testing/service_fixture.h"

namespace mimeo::scheduler {
namespace {

using testing::FakeControlPlane;
using testing::FakeWorker;
using testing::milliseconds;
using testing::seconds;
using testing::ServiceFixture;

class SchedulerProcess : public ServiceFixture {};

TEST_F(SchedulerProcess, TheFirstRequestStartsAnInstanceAndItsRunReachesTheWorker) {
  Service& service = start_owner();
  FakeWorker& worker = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId id = submit(plane, target);
  until([&] { return worker.running(id).has_value(); }, "the run");
  const v1::EnsureInstance& ensure = worker.ensures.at(0);
  EXPECT_EQ(ensure.repository(), "acme/hello");
  EXPECT_EQ(ensure.digest(), "sha256:" + target.version->hex());
  EXPECT_EQ(ensure.sku(), "cpu");
  EXPECT_EQ(ensure.resources().cpu_milli(), 1000U);
  EXPECT_EQ(ensure.openapi_schema(), "{}");
  const v1::Run& run = worker.runs.at(0);
  EXPECT_EQ(run.input(), R"({"text":"hi"})");
  EXPECT_EQ(run.hub_addrs(0), "unix:/hub-a") << "the control plane that holds the client";
  EXPECT_EQ(run.id().attempt(), 1U);
  worker.end_only(store_);
  EXPECT_EQ(status_of(id), PredictionStatus::kSucceeded);
}

TEST_F(SchedulerProcess, AnEndedAttemptFreesItsSlotForTheNext) {
  Service& service = start_owner();
  FakeWorker& worker = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId first = submit(plane, target);
  const PredictionId second = submit(plane, target);
  until([&] { return worker.running(first).has_value(); });
  EXPECT_FALSE(worker.running(second).has_value());
  worker.end_only(store_);
  until([&] { return worker.running(second).has_value(); });
  EXPECT_EQ(live_instances().size(), 1U);
}

TEST_F(SchedulerProcess, AWarmPredictionIsGrantedASlotAndRunsWithoutBeingReadAgain) {
  Service& service = start_owner();
  FakeWorker& worker = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId cold = submit(plane, target);
  until([&] { return worker.running(cold).has_value(); });
  const std::uint64_t busy = plane.reserve(target.id, account_);
  until([&] { return plane.replies.contains(busy); });
  EXPECT_FALSE(plane.replies[busy].granted());
  worker.end_only(store_);

  std::uint64_t asked = plane.reserve(target.id, account_);
  until([&] {
    const auto reply = plane.replies.find(asked);
    if (reply == plane.replies.end()) return false;
    if (!reply->second.granted()) asked = plane.reserve(target.id, account_);
    return reply->second.granted();
  });
  const v1::ReserveReply reply = plane.replies[asked];
  EXPECT_EQ(reply.version_id(), target.version->raw());
  EXPECT_EQ(reply.worker_id(), worker.id.str());

  store::NewPrediction p = new_prediction(target);
  store::Grant grant;
  grant.fence = {static_cast<CellId>(reply.cell_id()), reply.epoch()};
  grant.instance = *Uuid::parse(reply.instance_id());
  grant.worker = worker.id;
  grant.incarnation = reply.incarnation();
  grant.version = *target.version;
  p.grant = grant;
  ASSERT_EQ((*store_.create({&p, 1}))[0].outcome, store::CreateOutcome::kAssigned);
  plane.granted(reply.grant_id(), p.id, target.id, R"({"warm":true})");
  until([&] { return worker.running(p.id).has_value(); });
  EXPECT_EQ(worker.runs.back().input(), R"({"warm":true})");
  EXPECT_EQ(worker.runs.back().hub_addrs(0), "unix:/hub-a");
}

TEST_F(SchedulerProcess, PredictionsAreFoundWithoutAnyHint) {
  Service& service = start_owner();
  FakeWorker& worker = add_worker(service);
  const store::Target target = add_pool(1);
  const store::NewPrediction p = new_prediction(target);
  ASSERT_TRUE(store_.create({&p, 1}).ok());
  until([&] { return worker.running(p.id).has_value(); });
}

TEST_F(SchedulerProcess, WhatALostWorkerRanRunsOnAnother) {
  Service& service = start_owner();
  FakeWorker& doomed = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId id = submit(plane, target);
  until([&] { return doomed.running(id).has_value(); });
  FakeWorker& heir = add_worker(service);
  doomed.disconnect();
  until([&] { return heir.running(id).has_value(); }, "the second attempt");
  EXPECT_EQ(heir.runs.back().id().attempt(), 2U);
  heir.end_only(store_);
  EXPECT_EQ(status_of(id), PredictionStatus::kSucceeded);

  doomed.connect(service.address());
  until([&] { return !doomed.forgotten.empty(); }, "the first attempt being forgotten");
  EXPECT_EQ(doomed.incarnation, 2U);
}

TEST_F(SchedulerProcess, ARestartOfTheSchedulerTouchesNothingThatRuns) {
  Service* service = &start_owner();
  FakeWorker& worker = add_worker(*service);
  FakeControlPlane& plane = add_control_plane(*service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId running = submit(plane, target);
  const PredictionId waiting = submit(plane, target);
  until([&] { return worker.running(running).has_value(); });
  stop(*service);
  until([&] { return worker.is_closed; });

  service = &start_owner();
  worker.connect(service->address());
  until([&] { return worker.is_welcome; });
  pass(milliseconds{300});
  EXPECT_EQ(worker.runs.size(), 1U);
  EXPECT_TRUE(worker.forgotten.empty());
  EXPECT_TRUE(worker.stops.empty());
  worker.end_only(store_);
  until([&] { return worker.running(waiting).has_value(); }, "the queue's next");
  EXPECT_EQ(worker.runs.back().id().attempt(), 1U);
  EXPECT_EQ(live_instances().size(), 1U);
}

TEST_F(SchedulerProcess, AStandByTakesOverWhenTheOwnerIsKilled) {
  Service& owner = start_owner();
  Service& standby = start_scheduler();
  FakeWorker& worker = add_worker(owner);
  FakeControlPlane& plane = add_control_plane(owner, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId running = submit(plane, target);
  const PredictionId waiting = submit(plane, target);
  until([&] { return worker.running(running).has_value(); });
  EXPECT_EQ(standby.find_cell(1), nullptr);
  EXPECT_TRUE(standby.readiness().ok()) << "ready to stand by";
  const std::uint64_t old_epoch = owner.find_cell(1)->fence().epoch;
  kill(owner);
  until([&] { return standby.find_cell(1) != nullptr; }, "the takeover");
  EXPECT_GT(standby.find_cell(1)->fence().epoch, old_epoch);
  worker.connect(standby.address());
  until([&] { return worker.is_welcome; });
  worker.end_only(store_);
  until([&] { return worker.running(waiting).has_value(); });
  EXPECT_EQ(worker.executed.size(), 2U) << "nothing ran twice";
}

TEST_F(SchedulerProcess, AWorkerThatDialsTheWrongSchedulerIsSentToTheOwner) {
  Service& owner = start_owner();
  Service& standby = start_scheduler();
  workers_.push_back(
      std::make_unique<FakeWorker>(io_.get_executor(), ids_.next(), std::string("secret")));
  FakeWorker& worker = *workers_.back();
  worker.connect(standby.address());
  until([&] { return !worker.redirected_to.empty(); });
  EXPECT_EQ(worker.redirected_to, owner.address());

  auto stub = v1::WorkerSession::NewStub(rpc::make_channel(standby.address()));
  auto located = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::LocateRequest request;
    request.set_token("secret");
    v1::LocateReply reply;
    EXPECT_TRUE(stub->Locate(&context, request, &reply).ok());
    return reply;
  });
  until([&] { return located.wait_for(seconds{0}) == std::future_status::ready; });
  EXPECT_EQ(located.get().scheduler_addr(), owner.address());
}

TEST_F(SchedulerProcess, AWorkerWithAnUnknownTokenIsRefused) {
  Service& service = start_owner();
  workers_.push_back(
      std::make_unique<FakeWorker>(io_.get_executor(), ids_.next(), std::string("wrong")));
  FakeWorker& worker = *workers_.back();
  worker.connect(service.address());
  until([&] { return worker.is_closed; });
  EXPECT_EQ(worker.closed_with.code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(SchedulerProcess, ACancelReachesTheWorkerThatRunsIt) {
  Service& service = start_owner();
  FakeWorker& worker = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId id = submit(plane, target);
  const PredictionId queued = submit(plane, target);
  until([&] { return worker.running(id).has_value(); });
  ASSERT_EQ(store_.cancel(id, account_, clock_.now())->outcome, store::CancelOutcome::kRequested);
  plane.cancel(id, target.id, false);
  until([&] { return !worker.cancels.empty(); });
  EXPECT_EQ(worker.cancels[0].id().prediction_id(), id.str());
  ASSERT_EQ(store_.cancel(queued, account_, clock_.now())->outcome,
            store::CancelOutcome::kCanceled);
  plane.cancel(queued, target.id, true);
  worker.end(*worker.running(id), store_, PredictionStatus::kCanceled);
  const PredictionId next = submit(plane, target);
  until([&] { return worker.running(next).has_value(); });
  EXPECT_FALSE(worker.running(queued).has_value());
}

TEST_F(SchedulerProcess, ADrainingWorkerFinishesItsWorkAndIsReplaced) {
  Service& service = start_owner();
  FakeWorker& leaving = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId first = submit(plane, target);
  const PredictionId second = submit(plane, target);
  until([&] { return leaving.running(first).has_value(); });
  FakeWorker& staying = add_worker(service);
  leaving.drain(30'000);
  until([&] { return staying.running(second).has_value(); }, "the replacement");
  EXPECT_TRUE(leaving.running(first).has_value()) << "not disturbed";
  leaving.end_only(store_);
  until([&] { return live_instances().size() == 1; }, "the drained instance to stop");
  leaving.disconnect();
  until(
      [&] {
        const std::vector<store::WorkerRow> rows = *store_.list_workers(1);
        for (const store::WorkerRow& row : rows) {
          if (row.id == leaving.id) return row.state == store::WorkerState::kGone;
        }
        return false;
      },
      "the worker to be gone");
}

TEST_F(SchedulerProcess, AnUpdateOfADeploymentReplacesItsInstancesOneByOne) {
  Service& service = start_owner();
  FakeWorker& worker = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Version first = add_version(1);
  const store::Version second = add_version(2);
  store::Deployment deployment;
  deployment.owner_id = account_;
  deployment.owner = "acme";
  deployment.name = "prod";
  deployment.model = model_;
  deployment.model_owner = "acme";
  deployment.model_name = "hello";
  deployment.current.version = first.id;
  deployment.current.sku = "cpu";
  deployment.current.min_instances = 1;
  deployment.current.max_instances = 2;
  deployment.created_at = clock_.now();
  deployment = *store_.create_deployment(deployment);
  until([&] { return worker.instances.size() == 1; }, "the minimum, without any poke");

  store::Target target = store_.get_runnable_target(deployment.target)->target;
  const PredictionId old_one = submit(plane, target);
  until([&] { return worker.running(old_one).has_value(); });

  store::DeploymentChange change;
  change.version = second.id;
  ASSERT_TRUE(store_.update_deployment(deployment.id, change, account_, clock_.now()).ok());
  plane.poke(deployment.target, false);
  until([&] {
    for (const auto& [id, report] : worker.instances) {
      if (report.version_id() == second.id.raw()) return true;
    }
    return false;
  });
  const PredictionId new_one = submit(plane, target);
  until([&] { return worker.running(new_one).has_value(); });
  EXPECT_TRUE(worker.running(old_one).has_value()) << "nothing running is disturbed";
  until([&] {
    return store_.get_deployment("acme", "prod")->current.state == store::ReleaseState::kLive;
  });
  worker.end(*worker.running(old_one), store_);
  until(
      [&] {
        for (const auto& [id, report] : worker.instances) {
          if (report.version_id() != second.id.raw()) return false;
        }
        return !worker.instances.empty();
      },
      "the old instance to stop");
}

TEST_F(SchedulerProcess, ASetupThatFailsFailsWhatWaitsForIt) {
  ServiceOptions options = this->options();
  Service& service = start_scheduler(options);
  until([&] { return service.find_cell(1) != nullptr; });
  FakeWorker& worker = add_worker(service);
  worker.setup_failure = "ImportError: no module named torch";
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  submit(plane, target);
  until([&] { return !worker.ensures.empty() && live_instances().empty(); });
  const auto rows = *store_.list_target_instances(target.id, 10);
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows[0].state, InstanceState::kFailed);
  EXPECT_EQ(rows[0].detail, "ImportError: no module named torch");
  plane.poke(target.id, true);
  until([&] { return !plane.snapshots.empty(); });
  EXPECT_EQ(plane.snapshots[0].queued(), 1U);
}

TEST_F(SchedulerProcess, WhenTheDatabaseIsAwaySessionsStayAndWorkGoesOnAfterwards) {
  Service& service = start_owner();
  FakeWorker& worker = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  const store::Target target = add_pool(1);
  const PredictionId first = submit(plane, target);
  until([&] { return worker.running(first).has_value(); });
  const PredictionId second = submit(plane, target);
  flaky_.is_away = true;
  worker.end_only(store_);
  until([&] { return service.find_cell(1)->live_cell()->is_paused(); }, "assigning to stop");
  EXPECT_TRUE(worker.is_welcome);
  EXPECT_FALSE(worker.running(second).has_value());
  EXPECT_FALSE(service.readiness().ok());
  flaky_.is_away = false;
  until([&] { return worker.running(second).has_value(); }, "assigning to go on");
  EXPECT_EQ(worker.runs.back().id().attempt(), 1U);
}

TEST_F(SchedulerProcess, WorkersLearnOfControlPlanesThatComeAndGo) {
  Service& service = start_owner();
  FakeWorker& worker = add_worker(service);
  FakeControlPlane& plane = add_control_plane(service, "unix:/hub-a");
  until([&] { return worker.hubs == std::vector<std::string>{"unix:/hub-a"}; });
  add_control_plane(service, "unix:/hub-b");
  until([&] { return worker.hubs.size() == 2; });
  plane.disconnect();
  until([&] { return worker.hubs == std::vector<std::string>{"unix:/hub-b"}; });
}

}  // namespace
}  // namespace mimeo::scheduler
