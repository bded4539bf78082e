#include "control-plane/predictions/prediction_intake.h"

#include "control-plane/testing/core_fixture.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;
using store::FinishOutcome;
using store::PredictionView;

class PredictionIntakeTest : public CoreTest {
 protected:
  PredictionView view(PredictionId id) {
    auto found = loop_.run(plane_->intake->view(id, account_.id));
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *found : PredictionView{};
  }
  PredictionView cancel(PredictionId id) {
    auto canceled = loop_.run(plane_->intake->cancel(id, account_.id));
    EXPECT_TRUE(canceled.ok()) << canceled.status();
    return canceled.ok() ? *canceled : PredictionView{};
  }
  std::vector<std::string>& told() { return plane_->scheduler.told; }
};

TEST_F(PredictionIntakeTest, WithASlotThePredictionIsInsertedAssignedAndTheSchedulerGetsItsInput) {
  const PredictionView created = create_assigned();
  EXPECT_EQ(created.status, PredictionStatus::kStarting);
  EXPECT_EQ(told(), (std::vector<std::string>{"granted " + created.id.str()}));
  EXPECT_EQ(plane_->scheduler.inputs.at(0), R"({"text":"hi"})");
  const auto rows = store_.scan_active(1, {}, 10);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->at(0).state, ActiveState::kAssigned);
  EXPECT_EQ(rows->at(0).instance, grant_.instance);
}

TEST_F(PredictionIntakeTest, WithoutASlotThePredictionIsQueuedAndTheSchedulerToldOfIt) {
  const PredictionView created = create();
  EXPECT_EQ(told(), (std::vector<std::string>{"queued " + created.id.str()}));
  EXPECT_EQ(store_.scan_active(1, {}, 10)->at(0).state, ActiveState::kQueued);
}

TEST_F(PredictionIntakeTest, ASlotWhoseFenceIsLostIsGivenBackAndThePredictionQueued) {
  grant_.fence.epoch -= 1;  // Another scheduler took the cell meanwhile.
  const PredictionView created = create_assigned();
  EXPECT_EQ(told(), (std::vector<std::string>{"dropped 1", "queued " + created.id.str()}));
  EXPECT_EQ(store_.scan_active(1, {}, 10)->at(0).state, ActiveState::kQueued);
}

TEST_F(PredictionIntakeTest, TheAnswerIsWhatTheStoreWouldSay) {
  IntakeRequest wanted = request();
  wanted.public_input = R"({"text":"[REDACTED]"})";
  wanted.webhook = "https://example.com/hook";
  wanted.webhook_events = 9;
  wanted.stream = StreamKind::kText;
  wanted.cancel_after = 60s;
  const PredictionView answer = *loop_.run(plane_->intake->create(wanted));
  const PredictionView row = stored(answer.id);
  EXPECT_EQ(answer.model_owner, row.model_owner);
  EXPECT_EQ(answer.model_name, row.model_name);
  EXPECT_EQ(answer.version, row.version);
  EXPECT_EQ(answer.status, row.status);
  EXPECT_EQ(answer.created_at, row.created_at);
  EXPECT_EQ(answer.deadline_at, row.deadline_at);
  EXPECT_EQ(answer.input, row.input);
  EXPECT_EQ(answer.input, R"({"text":"[REDACTED]"})");
  EXPECT_EQ(answer.webhook, row.webhook);
  EXPECT_EQ(answer.stream_token, row.stream_token);
  EXPECT_EQ(answer.stream_token.size(), kStreamTokenLength);
  EXPECT_EQ(plane_->scheduler.dispatches.at(0).deadline_left, 60s);
}

TEST_F(PredictionIntakeTest, AWaiterIsWokenByTheResultAndTheAnswerComesFromMemory) {
  const PredictionView created = create_assigned();
  auto waiting = loop_.start(plane_->intake->wait(created.id, 1min));
  loop_.settle();
  EXPECT_FALSE(TestLoop::is_ready(waiting));
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kCommitted);
  EXPECT_TRUE(loop_.finish(waiting));
  const PredictionView answer = view(created.id);
  EXPECT_EQ(plane_->predictions.gets(), 0U);
  const PredictionView row = stored(created.id);
  EXPECT_EQ(answer.status, PredictionStatus::kSucceeded);
  EXPECT_EQ(answer.output, row.output);
  EXPECT_EQ(answer.started_at, row.started_at);
  EXPECT_EQ(answer.completed_at, row.completed_at);
  EXPECT_EQ(answer.attempt, row.attempt);
  EXPECT_EQ(answer.input, row.input);
}

TEST_F(PredictionIntakeTest, AResultThatCameBeforeTheWaitIsSeenAtOnce) {
  const PredictionView created = create_assigned();
  complete_and_wait(finish_of(created.id));
  EXPECT_TRUE(loop_.run(plane_->intake->wait(created.id, 0ms)));
}

TEST_F(PredictionIntakeTest, AWaitEndsWithoutAResultAfterItsLimit) {
  const PredictionView created = create();
  EXPECT_FALSE(loop_.run(plane_->intake->wait(created.id, 1ms)));
}

TEST_F(PredictionIntakeTest, AWaiterLearnsOfAResultThatAnotherControlPlaneCommitted) {
  const auto other = make_plane();
  const PredictionView created = create_assigned();
  auto waiting = loop_.start(plane_->intake->wait(created.id, 1min));
  bool is_done = false;
  other->committer.complete(finish_of(created.id),
                            [&](const Result<FinishOutcome>&) { is_done = true; });
  EXPECT_TRUE(loop_.finish(waiting));
  EXPECT_TRUE(is_done);
  EXPECT_EQ(view(created.id).status, PredictionStatus::kSucceeded);
  other->tasks.cancel();
  loop_.drive([&] { return other->tasks.size() == 0; });
}

TEST_F(PredictionIntakeTest, TheSameIdempotencyKeyGivesTheFirstPrediction) {
  plane_->scheduler.grant = grant_;
  IntakeRequest wanted = request();
  wanted.idempotency_key = "once";
  const PredictionView first = *loop_.run(plane_->intake->create(wanted));
  told().clear();
  const PredictionView second = *loop_.run(plane_->intake->create(wanted));
  EXPECT_EQ(second.id, first.id);
  EXPECT_EQ(told(), (std::vector<std::string>{"dropped 2"}));
  EXPECT_EQ(store_.scan_active(1, {}, 10)->size(), 1U);
}

TEST_F(PredictionIntakeTest, AnAccountAtItsLimitIsRefusedUntilAPredictionEnds) {
  account_.max_queued = 2;
  create();
  const PredictionView second = create_assigned();
  IntakeRequest wanted = request();
  const auto refused = loop_.run(plane_->intake->create(wanted));
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  complete_and_wait(finish_of(second.id));
  EXPECT_TRUE(loop_.run(plane_->intake->create(wanted)).ok());
}

TEST_F(PredictionIntakeTest, AtTheLimitTheDatabaseIsAskedBeforeAnybodyIsRefused) {
  account_.max_queued = 1;
  const PredictionView first = create_assigned();
  // Its end is committed by somebody else: this process does not hear of it.
  const store::Finish finish = finish_of(first.id);
  ASSERT_TRUE(store_.finish(std::span(&finish, 1)).ok());
  clock_.advance(2s);
  IntakeRequest wanted = request();
  EXPECT_TRUE(loop_.run(plane_->intake->create(wanted)).ok());
}

TEST_F(PredictionIntakeTest, ACreateSurvivesADatabaseThatIsAwayForAMoment) {
  int failures = 2;
  plane_->predictions.before_create = [&](auto) {
    return failures-- > 0 ? absl::UnavailableError("restarting") : absl::OkStatus();
  };
  const PredictionView created = create();
  EXPECT_EQ(stored(created.id).status, PredictionStatus::kStarting);
}

TEST_F(PredictionIntakeTest, ACommitWhoseAnswerWasLostMakesOnePrediction) {
  bool is_lost = false;
  plane_->predictions.after_create = [&] {
    return std::exchange(is_lost, true) ? absl::OkStatus() : absl::UnavailableError("connection");
  };
  const PredictionView created = create_assigned();
  EXPECT_EQ(store_.scan_active(1, {}, 10)->size(), 1U);
  // Queued or assigned, we do not know: the scheduler's own scan settles it.
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(stored(created.id).status, PredictionStatus::kStarting);
}

TEST_F(PredictionIntakeTest, ADatabaseThatStaysAwayIsReported) {
  intake_options_.create_limit = 1ms;
  restart_plane();
  plane_->predictions.before_create = [](auto) { return absl::UnavailableError("down"); };
  IntakeRequest wanted = request();
  const auto created = loop_.run(plane_->intake->create(wanted));
  EXPECT_TRUE(absl::IsUnavailable(created.status())) << created.status();
}

TEST_F(PredictionIntakeTest, OnePredictionThatCannotBeStoredDoesNotHoldUpOthers) {
  plane_->predictions.before_create = [](std::span<const store::NewPrediction> batch) {
    for (const auto& row : batch) {
      if (row.input == "bad") return absl::InvalidArgumentError("bad input");
    }
    return absl::OkStatus();
  };
  std::vector<std::future<Result<PredictionView>>> creating;
  for (int i = 0; i < 8; ++i) {
    IntakeRequest wanted = request();
    if (i == 4) wanted.input = "bad";
    creating.push_back(loop_.start(plane_->intake->create(std::move(wanted))));
  }
  for (int i = 0; i < 8; ++i) EXPECT_EQ(loop_.finish(creating[i]).ok(), i != 4) << i;
}

TEST_F(PredictionIntakeTest, ManyCreatesAtOnceShareStatements) {
  std::vector<std::size_t> batches;
  plane_->predictions.before_create = [&](std::span<const store::NewPrediction> batch) {
    batches.push_back(batch.size());
    return absl::OkStatus();
  };
  std::vector<std::future<Result<PredictionView>>> creating;
  for (int i = 0; i < 50; ++i) {
    IntakeRequest wanted = request();
    creating.push_back(loop_.start(plane_->intake->create(std::move(wanted))));
  }
  for (auto& one : creating) EXPECT_TRUE(loop_.finish(one).ok());
  EXPECT_LT(batches.size(), 10U);
}

TEST_F(PredictionIntakeTest, ARunningPredictionShowsItsOutputAndLogSoFar) {
  const PredictionView created = create_assigned();
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kLog, "working\n");
  publish(created.id, 3, EventKind::kOutput, "\"a\"");
  publish(created.id, 4, EventKind::kOutput, "\"b\"");
  const PredictionView now = view(created.id);
  EXPECT_EQ(now.status, PredictionStatus::kProcessing);
  EXPECT_EQ(now.output, R"(["a","b"])");
  EXPECT_EQ(now.logs, "working\n");
  EXPECT_EQ(now.started_at, clock_.now());
}

TEST_F(PredictionIntakeTest, AnotherAccountSeesNothing) {
  const PredictionView created = create_assigned();
  EXPECT_TRUE(absl::IsNotFound(loop_.run(plane_->intake->view(created.id, 999)).status()));
  complete_and_wait(finish_of(created.id));
  EXPECT_TRUE(absl::IsNotFound(loop_.run(plane_->intake->view(created.id, 999)).status()));
  EXPECT_TRUE(absl::IsNotFound(loop_.run(plane_->intake->cancel(created.id, 999)).status()));
}

TEST_F(PredictionIntakeTest, CancelingAQueuedPredictionEndsItAtOnce) {
  const PredictionView created = create();
  auto waiting = loop_.start(plane_->intake->wait(created.id, 1min));
  loop_.settle();
  const PredictionView canceled = cancel(created.id);
  EXPECT_EQ(canceled.status, PredictionStatus::kCanceled);
  EXPECT_TRUE(canceled.completed_at.has_value());
  EXPECT_EQ(told().back(), "canceled " + created.id.str() + " queued");
  EXPECT_TRUE(loop_.finish(waiting));
}

TEST_F(PredictionIntakeTest, CancelingARunningPredictionWaitsForTheWorkersOwnReport) {
  const PredictionView created = create_assigned();
  auto canceling = loop_.start(plane_->intake->cancel(created.id, account_.id));
  loop_.drive([&] { return told().back().starts_with("canceled"); });
  EXPECT_EQ(told().back(), "canceled " + created.id.str() + " running");
  store::Finish finish = finish_of(created.id, "");
  finish.status = PredictionStatus::kCanceled;
  finish.logs = "stopped by signal\n";
  complete(finish);
  const auto canceled = loop_.finish(canceling);
  EXPECT_EQ(canceled->status, PredictionStatus::kCanceled);
  EXPECT_EQ(canceled->logs, "stopped by signal\n");
}

TEST_F(PredictionIntakeTest, WithoutAReportACancelIsDecidedHereAndALaterResultLoses) {
  intake_options_.cancel_grace = 10ms;
  restart_plane();
  const PredictionView created = create_assigned();
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "\"a\"");
  const PredictionView canceled = cancel(created.id);
  EXPECT_EQ(canceled.status, PredictionStatus::kCanceled);
  EXPECT_EQ(canceled.output, R"(["a"])");
  EXPECT_TRUE(canceled.started_at.has_value());
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kSuperseded);
  EXPECT_EQ(view(created.id).status, PredictionStatus::kCanceled);
}

TEST_F(PredictionIntakeTest, CancelingATerminalPredictionReturnsItUnchanged) {
  const PredictionView created = create_assigned();
  complete_and_wait(finish_of(created.id));
  EXPECT_EQ(cancel(created.id).status, PredictionStatus::kSucceeded);
}

TEST_F(PredictionIntakeTest, AfterARestartResultsOfEarlierPredictionsAreTakenAndShown) {
  const PredictionView created = create_assigned();
  restart_plane();
  auto waiting = loop_.start(plane_->intake->wait(created.id, 1min));
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kCommitted);
  EXPECT_TRUE(loop_.finish(waiting));
  EXPECT_EQ(view(created.id).output, "\"hello\"");
}

TEST_F(PredictionIntakeTest, AQueuedDeploymentPredictionShowsTheVersionThatRanIt) {
  store::Version newer = version_;
  newer.id = *VersionId::parse(std::string(64, 'b'));
  ASSERT_TRUE(store_.put_version(newer).ok());
  store::Deployment deployment;
  deployment.owner_id = account_.id;
  deployment.name = "prod";
  deployment.model = model_.id;
  deployment.current.version = version_.id;
  deployment.current.sku = "cpu";
  deployment = *store_.create_deployment(deployment);
  IntakeRequest wanted = request();
  wanted.deployment = deployment.id;
  wanted.deployment_name = "acme/prod";
  wanted.target.id = deployment.target;
  const PredictionView created = *loop_.run(plane_->intake->create(wanted));
  EXPECT_EQ(created.version, version_.id);
  store::Assignment assignment;
  assignment.id = created.id;
  assignment.instance = grant_.instance;
  assignment.worker = grant_.worker;
  assignment.version = newer.id;
  ASSERT_TRUE(store_.assign(fence_, std::span(&assignment, 1))->at(0).assigned);
  complete_and_wait(finish_of(created.id));
  EXPECT_EQ(view(created.id).version, newer.id);
}

}  // namespace
}  // namespace mimeo::control
