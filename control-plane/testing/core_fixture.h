// The core of a control plane over a store in memory and a scheduler that the test plays: intake,
// committer, watch and hub, put together as service.cc does it.

#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/store/memory/memory_store.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/prediction_intake.h"
#include "control-plane/predictions/queue_limits.h"
#include "control-plane/predictions/recent_predictions.h"
#include "control-plane/predictions/result_committer.h"
#include "control-plane/predictions/result_watch.h"
#include "control-plane/testing/fake_scheduler.h"
#include "control-plane/testing/flaky_predictions.h"
#include "control-plane/testing/test_loop.h"

namespace mimeo::control {

// One control plane: several may share a store.
struct CorePlane {
  CorePlane(TestLoop& loop, store::PredictionStore& inner, const Clock& clock, Random& random,
            IntakeOptions intake_options, CommitterOptions committer_options)
      : predictions(inner),
        hub(make_event_hub(loop.executor(), clock)),
        recent(clock),
        watch(loop.executor(), reads, predictions, *hub, recent),
        limits(reads, predictions, clock),
        committer(loop.executor(), finishes, predictions, recent, watch, random, metrics,
                  committer_options),
        intake(make_prediction_intake(
            loop.executor(),
            IntakeParts{predictions, creates, reads, scheduler, *hub, committer, watch, recent,
                        limits, clock, random, metrics},
            intake_options)),
        tasks(loop.executor()) {
    tasks.spawn("watch", watch.run(std::chrono::milliseconds(20)));
    tasks.spawn("starts", committer.write_starts());
    tasks.spawn("deliveries", committer.write_deliveries());
  }

  Metrics metrics;
  FlakyPredictions predictions;
  FakeScheduler scheduler;
  BlockingPool reads{2};
  BlockingPool creates{1};
  BlockingPool finishes{2};
  std::unique_ptr<EventHub> hub;
  RecentPredictions recent;
  ResultWatch watch;
  QueueLimits limits;
  ResultCommitter committer;
  std::unique_ptr<PredictionIntake> intake;
  TaskGroup tasks;
};

class CoreTest : public testing::Test {
 protected:
  CoreTest() {
    EXPECT_TRUE(store_.ensure_cell(1).ok());
    fence_.cell = 1;
    fence_.epoch = store_.take_cell(1, ids_.next(), "here:1", std::chrono::hours(1))->epoch;
    store::Account account;
    account.username = "acme";
    account.webhook_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    account_ = *store_.create_account(account);
    store::Model model;
    model.owner_id = account_.id;
    model.name = "hello";
    model.sku = "cpu";
    model_ = *store_.create_model(model);
    store::Version version;
    version.id = *VersionId::parse(std::string(64, 'a'));
    version.model = model_.id;
    version.openapi_schema = "{}";
    version_ = *store_.put_version(version);
    target_ = *store_.ensure_version_pool(version_.id, "cpu", 1);
    grant_.fence = fence_;
    grant_.instance = ids_.next();
    grant_.worker = ids_.next();
    grant_.incarnation = 1;
    grant_.version = version_.id;
    plane_ = make_plane();
  }

  std::unique_ptr<CorePlane> make_plane() {
    return std::make_unique<CorePlane>(loop_, store_, clock_, random_, intake_options_,
                                       committer_options_);
  }
  // A process that was killed and started again: the store is all that remains.
  void restart_plane() {
    plane_->tasks.cancel();
    loop_.drive([&] { return plane_->tasks.size() == 0; });
    plane_ = make_plane();
  }

  IntakeRequest request() const {
    IntakeRequest request;
    request.account = account_;
    request.target = target_;
    request.model = model_.id;
    request.model_owner = "acme";
    request.model_name = "hello";
    request.version = version_.id;
    request.input = R"({"text":"hi"})";
    return request;
  }
  store::PredictionView create() {
    IntakeRequest wanted = request();
    auto view = loop_.run(plane_->intake->create(std::move(wanted)));
    EXPECT_TRUE(view.ok()) << view.status();
    return view.ok() ? *view : store::PredictionView{};
  }
  store::PredictionView create_assigned() {
    plane_->scheduler.grant = grant_;
    return create();
  }
  store::Finish finish_of(PredictionId id, std::string output = "\"hello\"") const {
    store::Finish finish;
    finish.id = id;
    finish.attempt = 1;
    finish.status = PredictionStatus::kSucceeded;
    finish.started_at = clock_.now();
    finish.completed_at = clock_.now() + std::chrono::milliseconds(5);
    finish.output = std::move(output);
    return finish;
  }
  // Offers a result as a worker does, without waiting.
  void complete(store::Finish finish) {
    plane_->committer.complete(std::move(finish), [this](Result<store::FinishOutcome> outcome) {
      completed_.push_back(std::move(outcome));
    });
  }
  store::FinishOutcome complete_and_wait(store::Finish finish) {
    const std::size_t before = completed_.size();
    complete(std::move(finish));
    loop_.drive([&] { return completed_.size() > before; });
    EXPECT_TRUE(completed_.back().ok()) << completed_.back().status();
    return completed_.back().value_or(store::FinishOutcome::kUnknown);
  }
  void publish(PredictionId id, std::uint64_t seq, EventKind kind, std::string data) {
    HubEvent event;
    event.attempt = 1;
    event.seq = seq;
    event.kind = kind;
    event.data = std::move(data);
    event.at = clock_.now();
    plane_->hub->publish(id, std::move(event));
  }
  store::PredictionView stored(PredictionId id) { return *store_.get(id, 0); }

  TestLoop loop_;
  FakeClock clock_;
  SeededRandom random_{11};
  IdGenerator ids_{clock_, random_};
  store::MemoryStore store_{clock_};
  store::Fence fence_;
  store::Account account_;
  store::Model model_;
  store::Version version_;
  store::Target target_;
  store::Grant grant_;
  IntakeOptions intake_options_;
  CommitterOptions committer_options_;
  std::unique_ptr<CorePlane> plane_;
  std::vector<Result<store::FinishOutcome>> completed_;
};

}  // namespace mimeo::control
