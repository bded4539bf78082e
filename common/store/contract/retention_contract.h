// What every RetentionStore is tested with, over the predictions and files of the same store.
// Included by one program per implementation.

#pragma once

#include <algorithm>
#include <latch>
#include <thread>

#include "common/store/contract/store_contract.h"
#include "common/store/files.h"
#include "common/store/retention.h"

namespace mimeo::store {

// `make` of the StoreKind gives one of these.
class RetentionUnderTest : public StoreUnderTest {
 public:
  virtual FilesStore& files() = 0;
  virtual RetentionStore& retention() = 0;
};

class RetentionContract : public StoreContract {
 protected:
  static constexpr std::chrono::hours kApiDefault{1};
  static constexpr std::chrono::hours kWebDefault{24 * 90};

  RetentionUnderTest& whole() { return dynamic_cast<RetentionUnderTest&>(*under_test_); }
  FilesStore& files() { return whole().files(); }
  RetentionStore& retention() { return whole().retention(); }

  // Ended at `now_`.
  PredictionId ended(PredictionSource source = PredictionSource::kApi,
                     std::optional<AccountId> account = std::nullopt) {
    NewPrediction p = new_prediction();
    p.source = source;
    if (account) p.account = *account;
    create(p);
    Finish end = finish_of(p.id, std::nullopt);
    end.logs = "said\n";
    EXPECT_EQ(finish(end), FinishOutcome::kCommitted);
    return p.id;
  }
  OutputFile output_of(PredictionId prediction, const std::string& secret, char content = 'a') {
    OutputFile file;
    file.prediction = prediction;
    file.secret = secret;
    file.filename = "out.png";
    file.size_bytes = 3;
    file.sha256_hex = std::string(64, content);
    file.md5_hex = std::string(32, content);
    file.content_type = "image/x-own";
    file.created_at = now_;
    file.blob_key = "content/" + prediction.str() + secret;
    return file;
  }
  OutputFile add_output(PredictionId prediction, const std::string& secret, char content = 'a') {
    const OutputFile file = output_of(prediction, secret, content);
    EXPECT_EQ(files().create_output(file), absl::OkStatus());
    return file;
  }
  // As if something of it had been sent.
  void log_attempt(PredictionId id, const std::string& delivery) {
    WebhookSettlement sent;
    sent.delivery.emplace();
    sent.delivery->id = delivery;
    sent.delivery->account = account_.id;
    sent.delivery->prediction = id;
    sent.delivery->event = WebhookEvent::kCompleted;
    sent.delivery->url = "https://example.com/";
    sent.attempt.at = now_;
    sent.attempt.request_body = "what was said";
    EXPECT_EQ(outbox().settle({&sent, 1}), absl::OkStatus());
  }
  std::vector<PredictionId> due_by(WallTime at) {
    const auto due = retention().list_due(at, 100);
    EXPECT_TRUE(due.ok()) << due.status();
    std::vector<PredictionId> ids;
    for (const DueRemoval& removal : *due) ids.push_back(removal.id);
    return ids;
  }
  // What the sweeper does.
  std::vector<PredictionId> sweep(WallTime at) {
    const auto due = retention().list_due(at, 100);
    EXPECT_TRUE(due.ok()) << due.status();
    const auto removed = retention().remove_data(*due);
    EXPECT_TRUE(removed.ok()) << removed.status();
    return *removed;
  }
  std::vector<std::string> dead() {
    const auto keys = files().list_dead_blobs("", 100);
    EXPECT_TRUE(keys.ok()) << keys.status();
    return *keys;
  }
};

using Ids = std::vector<PredictionId>;
using Keys = std::vector<std::string>;

TEST_P(RetentionContract, DataIsDueAnHourAfterTheEndAndNotAMomentEarlier) {
  const PredictionId id = ended();
  const WallTime end = *view(id).completed_at;
  EXPECT_EQ(due_by(end + kApiDefault - std::chrono::microseconds(1)), Ids{});
  EXPECT_EQ(due_by(end + kApiDefault), Ids{id});
}

TEST_P(RetentionContract, WhatTheConsoleCreatedIsDueAfterNinetyDays) {
  const PredictionId id = ended(PredictionSource::kWeb);
  const WallTime end = *view(id).completed_at;
  EXPECT_EQ(due_by(end + kWebDefault - std::chrono::seconds(1)), Ids{});
  EXPECT_EQ(due_by(end + kWebDefault), Ids{id});
}

TEST_P(RetentionContract, ARemovalTakesAllDataAndLeavesTheRecord) {
  const PredictionId id = ended();
  const PredictionId other = ended();
  const OutputFile file = add_output(id, "s1", 'a');
  const OutputFile others = add_output(other, "s1", 'b');
  ASSERT_TRUE(files().get_output(id, "s1", "out.png").ok());
  const auto due = retention().list_due(*view(id).completed_at + kApiDefault, 100);
  ASSERT_TRUE(due.ok());
  ASSERT_EQ(due->size(), 1U) << "the other one ended later";
  EXPECT_EQ(*retention().remove_data(*due), Ids{id});
  const PredictionView removed = view(id);
  EXPECT_TRUE(removed.data_removed);
  EXPECT_EQ(removed.input + removed.output + removed.logs, "");
  EXPECT_EQ(removed.status, PredictionStatus::kSucceeded);
  EXPECT_FALSE(predictions().get_input(id).ok());
  EXPECT_TRUE(absl::IsNotFound(files().get_output(id, "s1", "out.png").status()));
  EXPECT_EQ(dead(), Keys{file.blob_key});
  EXPECT_FALSE(view(other).data_removed);
  EXPECT_EQ(files().get_output(other, "s1", "out.png")->blob_key, others.blob_key);
  EXPECT_EQ(*retention().remove_data(*due), Ids{}) << "a repeated call";
}

TEST_P(RetentionContract, AnOutputThatComesAfterTheRemovalIsRefusedAndItsBlobIsDead) {
  const PredictionId id = ended();
  sweep(now_ + kApiDefault);
  const OutputFile late = output_of(id, "late");
  EXPECT_TRUE(absl::IsNotFound(files().create_output(late)));
  EXPECT_EQ(dead(), Keys{late.blob_key});
  EXPECT_TRUE(absl::IsNotFound(files().create_output(output_of(ids_.next(), "x"))));
}

TEST_P(RetentionContract, AnAccountsOwnRuleHoldsForItAloneAndAlsoForWhatHasEnded) {
  const Account other = make_account("other");
  const PredictionId mine = ended();
  const PredictionId theirs = ended(PredictionSource::kApi, other.id);
  const WallTime end = now_;
  ASSERT_TRUE(retention()
                  .set_keep_rule(account_.id, PredictionSource::kApi, std::chrono::seconds(600))
                  .ok());
  EXPECT_EQ(due_by(end + std::chrono::seconds(600)), Ids{mine});
  const KeepRules rules = *retention().get_keep_rules(account_.id);
  EXPECT_EQ(rules.api, std::chrono::seconds(600));
  EXPECT_TRUE(rules.has_own_api);
  EXPECT_EQ(rules.web, kWebDefault);
  EXPECT_FALSE(rules.has_own_web);
  // Longer again, and for ever; and as the operator says.
  ASSERT_TRUE(retention().set_keep_rule(account_.id, PredictionSource::kApi, std::nullopt).ok());
  EXPECT_EQ(due_by(end + std::chrono::hours(24 * 365)), Ids{theirs});
  EXPECT_EQ(retention().get_keep_rules(account_.id)->api, std::nullopt);
  ended();
  EXPECT_EQ(due_by(now_ + std::chrono::hours(24 * 365)), Ids{theirs});
  ASSERT_TRUE(retention().reset_keep_rule(account_.id, PredictionSource::kApi).ok());
  EXPECT_EQ(due_by(now_ + kApiDefault).size(), 3U);
}

TEST_P(RetentionContract, TheOperatorsRuleHoldsForAccountsWithoutOne) {
  const Account other = make_account("other");
  const PredictionId mine = ended();
  const PredictionId theirs = ended(PredictionSource::kApi, other.id);
  ASSERT_TRUE(
      retention().set_keep_rule(other.id, PredictionSource::kApi, std::chrono::hours(5)).ok());
  ASSERT_TRUE(retention().set_keep_rule(0, PredictionSource::kApi, std::chrono::hours(2)).ok());
  EXPECT_EQ(due_by(now_ + std::chrono::hours(1)), Ids{});
  EXPECT_EQ(due_by(now_ + std::chrono::hours(2)), Ids{mine});
  EXPECT_EQ(due_by(now_ + std::chrono::hours(5)), (Ids{mine, theirs}));
}

TEST_P(RetentionContract, RulesThatOtherProcessesCouldNotFollowAreRefused) {
  const auto set = [this](std::int64_t seconds) {
    return retention().set_keep_rule(account_.id, PredictionSource::kApi,
                                     std::chrono::seconds(seconds));
  };
  EXPECT_TRUE(absl::IsInvalidArgument(set(299)));
  EXPECT_TRUE(absl::IsInvalidArgument(set(-1)));
  EXPECT_TRUE(set(300).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(retention().reset_keep_rule(0, PredictionSource::kApi)));
}

TEST_P(RetentionContract, AKeptPredictionLosesNothingUntilItIsReleased) {
  const PredictionId kept = ended();
  const PredictionId other = ended();
  add_output(kept, "s1");
  ASSERT_TRUE(retention().keep_prediction(kept).ok());
  ASSERT_TRUE(retention().keep_prediction(kept).ok());
  EXPECT_EQ(sweep(now_ + std::chrono::hours(2)), Ids{other});
  EXPECT_FALSE(view(kept).data_removed);
  EXPECT_EQ(due_by(now_ + std::chrono::hours(24 * 365)), Ids{});
  ASSERT_TRUE(retention().release_prediction(kept).ok());
  ASSERT_TRUE(retention().release_prediction(kept).ok());
  EXPECT_EQ(sweep(now_ + std::chrono::hours(2)), Ids{kept});
  EXPECT_TRUE(absl::IsNotFound(files().get_output(kept, "s1", "out.png").status()));
}

TEST_P(RetentionContract, AnOutputHasTheTypeThatItsWorkerGave) {
  const PredictionId id = ended();
  add_output(id, "s1");
  EXPECT_EQ(files().get_output(id, "s1", "out.png")->content_type, "image/x-own");
}

TEST_P(RetentionContract, ARuleCanChangeAfterAReleaseAndAnotherKeep) {
  const PredictionId id = ended();
  ASSERT_TRUE(retention().keep_prediction(id).ok());
  sweep(now_ + std::chrono::hours(2));  // Looks at it again a day later.
  ASSERT_TRUE(retention().release_prediction(id).ok());
  ASSERT_TRUE(retention().keep_prediction(id).ok());
  const auto set = [this](std::chrono::seconds keep) {
    return retention().set_keep_rule(account_.id, PredictionSource::kApi, keep);
  };
  EXPECT_EQ(set(std::chrono::hours(3)), absl::OkStatus());
  EXPECT_EQ(set(std::chrono::hours(4)), absl::OkStatus());
  ASSERT_TRUE(retention().release_prediction(id).ok());
  EXPECT_EQ(due_by(now_ + std::chrono::hours(4)), Ids{id}) << "once";
}

TEST_P(RetentionContract, KeptAgainAfterAReleaseItIsSweptAround) {
  const PredictionId id = ended();
  ASSERT_TRUE(retention().keep_prediction(id).ok());
  sweep(now_ + std::chrono::hours(2));
  ASSERT_TRUE(retention().release_prediction(id).ok());
  ASSERT_TRUE(retention().keep_prediction(id).ok());
  const PredictionId other = ended();
  EXPECT_EQ(sweep(now_ + std::chrono::hours(2)), Ids{other});
  EXPECT_EQ(sweep(now_ + std::chrono::hours(48)), Ids{});
  EXPECT_FALSE(view(id).data_removed);
  ASSERT_TRUE(retention().release_prediction(id).ok());
  EXPECT_EQ(sweep(now_ + std::chrono::hours(48)), Ids{id});
}

TEST_P(RetentionContract, WhatWebhooksHeldGoesWithTheData) {
  const PredictionId id = ended();
  log_attempt(id, "msg_1");
  ASSERT_EQ(webhooks().list_webhook_attempts("msg_1")->size(), 1U);
  EXPECT_EQ(sweep(now_ + kApiDefault), Ids{id});
  EXPECT_TRUE(webhooks().list_webhook_attempts("msg_1")->empty());
}

TEST_P(RetentionContract, AnUploadBecomesAFileOfAPredictionWithoutACopy) {
  const PredictionId id = ended();
  File upload;
  upload.id = ids_.next();
  upload.account = account_.id;
  upload.name = "in.wav";
  upload.content_type = "audio/wav";
  upload.size_bytes = 7;
  upload.sha256_hex = std::string(64, 'e');
  upload.md5_hex = std::string(32, 'e');
  upload.created_at = now_;
  upload.expires_at = now_ + std::chrono::hours(24);
  upload.blob_key = "content/upload";
  ASSERT_EQ(files().create_file(upload), absl::OkStatus());
  OutputFile shared;
  shared.prediction = id;
  shared.secret = "s1";
  shared.filename = "in.wav";
  shared.created_at = now_;
  ASSERT_EQ(files().share_upload(upload.id, account_.id, shared), absl::OkStatus());
  ASSERT_EQ(files().share_upload(upload.id, account_.id, shared), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(files().share_upload(upload.id, account_.id + 1, shared)));
  EXPECT_TRUE(absl::IsNotFound(files().share_upload(ids_.next(), account_.id, shared)));
  ASSERT_EQ(files().delete_file(upload.id, account_.id), absl::OkStatus());
  EXPECT_EQ(dead(), Keys{}) << "the prediction has it still";
  const auto read = files().get_output(id, "s1", "in.wav");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->blob_key, "content/upload");
  EXPECT_EQ(read->size_bytes, 7);
  EXPECT_EQ(read->sha256_hex, upload.sha256_hex);
  EXPECT_EQ(read->md5_hex, upload.md5_hex);
  EXPECT_EQ(read->content_type, "audio/wav");
  sweep(now_ + kApiDefault);
  EXPECT_EQ(dead(), Keys{"content/upload"});
}

TEST_P(RetentionContract, AnExpiredUploadAndARemovedPredictionShareNothing) {
  const PredictionId id = ended();
  File upload;
  upload.id = ids_.next();
  upload.account = account_.id;
  upload.sha256_hex = std::string(64, 'e');
  upload.created_at = now_;
  upload.expires_at = now_ + std::chrono::hours(24);
  upload.blob_key = "content/upload";
  ASSERT_EQ(files().create_file(upload), absl::OkStatus());
  OutputFile shared = output_of(id, "s1");
  shared.created_at = *upload.expires_at;
  EXPECT_TRUE(absl::IsNotFound(files().share_upload(upload.id, account_.id, shared)));
  sweep(now_ + kApiDefault);
  shared.created_at = now_;
  EXPECT_TRUE(absl::IsNotFound(files().share_upload(upload.id, account_.id, shared)));
  EXPECT_EQ(dead(), Keys{}) << "it is the upload's";
}

// Whoever is faster: what is kept has all its data, what is not has none of it, and no file
// refers to a blob that is dead.
TEST_P(RetentionContract, KeepingAndAddingFilesRaceWithRemoving) {
  for (int round = 0; round < 40; ++round) {
    const PredictionId id = ended();
    const auto due = retention().list_due(now_ + kApiDefault, 100);
    ASSERT_TRUE(due.ok()) << due.status();
    const OutputFile file = output_of(id, "s" + std::to_string(round));
    Status kept, added;
    Result<std::vector<PredictionId>> removed = Ids{};
    std::latch start(3);
    std::thread keeper([&] {
      start.arrive_and_wait();
      if (round % 2 == 0) kept = retention().keep_prediction(id);
    });
    std::thread adder([&] {
      start.arrive_and_wait();
      added = files().create_output(file);
    });
    start.arrive_and_wait();
    removed = retention().remove_data(*due);
    keeper.join();
    adder.join();
    ASSERT_TRUE(removed.ok()) << removed.status();
    const bool is_removed = view(id).data_removed;
    EXPECT_EQ(std::count(removed->begin(), removed->end(), id), is_removed ? 1 : 0);
    if (round % 2 == 0) {
      EXPECT_EQ(kept.ok(), !is_removed) << kept;
    }
    const auto read = files().get_output(id, file.secret, file.filename);
    EXPECT_EQ(read.ok(), added.ok() && !is_removed) << added;
    const Keys gone = dead();
    const std::string& key = read.ok() ? read->blob_key : file.blob_key;
    EXPECT_EQ(std::count(gone.begin(), gone.end(), key), read.ok() ? 0 : 1);
    ASSERT_EQ(retention().release_prediction(id), absl::OkStatus());
    sweep(now_ + kApiDefault);
    EXPECT_TRUE(view(id).data_removed);
    ASSERT_EQ(files().forget_dead_blobs(dead()), absl::OkStatus());
  }
}

TEST_P(RetentionContract, KeptBetweenTheListAndTheRemovalIsKept) {
  const PredictionId id = ended();
  const auto due = retention().list_due(now_ + kApiDefault, 100);
  ASSERT_TRUE(retention().keep_prediction(id).ok());
  EXPECT_EQ(*retention().remove_data(*due), Ids{});
  EXPECT_FALSE(view(id).data_removed);
}

TEST_P(RetentionContract, OnlyWhatHasItsDataCanBeKept) {
  const PredictionId id = ended();
  sweep(now_ + kApiDefault);
  EXPECT_TRUE(absl::IsFailedPrecondition(retention().keep_prediction(id)));
  EXPECT_TRUE(absl::IsNotFound(retention().keep_prediction(ids_.next())));
}

TEST_P(RetentionContract, TrainingsAndRunningPredictionsAreNotDue) {
  NewPrediction training = new_prediction();
  training.is_training = true;
  training.destination = "acme/tuned";
  create(training);
  finish(finish_of(training.id, std::nullopt));
  create_queued();
  EXPECT_EQ(due_by(now_ + std::chrono::hours(24 * 365)), Ids{});
}

TEST_P(RetentionContract, DroppingOldContentSparesWhatIsKeptAndNothingElse) {
  const WallTime old = now_ - std::chrono::hours(24 * 9);
  int count = 0;
  const auto old_one = [&] {
    NewPrediction p = new_prediction();
    p.id = Uuid::lowest_at(old + std::chrono::seconds(++count));  // In one partition.
    p.created_at = old;
    create(p);
    finish(finish_of(p.id, std::nullopt));
    add_output(p.id, "s1", "0abcdef"[count]);
    log_attempt(p.id, "msg_" + std::to_string(count));
    return p.id;
  };
  const PredictionId first = old_one();
  const PredictionId kept = old_one();
  const PredictionId last = old_one();
  ASSERT_TRUE(retention().keep_prediction(kept).ok());
  ASSERT_TRUE(maintenance().make_partitions(old, std::chrono::hours(1)).ok());
  Retention keep;
  keep.content = std::chrono::hours(48);
  keep.records = std::chrono::hours(24 * 30);
  ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  for (const PredictionId id : {first, last}) {
    EXPECT_TRUE(view(id).data_removed);
    EXPECT_TRUE(absl::IsNotFound(files().get_output(id, "s1", "out.png").status()));
  }
  EXPECT_EQ(dead().size(), 2U);
  EXPECT_TRUE(webhooks().list_webhook_attempts("msg_1")->empty());
  EXPECT_FALSE(view(kept).data_removed);
  EXPECT_TRUE(files().get_output(kept, "s1", "out.png").ok());
  EXPECT_FALSE(webhooks().list_webhook_attempts("msg_2")->empty());

  keep.records = std::chrono::hours(72);
  ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  EXPECT_TRUE(absl::IsNotFound(predictions().get(first, 0).status()));
  EXPECT_TRUE(absl::IsNotFound(predictions().get(last, 0).status()));
  EXPECT_EQ(view(kept).status, PredictionStatus::kSucceeded);
  ASSERT_TRUE(retention().release_prediction(kept).ok());
  EXPECT_EQ(sweep(now_ + kApiDefault), Ids{kept});
}

}  // namespace mimeo::store
