#include "control-plane/predictions/result_committer.h"

#include <future>

#include "control-plane/testing/core_fixture.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;
using store::Finish;
using store::FinishOutcome;
using store::PredictionView;

class ResultCommitterTest : public CoreTest {
 protected:
  ResultCommitterTest() {
    committer_options_.retry.first = 1ms;
    committer_options_.retry.longest = 2ms;
  }
  void start(PredictionId id) {
    store::Started started;
    started.id = id;
    started.attempt = 1;
    started.started_at = clock_.now();
    plane_->committer.started(started);
  }
};

TEST_F(ResultCommitterTest, TheSameResultTwiceIsCommittedOnceAndAnsweredTwice) {
  const PredictionView created = create_assigned();
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kCommitted);
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kAlreadySame);
  EXPECT_EQ(stored(created.id).output, "\"hello\"");
}

TEST_F(ResultCommitterTest, TheResultOfAnOlderAttemptIsSuperseded) {
  const PredictionView created = create_assigned();
  store::Requeue requeue;
  requeue.id = created.id;
  requeue.attempt = 1;
  requeue.worker = grant_.worker;
  requeue.incarnation = 1;
  ASSERT_TRUE(store_.requeue(fence_, std::span(&requeue, 1))->at(0));
  store::Assignment assignment;
  assignment.id = created.id;
  assignment.expected_attempt = 1;
  assignment.instance = grant_.instance;
  assignment.worker = grant_.worker;
  assignment.version = version_.id;
  ASSERT_TRUE(store_.assign(fence_, std::span(&assignment, 1))->at(0).assigned);
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kSuperseded);
  EXPECT_EQ(stored(created.id).status, PredictionStatus::kStarting);
}

TEST_F(ResultCommitterTest, AResultOfNoPredictionIsUnknown) {
  EXPECT_EQ(complete_and_wait(finish_of(ids_.next())), FinishOutcome::kUnknown);
}

TEST_F(ResultCommitterTest, AResultIsTriedAgainWhileTheDatabaseIsAway) {
  restart_plane();
  const PredictionView created = create_assigned();
  int failures = 3;
  plane_->predictions.before_finish = [&](auto) {
    return failures-- > 0 ? absl::UnavailableError("restarting") : absl::OkStatus();
  };
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kCommitted);
}

TEST_F(ResultCommitterTest, ACommitWhoseAnswerWasLostIsFoundToBeThere) {
  restart_plane();
  const PredictionView created = create_assigned();
  bool is_lost = false;
  plane_->predictions.after_finish = [&] {
    return std::exchange(is_lost, true) ? absl::OkStatus() : absl::UnavailableError("connection");
  };
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kAlreadySame);
  EXPECT_EQ(loop_.run(plane_->intake->view(created.id, 0))->status, PredictionStatus::kSucceeded);
}

TEST_F(ResultCommitterTest, WhenTheDatabaseStaysAwayTheResultIsLeftToTheWorker) {
  committer_options_.retry.total = 5ms;
  restart_plane();
  const PredictionView created = create_assigned();
  plane_->predictions.before_finish = [](auto) { return absl::UnavailableError("down"); };
  complete(finish_of(created.id));
  loop_.drive([&] { return !completed_.empty(); });
  EXPECT_TRUE(absl::IsUnavailable(completed_.back().status()));
  plane_->predictions.before_finish = nullptr;
  EXPECT_EQ(complete_and_wait(finish_of(created.id)), FinishOutcome::kCommitted);
}

TEST_F(ResultCommitterTest, OneResultThatCannotBeStoredDoesNotHoldUpOthers) {
  std::vector<PredictionId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(create_assigned().id);
  plane_->predictions.before_finish = [&](std::span<const Finish> batch) {
    for (const Finish& finish : batch) {
      if (finish.id == ids[2] && !finish.output.empty()) {
        return absl::InvalidArgumentError("that output");
      }
    }
    return absl::OkStatus();
  };
  for (const PredictionId id : ids) complete(finish_of(id));
  loop_.drive([&] { return completed_.size() == ids.size(); });
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const PredictionView answer = *loop_.run(plane_->intake->view(ids[i], 0));
    const PredictionView row = stored(ids[i]);
    EXPECT_EQ(answer.status, row.status);
    EXPECT_EQ(row.status, i == 2 ? PredictionStatus::kFailed : PredictionStatus::kSucceeded) << i;
  }
}

TEST_F(ResultCommitterTest, AnOutputThatIsNoJsonFailsThePrediction) {
  const PredictionView created = create_assigned();
  complete_and_wait(finish_of(created.id, "{broken"));
  const PredictionView answer = *loop_.run(plane_->intake->view(created.id, 0));
  EXPECT_EQ(answer.status, PredictionStatus::kFailed);
  EXPECT_EQ(answer.error, "The model returned an output that is not valid JSON.");
  EXPECT_EQ(stored(created.id).error, answer.error);
}

TEST_F(ResultCommitterTest, LogsWithBrokenTextAreStoredReadably) {
  const PredictionView created = create_assigned();
  Finish finish = finish_of(created.id);
  finish.logs = std::string("a\0b\xff", 4);
  finish.metrics = R"({"note":"x\u0000y","n":3})";
  complete_and_wait(finish);
  EXPECT_EQ(stored(created.id).logs,
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(stored(created.id).metrics, R"({"note":"xy","n":3})");
}

TEST_F(ResultCommitterTest, AStartIsWrittenDownForAPredictionThatRunsOn) {
  committer_options_.start_delay = 5ms;
  restart_plane();
  const PredictionView created = create_assigned();
  start(created.id);
  loop_.drive([&] { return stored(created.id).status == PredictionStatus::kProcessing; });
  const WallTime started_at = *stored(created.id).started_at;
  clock_.advance(1s);
  complete_and_wait(finish_of(created.id));
  EXPECT_EQ(stored(created.id).started_at, started_at);
  EXPECT_EQ(loop_.run(plane_->intake->view(created.id, 0))->started_at, started_at);
}

TEST_F(ResultCommitterTest, AStartThatCannotBeWrittenIsTriedAgain) {
  committer_options_.start_delay = 1ms;
  restart_plane();
  const PredictionView created = create_assigned();
  int failures = 3;
  plane_->predictions.before_start = [&] {
    return failures-- > 0 ? absl::UnavailableError("restarting") : absl::OkStatus();
  };
  start(created.id);
  loop_.drive([&] { return stored(created.id).status == PredictionStatus::kProcessing; });
}

TEST_F(ResultCommitterTest, AStartThatCannotBeWrittenIsNotTriedAgainAfterTheEnd) {
  committer_options_.start_delay = 1ms;
  restart_plane();
  const PredictionView created = create_assigned();
  std::promise<void> may_fail;
  const std::shared_future<void> failure = may_fail.get_future().share();
  plane_->predictions.before_start = [&] {
    failure.wait();
    return absl::UnavailableError("down");
  };
  start(created.id);
  loop_.drive([&] { return plane_->predictions.started() == 1; });
  complete_and_wait(finish_of(created.id));
  may_fail.set_value();
  const PredictionView another = create_assigned();
  start(another.id);
  loop_.drive([&] { return plane_->predictions.started() > 3; });
  EXPECT_EQ(plane_->predictions.last_started(), std::vector<PredictionId>{another.id});
}

TEST_F(ResultCommitterTest, AStartCostsNoWriteWhenTheResultComesSoon) {
  const PredictionView created = create_assigned();
  start(created.id);
  complete_and_wait(finish_of(created.id));
  EXPECT_EQ(plane_->predictions.started(), 0U);
}

// Another control plane may have created it: nothing of it is known here.
TEST_F(ResultCommitterTest, WhoWantsToHearOfTheStartHearsOfItEvenWhenTheResultComesSoon) {
  plane_->scheduler.grant = grant_;
  IntakeRequest wanted = request();
  wanted.webhook = "https://example.com/hook";
  wanted.webhook_events = 9;
  const PredictionView created = *loop_.run(plane_->intake->create(wanted));
  plane_->recent.forget(created.id);
  start(created.id);
  complete_and_wait(finish_of(created.id));
  EXPECT_EQ(plane_->predictions.started(), 0U);
  const auto first = store_.claim_due(10, 1min, ids_.next());
  ASSERT_EQ(first->size(), 1U);
  EXPECT_EQ(first->at(0).event, store::WebhookEvent::kStart);
  store::WebhookSettlement sent;
  sent.outbox_id = first->at(0).id;
  sent.claim = first->at(0).claim;
  ASSERT_EQ(store_.settle({&sent, 1}), absl::OkStatus());
  const auto second = store_.claim_due(10, 1min, ids_.next());
  ASSERT_EQ(second->size(), 1U);
  EXPECT_EQ(second->at(0).event, store::WebhookEvent::kCompleted);
}

TEST_F(ResultCommitterTest, DeliveredOutputIsWrittenDown) {
  committer_options_.start_delay = 1ms;
  restart_plane();
  const PredictionView created = create_assigned();
  plane_->committer.output_delivered(created.id);
  loop_.drive([&] { return store_.scan_active(1, {}, 10)->at(0).output_seen; });
}

TEST_F(ResultCommitterTest, ReadersOfAStreamGetDoneAfterTheCommit) {
  const PredictionView created = create_assigned();
  publish(created.id, 1, EventKind::kOutput, "\"a\"");
  const auto reader = plane_->hub->subscribe(created.id, 1, 1);
  auto reading = loop_.start(reader->next(1h));
  complete(finish_of(created.id));
  const auto events = loop_.finish(reading);
  ASSERT_EQ(events->size(), 1U);
  EXPECT_EQ(events->at(0).data, "succeeded");
  EXPECT_EQ(stored(created.id).status, PredictionStatus::kSucceeded);
}

TEST_F(ResultCommitterTest, ReadersOfAStreamGetDoneWhenSomebodyElseEndedThePrediction) {
  const PredictionView created = create_assigned();
  const auto reader = plane_->hub->subscribe(created.id, 0, 0);
  auto reading = loop_.start(reader->next(1h));
  loop_.settle();
  Finish finish = finish_of(created.id);
  finish.status = PredictionStatus::kFailed;
  ASSERT_TRUE(store_.finish(std::span(&finish, 1)).ok());
  const auto events = loop_.finish(reading);
  ASSERT_EQ(events->size(), 1U);
  EXPECT_EQ(events->at(0).data, "failed");
}

}  // namespace
}  // namespace mimeo::control
