// Contract of what is read of predictions: views, lists, scans, the webhook outbox, and
// housekeeping.

#pragma once

#include <thread>

#include "common/store/contract/store_contract.h"

namespace mimeo::store {

class ReadingContract : public StoreContract {
 protected:
  std::vector<PredictionId> listed(const PredictionFilter& filter) {
    const auto page = predictions().list(filter);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<PredictionId> seen;
    for (const PredictionView& v : *page) seen.push_back(v.id);
    return seen;
  }
  PredictionFilter all(std::size_t limit = 100) const {
    PredictionFilter filter;
    filter.account = account_.id;
    filter.limit = limit;
    return filter;
  }
  std::vector<WebhookDelivery> claim(std::chrono::milliseconds lease) {
    const auto due = outbox().claim_due(100, lease);
    EXPECT_TRUE(due.ok()) << due.status();
    return *due;
  }
};

TEST_P(ReadingContract, AViewHasEverythingThatWasGiven) {
  const Deployment deployment = make_deployment("prod");
  NewPrediction p = new_prediction();
  p.target = deployment.target;
  p.deployment = deployment.id;
  p.source = PredictionSource::kWeb;
  p.deadline_at = later();
  p.public_input = R"({"text":"[REDACTED]"})";
  p.webhook = "https://example.com/?a=b&c={d},\"e\"";
  p.webhook_events = 9;
  p.stream_token = "stream-credential";
  p.is_training = true;
  p.destination = "acme/tuned";
  create(p);
  const PredictionView v = view(p.id);
  EXPECT_EQ(v.id, p.id);
  EXPECT_EQ(v.account, account_.id);
  EXPECT_EQ(v.target, deployment.target);
  EXPECT_EQ(v.model_owner, "acme");
  EXPECT_EQ(v.model_name, "hello");
  EXPECT_EQ(v.version, version_);
  EXPECT_EQ(v.deployment, "acme/prod");
  EXPECT_EQ(v.source, PredictionSource::kWeb);
  EXPECT_EQ(v.created_at, p.created_at);
  EXPECT_EQ(v.deadline_at, p.deadline_at);
  EXPECT_EQ(v.input, p.public_input);
  EXPECT_EQ(v.webhook, p.webhook);
  EXPECT_EQ(v.webhook_events, 9);
  EXPECT_EQ(v.stream_token, p.stream_token);
  EXPECT_TRUE(v.is_training);
  EXPECT_EQ(v.destination, "acme/tuned");
  EXPECT_FALSE(v.started_at.has_value());
  EXPECT_FALSE(v.completed_at.has_value());
  EXPECT_FALSE(v.data_removed);
  EXPECT_EQ(v.output, "");
  EXPECT_EQ(*predictions().get_input(p.id), p.input) << "secrets are kept for the worker";
}

TEST_P(ReadingContract, PredictionsOfOthersAreNotFound) {
  const PredictionId id = create_queued();
  EXPECT_TRUE(predictions().get(id, account_.id).ok());
  EXPECT_EQ(predictions().get(id, make_account("other").id).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(predictions().get(ids_.next(), 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(predictions().get_input(ids_.next()).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(ReadingContract, AStreamIsReadWithItsTokenOnly) {
  NewPrediction p = new_prediction();
  p.stream_token = "right";
  create(p);
  const PredictionId without = create_queued();
  EXPECT_EQ(predictions().get_by_stream_token(p.id, "right")->id, p.id);
  EXPECT_EQ(predictions().get_by_stream_token(p.id, "wrong").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(predictions().get_by_stream_token(without, "").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_P(ReadingContract, PagesLeadForwardsAndBack) {
  std::vector<PredictionId> made;
  for (int i = 0; i < 5; ++i) made.push_back(create_queued());
  const std::vector<PredictionId> newest_first(made.rbegin(), made.rend());
  EXPECT_EQ(listed(all()), newest_first);

  PredictionFilter filter = all(2);
  EXPECT_EQ(listed(filter), (std::vector{made[4], made[3]}));
  filter.before = made[3];
  EXPECT_EQ(listed(filter), (std::vector{made[2], made[1]}));
  filter.before = made[1];
  EXPECT_EQ(listed(filter), (std::vector{made[0]}));

  filter.before = {};
  filter.after = made[0];
  EXPECT_EQ(listed(filter), (std::vector{made[2], made[1]})) << "the page just above";
  filter.after = made[3];
  EXPECT_EQ(listed(filter), (std::vector{made[4]}));
}

TEST_P(ReadingContract, ListsShowOnlyWhatTheFilterAllows) {
  const Deployment deployment = make_deployment("prod");
  const PredictionId plain = create_queued();
  NewPrediction web = new_prediction();
  web.source = PredictionSource::kWeb;
  create(web);
  NewPrediction deployed = new_prediction();
  deployed.deployment = deployment.id;
  create(deployed);
  NewPrediction training = new_prediction();
  training.is_training = true;
  create(training);
  NewPrediction foreign = new_prediction();
  foreign.account = make_account("other").id;
  create(foreign);

  EXPECT_EQ(listed(all()), (std::vector{deployed.id, web.id, plain}));
  PredictionFilter filter = all();
  filter.trainings = true;
  EXPECT_EQ(listed(filter), std::vector{training.id});
  filter = all();
  filter.source = PredictionSource::kWeb;
  EXPECT_EQ(listed(filter), std::vector{web.id});
  filter = all();
  filter.deployment = deployment.id;
  EXPECT_EQ(listed(filter), std::vector{deployed.id});
  filter = all();
  filter.created_after = web.created_at;
  filter.created_before = deployed.created_at;
  EXPECT_EQ(listed(filter), std::vector{web.id}) << "from inclusive, to exclusive";
}

TEST_P(ReadingContract, ListItemsAreComplete) {
  const PredictionId id = create_assigned();
  Finish f = finish_of(id, 1);
  f.logs = "some logs";
  finish(f);
  const auto page = predictions().list(all());
  ASSERT_TRUE(page.ok() && page->size() == 1);
  EXPECT_EQ(page->at(0).status, PredictionStatus::kSucceeded);
  EXPECT_EQ(page->at(0).input, R"({"text":"hi"})");
  EXPECT_EQ(page->at(0).output, R"("hello")");
  EXPECT_EQ(page->at(0).logs, "some logs");
}

TEST_P(ReadingContract, TerminalOnesAreFoundAmongMany) {
  const PredictionId queued = create_queued();
  const PredictionId done = create_assigned();
  finish(finish_of(done, 1));
  const std::vector<PredictionId> ids = {queued, done, ids_.next()};
  EXPECT_EQ(*predictions().which_are_terminal(ids), std::vector{done});
}

TEST_P(ReadingContract, AScanWalksOneCellInOrderOfIds) {
  std::vector<PredictionId> made;
  for (int i = 0; i < 5; ++i) made.push_back(create_queued());
  NewPrediction elsewhere = new_prediction();
  elsewhere.cell = 2;
  create(elsewhere);
  const auto first = predictions().scan_active(1, {}, 3);
  ASSERT_EQ(first->size(), 3u);
  EXPECT_EQ(first->at(0).id, made[0]);
  const auto rest = predictions().scan_active(1, first->at(2).id, 3);
  ASSERT_EQ(rest->size(), 2u);
  EXPECT_EQ(rest->at(1).id, made[4]);
  EXPECT_EQ(predictions().scan_active(2, {}, 3)->at(0).id, elsewhere.id);
}

TEST_P(ReadingContract, AScannedRowHasWhatTheSchedulerNeeds) {
  NewPrediction p = new_prediction();
  p.priority = Priority::kBatch;
  p.retry = RetryPolicy::kNever;
  p.deadline_at = later();
  create(p);
  const auto row = active_row(p.id);
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->priority, Priority::kBatch);
  EXPECT_EQ(row->retry, RetryPolicy::kNever);
  EXPECT_EQ(row->deadline_at, p.deadline_at);
  EXPECT_EQ(row->created_at, p.created_at);
  EXPECT_FALSE(row->assigned_at.has_value());
  EXPECT_FALSE(row->cancel_at.has_value());
  EXPECT_FALSE(row->output_seen);
}

TEST_P(ReadingContract, ActiveOnesAreCountedByAccount) {
  create_queued();
  const PredictionId done = create_assigned();
  EXPECT_EQ(*predictions().count_active(account_.id), 2);
  finish(finish_of(done, 1));
  EXPECT_EQ(*predictions().count_active(account_.id), 1);
  EXPECT_EQ(*predictions().count_active(account_.id + 1000), 0);
}

// --- outbox ---

TEST_P(ReadingContract, WebhooksAreOwedForWhatWasAskedFor) {
  NewPrediction p = new_prediction();
  p.grant = grant();
  p.webhook = "https://example.com";
  p.webhook_events = 1 | 8;
  create(p);
  start(p.id, 1);
  finish(finish_of(p.id, 1));
  NewPrediction only_completed = p;
  only_completed.id = ids_.next();
  only_completed.webhook_events = 8;
  create(only_completed);
  start(only_completed.id, 1);
  const PredictionId without_webhook = create_assigned();
  finish(finish_of(without_webhook, 1));

  const auto due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 2u);
  EXPECT_EQ(due[0].prediction, p.id);
  EXPECT_EQ(due[0].event, WebhookEvent::kStart);
  EXPECT_EQ(due[0].tries, 0u);
  EXPECT_EQ(due[1].prediction, p.id);
  EXPECT_EQ(due[1].event, WebhookEvent::kCompleted);
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty()) << "claimed by somebody";
}

TEST_P(ReadingContract, CancelOwesAWebhookToo) {
  NewPrediction p = new_prediction();
  p.webhook = "https://example.com";
  p.webhook_events = 8;
  create(p);
  ASSERT_TRUE(predictions().cancel(p.id, 0, later()).ok());
  EXPECT_EQ(claim(std::chrono::minutes{1}).size(), 1u);
}

TEST_P(ReadingContract, ARetryStartsQuietly) {
  NewPrediction p = new_prediction();
  p.grant = grant();
  p.webhook = "https://example.com";
  p.webhook_events = 1;
  create(p);
  start(p.id, 1);
  requeue(p.id, 1, 1);
  assign(assignment(p.id, 1));
  start(p.id, 2);
  EXPECT_EQ(claim(std::chrono::minutes{1}).size(), 1u);
}

TEST_P(ReadingContract, ADeliveryComesBackUntilItIsRemoved) {
  NewPrediction p = new_prediction();
  p.webhook = "https://example.com";
  p.webhook_events = 8;
  create(p);
  finish(finish_of(p.id, std::nullopt));
  const auto first = claim(std::chrono::milliseconds{0});
  ASSERT_EQ(first.size(), 1u);
  const auto again = claim(std::chrono::minutes{1});
  ASSERT_EQ(again.size(), 1u) << "the lease of the first claim was over at once";
  EXPECT_EQ(again[0].id, first[0].id);
  EXPECT_EQ(again[0].tries, 1u);
  ASSERT_TRUE(outbox().put_off_delivery(first[0].id, std::chrono::milliseconds{0}).ok());
  EXPECT_EQ(claim(std::chrono::milliseconds{0}).size(), 1u);
  const std::vector<std::int64_t> ids = {first[0].id, first[0].id + 1000};
  ASSERT_TRUE(outbox().remove_deliveries(ids).ok());
  EXPECT_TRUE(claim(std::chrono::milliseconds{0}).empty());
}

// --- housekeeping ---

TEST_P(ReadingContract, OldContentIsDroppedAndSaysSo) {
  const WallTime old = now_ - std::chrono::hours{24 * 5};
  NewPrediction finished = new_prediction();
  finished.id = Uuid::lowest_at(old);
  finished.created_at = old;
  create(finished);
  finish(finish_of(finished.id, std::nullopt));
  NewPrediction recent = new_prediction();
  create(recent);
  finish(finish_of(recent.id, std::nullopt));

  Retention keep;
  keep.content = std::chrono::hours{48};
  ASSERT_TRUE(maintenance().make_partitions(old, std::chrono::hours{24}).ok());
  const auto dropped = maintenance().drop_expired(now_, keep);
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_GE(*dropped, 1);
  const PredictionView v = view(finished.id);
  EXPECT_TRUE(v.data_removed);
  EXPECT_EQ(v.input, "");
  EXPECT_EQ(v.output, "");
  EXPECT_EQ(v.status, PredictionStatus::kSucceeded) << "the record stays";
  EXPECT_FALSE(view(recent.id).data_removed);
  EXPECT_FALSE(predictions().get_input(finished.id).ok());

  keep.records = std::chrono::hours{72};
  ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  EXPECT_EQ(predictions().get(finished.id, 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(predictions().get(recent.id, 0).ok());
}

TEST_P(ReadingContract, ContentOfAnActivePredictionIsNeverDropped) {
  const WallTime old = now_ - std::chrono::hours{24 * 5};
  NewPrediction p = new_prediction();
  p.id = Uuid::lowest_at(old);
  p.created_at = old;
  create(p);
  ASSERT_TRUE(maintenance().make_partitions(old, std::chrono::hours{24}).ok());
  Retention keep;
  keep.content = keep.records = std::chrono::hours{48};
  ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  EXPECT_EQ(*predictions().get_input(p.id), p.input);
}

TEST_P(ReadingContract, HousekeepingMayBeRepeated) {
  EXPECT_TRUE(maintenance().ping().ok());
  EXPECT_TRUE(maintenance().make_partitions(now_, std::chrono::hours{48}).ok());
  EXPECT_TRUE(maintenance().make_partitions(now_, std::chrono::hours{48}).ok());
  EXPECT_TRUE(maintenance().drop_expired(now_, {}).ok());
  EXPECT_EQ(*maintenance().drop_expired(now_, {}), 0);
}

}  // namespace mimeo::store
