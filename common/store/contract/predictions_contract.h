// Contract of PredictionStore: the changes of state of one prediction, each with every outcome.
// Reading is in reading_contract.h, racing in races_contract.h.

#pragma once

#include "common/store/contract/store_contract.h"

namespace mimeo::store {

class PredictionsContract : public StoreContract {};

// --- create (T1, T2) ---

TEST_P(PredictionsContract, CreateWithoutAGrantQueues) {
  const PredictionId id = create_queued();
  const auto row = active_row(id);
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->state, ActiveState::kQueued);
  EXPECT_EQ(row->attempt, 0u);
  EXPECT_TRUE(row->worker.is_nil());
  EXPECT_EQ(row->account, account_.id);
  EXPECT_EQ(row->target, target_.id);
  EXPECT_EQ(row->run_limit, std::chrono::minutes{30});
  EXPECT_EQ(view(id).status, PredictionStatus::kStarting);
}

TEST_P(PredictionsContract, CreateWithAGrantAssigns) {
  const PredictionId id = create_assigned();
  const auto row = active_row(id);
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->state, ActiveState::kAssigned);
  EXPECT_EQ(row->attempt, 1u);
  EXPECT_EQ(row->instance, instance_);
  EXPECT_EQ(row->worker, worker_);
  EXPECT_EQ(row->incarnation, 7u);
  EXPECT_TRUE(row->assigned_at.has_value());
}

TEST_P(PredictionsContract, CreateWithAGrantOfAnOldEpochQueues) {
  NewPrediction p = new_prediction();
  p.grant = grant();
  p.grant->fence.epoch -= 1;
  EXPECT_EQ(create(p).outcome, CreateOutcome::kQueued);
  EXPECT_EQ(active_row(p.id)->attempt, 0u);
}

TEST_P(PredictionsContract, RepeatingACreateChangesNothing) {
  NewPrediction p = new_prediction();
  EXPECT_EQ(create(p).outcome, CreateOutcome::kQueued);
  EXPECT_EQ(create(p).outcome, CreateOutcome::kAlreadyExists);
  EXPECT_EQ(predictions().scan_active(1, {}, 10)->size(), 1u);
  EXPECT_EQ(finish(finish_of(p.id, std::nullopt)), FinishOutcome::kCommitted);
  EXPECT_EQ(create(p).outcome, CreateOutcome::kAlreadyExists);
  EXPECT_FALSE(active_row(p.id).has_value()) << "a repeated create must not revive it";
}

TEST_P(PredictionsContract, TheSameIdTwiceInOneBatchIsCreatedOnce) {
  const NewPrediction p = new_prediction();
  const std::vector<NewPrediction> batch = {p, new_prediction(), p};
  const auto answers = predictions().create(batch);
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_EQ(answers->at(0).outcome, CreateOutcome::kQueued);
  EXPECT_EQ(answers->at(1).outcome, CreateOutcome::kQueued);
  EXPECT_EQ(answers->at(2).outcome, CreateOutcome::kAlreadyExists);
}

TEST_P(PredictionsContract, AnIdempotencyKeyLetsOnlyOneThrough) {
  NewPrediction first = new_prediction();
  first.idempotency_key = "k";
  NewPrediction second = new_prediction();
  second.idempotency_key = "k";
  EXPECT_EQ(create(first).outcome, CreateOutcome::kQueued);
  const Created answer = create(second);
  EXPECT_EQ(answer.outcome, CreateOutcome::kDuplicate);
  EXPECT_EQ(answer.existing_id, first.id);
  EXPECT_FALSE(predictions().get(second.id, 0).ok());
  EXPECT_EQ(create(first).outcome, CreateOutcome::kAlreadyExists);
}

TEST_P(PredictionsContract, AnIdempotencyKeyTwiceInOneBatchLetsTheFirstThrough) {
  std::vector<NewPrediction> batch = {new_prediction(), new_prediction(), new_prediction()};
  batch[0].idempotency_key = batch[2].idempotency_key = "twice";
  const auto answers = predictions().create(batch);
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_EQ(answers->at(0).outcome, CreateOutcome::kQueued);
  EXPECT_EQ(answers->at(1).outcome, CreateOutcome::kQueued);
  EXPECT_EQ(answers->at(2).outcome, CreateOutcome::kDuplicate);
  EXPECT_EQ(answers->at(2).existing_id, batch[0].id);
}

TEST_P(PredictionsContract, IdempotencyKeysOfDifferentAccountsDoNotMeet) {
  NewPrediction ours = new_prediction();
  ours.idempotency_key = "k";
  NewPrediction theirs = new_prediction();
  theirs.account = make_account("other").id;
  theirs.idempotency_key = "k";
  EXPECT_EQ(create(ours).outcome, CreateOutcome::kQueued);
  EXPECT_EQ(create(theirs).outcome, CreateOutcome::kQueued);
}

TEST_P(PredictionsContract, AnIdempotencyKeyHoldsOnTheNextDayAndNotForEver) {
  NewPrediction first = new_prediction();
  first.idempotency_key = "k";
  EXPECT_EQ(create(first).outcome, CreateOutcome::kQueued);
  NewPrediction next_day = new_prediction();
  next_day.idempotency_key = "k";
  next_day.created_at += std::chrono::hours{24};
  EXPECT_EQ(create(next_day).outcome, CreateOutcome::kDuplicate);
  NewPrediction much_later = new_prediction();
  much_later.idempotency_key = "k";
  much_later.created_at += std::chrono::hours{24 * 3};
  EXPECT_EQ(create(much_later).outcome, CreateOutcome::kQueued);
}

TEST_P(PredictionsContract, AnEmptyBatchIsFine) {
  EXPECT_TRUE(predictions().create({})->empty());
  EXPECT_TRUE(predictions().assign(fence_, {})->empty());
  EXPECT_TRUE(predictions().mark_started({})->empty());
  EXPECT_TRUE(predictions().finish({})->empty());
  EXPECT_TRUE(predictions().requeue(fence_, {})->empty());
  EXPECT_TRUE(predictions().mark_output_seen({}).ok());
  EXPECT_TRUE(predictions().which_are_terminal({})->empty());
}

// --- assign (T3) ---

TEST_P(PredictionsContract, AssignGivesWhatTheWorkerNeeds) {
  NewPrediction p = new_prediction();
  p.input = R"({"token":"secret \"quoted\" \\ back"})";
  p.public_input = R"({"token":"[REDACTED]"})";
  p.deadline_at = later();
  p.webhook = "https://example.com/hook";
  p.webhook_events = 9;
  p.is_training = true;
  p.destination = "acme/new";
  create(p);
  const Assigned a = assign(assignment(p.id));
  EXPECT_TRUE(a.assigned);
  EXPECT_EQ(a.attempt, 1u);
  EXPECT_EQ(a.input, p.input);
  EXPECT_EQ(a.run_limit, p.run_limit);
  EXPECT_EQ(a.deadline_at, p.deadline_at);
  EXPECT_EQ(a.webhook_events, 9);
  EXPECT_TRUE(a.is_training);
  EXPECT_EQ(active_row(p.id)->state, ActiveState::kAssigned);
}

TEST_P(PredictionsContract, AssignWithoutAWebhookReportsNoEvents) {
  NewPrediction p = new_prediction();
  p.webhook_events = 15;
  create(p);
  EXPECT_EQ(assign(assignment(p.id)).webhook_events, 0);
}

TEST_P(PredictionsContract, OnlyAQueuedRowOfTheExpectedAttemptIsAssigned) {
  const PredictionId id = create_queued();
  EXPECT_FALSE(assign(assignment(id, 1)).assigned);
  EXPECT_TRUE(assign(assignment(id, 0)).assigned);
  Assignment elsewhere = assignment(id, 0);
  elsewhere.instance = ids_.next();
  EXPECT_FALSE(assign(elsewhere).assigned);
  EXPECT_FALSE(assign(assignment(ids_.next())).assigned) << "unknown";
  EXPECT_EQ(finish(finish_of(id, 1)), FinishOutcome::kCommitted);
  EXPECT_FALSE(assign(assignment(id, 1)).assigned) << "terminal";
}

TEST_P(PredictionsContract, RepeatingAnAssignmentAnswersTheSame) {
  const PredictionId id = create_queued();
  const Assigned first = assign(assignment(id));
  const Assigned again = assign(assignment(id));
  EXPECT_TRUE(again.assigned);
  EXPECT_EQ(again.attempt, first.attempt);
  EXPECT_EQ(again.input, first.input);
  EXPECT_EQ(active_row(id)->attempt, 1u);
}

TEST_P(PredictionsContract, OneIdTwiceInABatchIsAssignedToTheFirstInstance) {
  const PredictionId id = create_queued();
  Assignment second = assignment(id);
  second.instance = ids_.next();
  const std::vector<Assignment> batch = {assignment(id), second};
  const auto answers = predictions().assign(fence_, batch);
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_TRUE(answers->at(0).assigned);
  EXPECT_FALSE(answers->at(1).assigned);
  EXPECT_EQ(active_row(id)->instance, instance_);
}

TEST_P(PredictionsContract, AssignUnderAnOldFenceIsAborted) {
  const PredictionId id = create_queued();
  const Assignment a = assignment(id);
  const auto answer = predictions().assign({1, fence_.epoch - 1}, {&a, 1});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kAborted);
  const auto no_cell = predictions().assign({99, 1}, {&a, 1});
  EXPECT_EQ(no_cell.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(active_row(id)->state, ActiveState::kQueued);
}

TEST_P(PredictionsContract, TheViewShowsTheVersionOfTheInstance) {
  const PredictionId id = create_queued();
  const VersionId newer = make_version(model_.id, 'b');
  Assignment a = assignment(id);
  a.version = newer;
  assign(a);
  EXPECT_EQ(view(id).version, newer);
  finish(finish_of(id, 1));
  EXPECT_EQ(view(id).version, newer);
}

// --- mark_started (T4) ---

TEST_P(PredictionsContract, StartedShowsProcessing) {
  const PredictionId id = create_assigned();
  EXPECT_TRUE(start(id, 1));
  const PredictionView v = view(id);
  EXPECT_EQ(v.status, PredictionStatus::kProcessing);
  EXPECT_EQ(v.started_at, now_);
  EXPECT_FALSE(start(id, 1)) << "repeated";
}

TEST_P(PredictionsContract, OnlyTheCurrentAssignedAttemptStarts) {
  const PredictionId queued = create_queued();
  EXPECT_FALSE(start(queued, 0));
  const PredictionId id = create_assigned();
  EXPECT_FALSE(start(id, 2));
  EXPECT_FALSE(start(ids_.next(), 1));
  EXPECT_EQ(view(id).status, PredictionStatus::kStarting);
}

TEST_P(PredictionsContract, ARetryStaysProcessingSinceItsFirstStart) {
  const PredictionId id = create_assigned();
  start(id, 1);
  const auto first_start = view(id).started_at;
  ASSERT_TRUE(requeue(id, 1, 1));
  EXPECT_EQ(view(id).status, PredictionStatus::kProcessing);
  assign(assignment(id, 1));
  EXPECT_TRUE(start(id, 2));
  EXPECT_EQ(view(id).started_at, first_start);
  Finish f = finish_of(id, 2);
  f.started_at = later();
  EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
  EXPECT_EQ(view(id).started_at, first_start);
}

TEST_P(PredictionsContract, AStartThatIsHeardOfAfterTheEndIsNotShownBehindIt) {
  const PredictionId timed = create_assigned();
  Finish f = finish_of(timed, 1);
  f.started_at = f.completed_at - std::chrono::milliseconds{1};
  EXPECT_TRUE(start(timed, 1));
  EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
  EXPECT_EQ(view(timed).started_at, f.started_at);

  const PredictionId untimed = create_assigned();
  f = finish_of(untimed, 1);
  f.started_at.reset();
  EXPECT_TRUE(start(untimed, 1));
  EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
  EXPECT_EQ(view(untimed).started_at, f.completed_at);
}

// --- finish (T5, T7, T10 to T14) ---

TEST_P(PredictionsContract, FinishShowsEverythingThatTheModelDid) {
  const PredictionId id = create_assigned();
  Finish f = finish_of(id, 1, PredictionStatus::kFailed);
  f.started_at = later();
  f.completed_at = later();
  f.error = "it's {broken}, \"really\" \\ null";
  f.output = R"(["a","b"])";
  f.logs = "line 1\nline 2\t\x01 — ünïcode\n";
  f.metrics = R"({"tokens":3})";
  EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
  const PredictionView v = view(id);
  EXPECT_EQ(v.status, PredictionStatus::kFailed);
  EXPECT_EQ(v.started_at, f.started_at);
  EXPECT_EQ(v.completed_at, f.completed_at);
  EXPECT_EQ(v.error, f.error);
  EXPECT_EQ(v.output, f.output);
  EXPECT_EQ(v.logs, f.logs);
  EXPECT_EQ(v.metrics, f.metrics);
  EXPECT_EQ(v.attempt, 1u);
  EXPECT_FALSE(active_row(id).has_value());
}

TEST_P(PredictionsContract, BytesThatAreNoTextAreReplacedAndHarmNobody) {
  NewPrediction p = new_prediction();
  p.input = std::string("{\"a\":\"\0\"}", 9);
  create(p);
  const PredictionId other = create_assigned();
  Finish f = finish_of(p.id, std::nullopt);
  f.logs = std::string("nul \0 and \xFF\xFE bad", 15);
  const std::vector<Finish> batch = {f, finish_of(other, 1)};
  const auto answers = predictions().finish(batch);
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_EQ(answers->at(0), FinishOutcome::kCommitted);
  EXPECT_EQ(answers->at(1), FinishOutcome::kCommitted);
  EXPECT_EQ(view(p.id).logs, "nul \uFFFD and \uFFFD\uFFFD ba");
  EXPECT_EQ(view(p.id).input, "{\"a\":\"\uFFFD\"}");
}

TEST_P(PredictionsContract, AMegabyteOfOutputSurvives) {
  const PredictionId id = create_assigned();
  Finish f = finish_of(id, 1);
  f.output = "\"" + std::string(1U << 20, 'x') + "\"";
  f.logs = std::string(1U << 20, 'y');
  finish(f);
  EXPECT_EQ(view(id).output, f.output);
  EXPECT_EQ(view(id).logs, f.logs);
}

TEST_P(PredictionsContract, FinishingTwiceIsAlreadySame) {
  const PredictionId id = create_assigned();
  const Finish f = finish_of(id, 1);
  EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
  EXPECT_EQ(finish(f), FinishOutcome::kAlreadySame);
  EXPECT_EQ(finish(finish_of(id, 1, PredictionStatus::kCanceled)), FinishOutcome::kSuperseded);
  EXPECT_EQ(finish(finish_of(id, 2)), FinishOutcome::kSuperseded);
  EXPECT_EQ(view(id).status, PredictionStatus::kSucceeded);
}

TEST_P(PredictionsContract, FinishOfAnotherAttemptIsSuperseded) {
  const PredictionId id = create_assigned();
  EXPECT_EQ(finish(finish_of(id, 2)), FinishOutcome::kSuperseded);
  EXPECT_TRUE(requeue(id, 1));
  assign(assignment(id, 1));
  EXPECT_EQ(finish(finish_of(id, 1)), FinishOutcome::kSuperseded);
  EXPECT_EQ(finish(finish_of(id, 2)), FinishOutcome::kCommitted);
}

TEST_P(PredictionsContract, FinishOfAnUnknownPredictionIsUnknown) {
  EXPECT_EQ(finish(finish_of(ids_.next(), 1)), FinishOutcome::kUnknown);
}

TEST_P(PredictionsContract, FinishNamesTheStatesThatItExpects) {
  const PredictionId id = create_assigned();
  start(id, 1);
  Finish f = finish_of(id, std::nullopt, PredictionStatus::kAborted);
  f.expected = kNotStarted;
  EXPECT_EQ(finish(f), FinishOutcome::kSuperseded);
  f.expected = kDispatched;
  EXPECT_EQ(finish(f), FinishOutcome::kCommitted);
  EXPECT_EQ(view(id).status, PredictionStatus::kAborted);
}

TEST_P(PredictionsContract, AResultIsAdoptedLateWhileNoNewerAttemptWasAssigned) {
  const PredictionId id = create_assigned();
  ASSERT_TRUE(requeue(id, 1, 1));
  EXPECT_EQ(finish(finish_of(id, 1)), FinishOutcome::kCommitted);
  EXPECT_FALSE(assign(assignment(id, 1)).assigned);
}

TEST_P(PredictionsContract, OneIdManyTimesInABatchIsCommittedOnce) {
  const PredictionId id = create_assigned();
  const std::vector<Finish> batch = {finish_of(id, 3), finish_of(id, 1), finish_of(id, 1)};
  const auto answers = predictions().finish(batch);
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_EQ(answers->at(0), FinishOutcome::kSuperseded);
  EXPECT_EQ(std::count(answers->begin(), answers->end(), FinishOutcome::kCommitted), 1);
  EXPECT_EQ(std::count(answers->begin(), answers->end(), FinishOutcome::kAlreadySame), 1);
}

// --- requeue (T6) ---

TEST_P(PredictionsContract, RequeuePutsBackAndCounts) {
  const PredictionId id = create_assigned();
  EXPECT_TRUE(requeue(id, 1, 1));
  const auto row = active_row(id);
  EXPECT_EQ(row->state, ActiveState::kQueued);
  EXPECT_EQ(row->attempt, 1u);
  EXPECT_EQ(row->infra_failures, 1u);
  EXPECT_TRUE(row->worker.is_nil());
  EXPECT_TRUE(row->instance.is_nil());
  EXPECT_FALSE(requeue(id, 1, 1)) << "repeated";
  EXPECT_EQ(assign(assignment(id, 1)).attempt, 2u);
}

TEST_P(PredictionsContract, RequeueNamesAttemptWorkerAndIncarnation) {
  const PredictionId id = create_assigned();
  const auto requeued = [&](const Requeue& item) {
    const auto answers = predictions().requeue(fence_, {&item, 1});
    return answers.ok() && answers->at(0);
  };
  EXPECT_FALSE(requeued({id, 2, worker_, 7, 0}));
  EXPECT_FALSE(requeued({id, 1, ids_.next(), 7, 0}));
  EXPECT_FALSE(requeued({id, 1, worker_, 8, 0}));
  EXPECT_TRUE(requeued({id, 1, worker_, 7, 0}));
}

TEST_P(PredictionsContract, RequeueUnderAnOldFenceIsAborted) {
  const PredictionId id = create_assigned();
  const Requeue item{id, 1, worker_, 7, 0};
  const auto answer = predictions().requeue({1, fence_.epoch + 1}, {&item, 1});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(active_row(id)->state, ActiveState::kAssigned);
}

// --- cancel (T8, T9) ---

TEST_P(PredictionsContract, CancelOfAQueuedPredictionEndsIt) {
  const PredictionId id = create_queued();
  const auto answer = predictions().cancel(id, account_.id, later());
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->outcome, CancelOutcome::kCanceled);
  EXPECT_EQ(answer->target, target_.id);
  EXPECT_EQ(view(id).status, PredictionStatus::kCanceled);
  EXPECT_EQ(view(id).completed_at, now_);
  EXPECT_EQ(predictions().cancel(id, account_.id, later())->outcome, CancelOutcome::kTerminal);
}

TEST_P(PredictionsContract, CancelOfARunningPredictionIsAWish) {
  const PredictionId id = create_assigned();
  const WallTime first = later();
  const auto answer = predictions().cancel(id, account_.id, first);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->outcome, CancelOutcome::kRequested);
  EXPECT_EQ(answer->attempt, 1u);
  EXPECT_EQ(answer->target, target_.id);
  EXPECT_EQ(predictions().cancel(id, account_.id, later())->outcome, CancelOutcome::kRequested);
  EXPECT_EQ(active_row(id)->cancel_at, first) << "the first wish counts";
  EXPECT_EQ(view(id).status, PredictionStatus::kStarting);
  EXPECT_EQ(finish(finish_of(id, 1, PredictionStatus::kCanceled)), FinishOutcome::kCommitted);
}

TEST_P(PredictionsContract, ACanceledWishIsNotAssignedAgain) {
  const PredictionId id = create_assigned();
  ASSERT_TRUE(predictions().cancel(id, 0, later()).ok());
  ASSERT_TRUE(requeue(id, 1));
  EXPECT_FALSE(assign(assignment(id, 1)).assigned);
  EXPECT_EQ(predictions().cancel(id, 0, later())->outcome, CancelOutcome::kCanceled);
}

TEST_P(PredictionsContract, SomebodyElsesPredictionCannotBeCanceled) {
  const PredictionId id = create_queued();
  const AccountId other = make_account("other").id;
  EXPECT_EQ(predictions().cancel(id, other, later())->outcome, CancelOutcome::kUnknown);
  EXPECT_EQ(predictions().cancel(ids_.next(), 0, later())->outcome, CancelOutcome::kUnknown);
  EXPECT_TRUE(active_row(id).has_value());
}

TEST_P(PredictionsContract, SeenOutputIsRemembered) {
  const PredictionId id = create_assigned();
  const std::vector<PredictionId> ids = {id, ids_.next()};
  EXPECT_TRUE(predictions().mark_output_seen(ids).ok());
  EXPECT_TRUE(active_row(id)->output_seen);
}

}  // namespace mimeo::store
