// Contract of what is read of predictions: views, lists, scans, and housekeeping.

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
