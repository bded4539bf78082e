// Removal as it is in a whole control plane: a real database, a real store of files, and a look at
// everything that could still have the data. Included by one program per store of files, which says
//   INSTANTIATE_TEST_SUITE_P(Local, SweeperTest, testing::Values(&make_store));

#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/blobs/blob_key.h"
#include "common/crypto/crypto.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/webhook_log.h"
#include "common/telemetry/metrics.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/recent_predictions.h"
#include "control-plane/public_links.h"
#include "control-plane/retention/sweeper.h"
#include "control-plane/testing/test_loop.h"
#include "tests/support/database_look.h"
#include "tests/support/private_postgres.h"

namespace mimeo::control {

using std::chrono::hours;
using std::chrono::seconds;
using testing_support::PrivatePostgres;

inline constexpr const char* kSecretText = "what nobody may find again";

// A store of files some of whose blobs cannot be removed.
class StubbornBlobs final : public blobs::BlobStore {
 public:
  explicit StubbornBlobs(std::unique_ptr<blobs::BlobStore> inner) : inner_(std::move(inner)) {}

  Result<std::unique_ptr<blobs::BlobWriter>> create(std::string_view key) override {
    return inner_->create(key);
  }
  Result<std::unique_ptr<blobs::BlobReader>> open(std::string_view key) override {
    return inner_->open(key);
  }
  Status remove(std::string_view key) override { return inner_->remove(key); }
  blobs::NotRemoved remove_many(std::span<const std::string> keys) override {
    blobs::NotRemoved left;
    std::vector<std::string> others;
    for (const std::string& key : keys) {
      asked.insert(key);
      (stays.contains(key) ? left.keys : others).push_back(key);
    }
    if (!left.keys.empty()) left.why = absl::PermissionDeniedError("it stays");
    EXPECT_EQ(inner_->remove_many(others).why, absl::OkStatus());
    return left;
  }
  Status remove_all(std::string_view prefix) override { return inner_->remove_all(prefix); }
  Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                        std::size_t limit) override {
    return inner_->list(prefix, after, limit);
  }
  Status remove_unfinished(std::chrono::seconds age) override {
    asked.insert("unfinished");
    return inner_->remove_unfinished(age);
  }

  std::set<std::string> stays;
  std::multiset<std::string> asked;  // What was to be removed.

 private:
  const std::unique_ptr<blobs::BlobStore> inner_;
};

// Refuses to remove data while it is told to.
class StubbornRetention final : public store::RetentionStore {
 public:
  explicit StubbornRetention(store::RetentionStore& inner) : inner_(inner) {}
  Result<store::KeepRules> get_keep_rules(AccountId account) override {
    return inner_.get_keep_rules(account);
  }
  Status set_keep_rule(AccountId account, PredictionSource source, store::KeepFor keep) override {
    return inner_.set_keep_rule(account, source, keep);
  }
  Status reset_keep_rule(AccountId account, PredictionSource source) override {
    return inner_.reset_keep_rule(account, source);
  }
  Status keep_prediction(PredictionId id) override { return inner_.keep_prediction(id); }
  Status release_prediction(PredictionId id) override { return inner_.release_prediction(id); }
  Result<std::vector<store::DueRemoval>> list_due(WallTime now, std::size_t limit) override {
    if (is_broken) return absl::InternalError("no list today");
    return inner_.list_due(now, limit);
  }
  Result<std::vector<PredictionId>> remove_data(std::span<const store::DueRemoval> due) override {
    return inner_.remove_data(due);
  }

  bool is_broken = false;

 private:
  store::RetentionStore& inner_;
};

class SweeperTest : public testing::TestWithParam<std::unique_ptr<blobs::BlobStore> (*)()> {
 protected:
  SweeperTest() : hub_(make_event_hub(loop_.executor(), clock_)), recent_(clock_) {
    EXPECT_TRUE(store_.make_partitions(clock_.now(), hours(48)).ok());
    EXPECT_TRUE(store_.ensure_cell(1).ok());
    store::Account account;
    account.username = "acme";
    account_ = store_.create_account(account)->id;
    store::Model model;
    model.owner_id = account_;
    model.name = "hello";
    model_ = store_.create_model(model)->id;
    store::Version version;
    version.id = *VersionId::parse(std::string(64, 'a'));
    version.model = model_;
    version_ = store_.put_version(version)->id;
    target_ = store_.ensure_version_pool(version_, "cpu", 1)->id;
  }

  // A prediction with everything that one can have, ended now; also in the caches of this process.
  PredictionId ended() {
    store::NewPrediction p;
    p.id = ids_.next();
    p.account = account_;
    p.target = target_;
    p.cell = 1;
    p.model = model_;
    p.version = version_;
    p.created_at = clock_.now();
    p.input = std::string(R"({"text":")") + kSecretText + "\"}";
    p.public_input = p.input;
    p.stream_token = make_stream_token(p.id, StreamKind::kText, random_);
    EXPECT_TRUE(store_.create({&p, 1}).ok());
    recent_.created(*store_.get(p.id, 0), Binding::kFixed);
    HubEvent event;
    event.attempt = 1;
    event.seq = 1;
    event.kind = EventKind::kOutput;
    event.data = std::string("\"") + kSecretText + "\"";
    hub_->publish(p.id, event);
    add_output(p.id);
    add_delivery(p.id);
    store::Finish end;
    end.id = p.id;
    end.status = PredictionStatus::kSucceeded;
    end.completed_at = clock_.now();
    end.output = event.data;
    end.logs = kSecretText;
    EXPECT_EQ(store_.finish({&end, 1})->at(0), store::FinishOutcome::kCommitted);
    end.attempt = 1;
    recent_.finished(end);
    hub_->finish(p.id, end.status);
    return p.id;
  }
  std::string put(const std::string& key, const std::string& content) {
    auto writer = *blobs_.create(key);
    EXPECT_TRUE(writer->write(content).ok());
    EXPECT_TRUE(writer->commit().ok());
    return key;
  }
  void add_output(PredictionId id) {
    store::OutputFile file;
    file.prediction = id;
    file.secret = parse_delivery_token(make_delivery_token(id, random_))->secret;
    file.filename = "out.txt";
    file.sha256_hex = to_hex(crypto::sha256(id.str() + kSecretText));
    file.md5_hex = std::string(32, '0');
    file.created_at = clock_.now();
    file.blob_key = put(blobs::content_key(ids_.next()), kSecretText);
    EXPECT_EQ(store_.create_output(file), absl::OkStatus());
  }
  // As if a webhook had been sent with all of it.
  void add_delivery(PredictionId id) {
    store::WebhookSettlement sent;
    sent.delivery.emplace();
    sent.delivery->id = "msg_" + id.str();
    sent.delivery->account = account_;
    sent.delivery->prediction = id;
    sent.delivery->event = store::WebhookEvent::kOutput;
    sent.delivery->url = "https://example.com/";
    sent.attempt.at = clock_.now();
    sent.attempt.request_body = kSecretText;
    sent.attempt.response_body = kSecretText;
    EXPECT_EQ(store_.settle({&sent, 1}), absl::OkStatus());
  }
  // Runs `once` of the one sweeper that there is.
  Status run(boost::asio::awaitable<Status> (Sweeper::*once)()) {
    return loop_.run((sweeper_.*once)());
  }
  void sweep() { EXPECT_EQ(run(&Sweeper::sweep), absl::OkStatus()); }
  void sweep_leftovers() { EXPECT_EQ(run(&Sweeper::sweep_leftovers), absl::OkStatus()); }
  SweeperParts sweeper_parts() {
    return {.retention = retention_,
            .files = store_,
            .predictions = store_,
            .blobs = blobs_,
            .pool = pool_,
            .clock = clock_,
            .metrics = metrics_,
            .on_removed = [this](PredictionId id) {
              recent_.forget(id);
              hub_->forget(id);
            }};
  }
  bool has_failed(const std::string& step) {
    return metrics_.serialize().find("sweep_failures_total{step=\"" + step + "\"}") !=
           std::string::npos;
  }

  std::vector<std::string> rows_with(const std::string& text) {
    return testing_support::rows_with(database_, text);
  }
  std::vector<std::string> files_with(const std::string& text) {
    std::vector<std::string> found;
    for (const std::string_view prefix : {blobs::kContentPrefix, kOldOutputs}) {
      const std::vector<std::string> keys = *blobs_.list(prefix, "", 10'000);
      for (const std::string& key : keys) {
        const auto reader = *blobs_.open(key);
        std::string content(reader->size_bytes(), '\0');
        EXPECT_EQ(*reader->read(0, std::span(content)), content.size());
        if (content.find(text) != std::string::npos) found.push_back(key);
      }
    }
    return found;
  }

  TestLoop loop_;
  FakeClock clock_{SystemClock().now()};
  SystemRandom random_;
  IdGenerator ids_{clock_, random_};
  const std::string database_ = PrivatePostgres::shared().make_database();
  store::PostgresStore store_{{.conninfo = database_}};
  StubbornBlobs blobs_{GetParam()()};
  StubbornRetention retention_{store_};
  Metrics metrics_;
  std::unique_ptr<EventHub> hub_;
  RecentPredictions recent_;
  BlockingPool pool_{1};
  AccountId account_ = 0;
  ModelId model_ = 0;
  VersionId version_;
  TargetId target_ = 0;
  Sweeper sweeper_{sweeper_parts()};
};

TEST_P(SweeperTest, AfterItsTimeNothingOfAPredictionIsLeftAnywhere) {
  const PredictionId id = ended();
  ASSERT_EQ(rows_with(kSecretText).size(), 5U) << "input twice, output, logs, a webhook";
  ASSERT_EQ(files_with(kSecretText).size(), 1U);
  ASSERT_NE(recent_.find(id), nullptr);
  ASSERT_TRUE(hub_->state(id).has_value());

  clock_.advance(seconds(3599));
  sweep();
  EXPECT_EQ(rows_with(kSecretText).size(), 5U) << "not a moment too early";
  EXPECT_EQ(files_with(kSecretText).size(), 1U);

  clock_.advance(seconds(1));
  sweep();
  EXPECT_EQ(rows_with(kSecretText), std::vector<std::string>{});
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
  EXPECT_EQ(recent_.find(id), nullptr);
  EXPECT_FALSE(hub_->state(id).has_value());
  const store::PredictionView view = *store_.get(id, account_);
  EXPECT_TRUE(view.data_removed);
  EXPECT_EQ(view.status, PredictionStatus::kSucceeded);
  for (const char* table :
       {"payloads", "output_files", "contents", "dead_blobs", "removals", "webhook_attempts"}) {
    const auto count =
        testing_support::look(database_, std::string("SELECT count(*) FROM ") + table);
    EXPECT_EQ(count.at(0), "0") << table;
  }
}

TEST_P(SweeperTest, MoreThanOneBatchGoesInOneSweep) {
  for (int i = 0; i < 250; ++i) ended();
  clock_.advance(hours(1));
  sweep();
  EXPECT_EQ(rows_with(kSecretText), std::vector<std::string>{});
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
}

TEST_P(SweeperTest, AnExampleKeepsEverything) {
  const PredictionId id = ended();
  ASSERT_TRUE(store_.keep_prediction(id).ok());
  clock_.advance(hours(24 * 30));
  sweep();
  EXPECT_EQ(rows_with(kSecretText).size(), 5U);
  EXPECT_EQ(files_with(kSecretText).size(), 1U);
}

TEST_P(SweeperTest, AnUploadGoesWhenItExpires) {
  store::File file;
  file.id = ids_.next();
  file.account = account_;
  file.name = "secret.txt";
  file.sha256_hex = std::string(64, 'c');
  file.created_at = clock_.now();
  file.expires_at = clock_.now() + hours(24);
  file.blob_key = put(blobs::content_key(file.id), kSecretText);
  ASSERT_TRUE(store_.create_file(file).ok());
  clock_.advance(hours(24) - seconds(1));
  sweep();
  EXPECT_EQ(files_with(kSecretText).size(), 1U);
  clock_.advance(seconds(1));
  sweep();
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
  EXPECT_EQ(rows_with("secret.txt"), std::vector<std::string>{});
}

// A crash between the commit of the rows and the removal of the blobs.
TEST_P(SweeperTest, WhatOneSweepCouldNotRemoveTheNextOneDoes) {
  ended();
  clock_.advance(hours(1));
  ASSERT_TRUE(store_.remove_data(*store_.list_due(clock_.now(), 10)).ok());
  ASSERT_EQ(files_with(kSecretText).size(), 1U);
  sweep();
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
}

TEST_P(SweeperTest, ABlobThatCannotBeRemovedHoldsNoOtherUp) {
  for (int i = 0; i < 3; ++i) ended();
  const std::string stays = files_with(kSecretText).at(1);
  blobs_.stays.insert(stays);
  clock_.advance(hours(1));
  EXPECT_TRUE(absl::IsPermissionDenied(run(&Sweeper::sweep)));
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{stays});
  EXPECT_TRUE(has_failed("blobs"));
  ended();
  clock_.advance(seconds(5));
  sweep();
  EXPECT_EQ(blobs_.asked.count(stays), 1U) << "again later";
  blobs_.stays.clear();
  clock_.advance(hours(1));
  sweep();
  EXPECT_EQ(blobs_.asked.count(stays), 2U);
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
  EXPECT_EQ(testing_support::look(database_, "SELECT count(*) FROM dead_blobs").at(0), "0");
}

TEST_P(SweeperTest, AStepThatFailsDoesNotEndTheOthers) {
  ended();
  clock_.advance(hours(1));
  ASSERT_TRUE(store_.remove_data(*store_.list_due(clock_.now(), 10)).ok());
  retention_.is_broken = true;
  EXPECT_TRUE(absl::IsInternal(run(&Sweeper::sweep)));
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
  EXPECT_TRUE(has_failed("data"));
  EXPECT_FALSE(has_failed("blobs"));
}

TEST_P(SweeperTest, UploadsThatNeverEndedAreClearedAway) {
  sweep_leftovers();
  EXPECT_EQ(blobs_.asked.count("unfinished"), 1U);
}

TEST_P(SweeperTest, BlobsOfUploadsThatNeverEndedGoAfterADay) {
  const PredictionId id = ended();
  const std::string lost = put(blobs::content_key(ids_.next()), "lost");
  sweep_leftovers();
  EXPECT_TRUE(blobs_.open(lost).ok()) << "its row may still come";
  clock_.advance(hours(25));
  const std::string young = put(blobs::content_key(ids_.next()), "young");
  sweep_leftovers();
  EXPECT_TRUE(absl::IsNotFound(blobs_.open(lost).status()));
  EXPECT_TRUE(blobs_.open(young).ok());
  EXPECT_EQ(files_with(kSecretText).size(), 1U) << "of " << id.str() << ", which nobody swept";
}

TEST_P(SweeperTest, OutputsFromBeforeTheyHadRowsGoWithTheirPrediction) {
  const PredictionId removed = ended();
  const PredictionId never = ids_.next();
  clock_.advance(hours(1));
  sweep();
  const PredictionId current = ended();
  for (const PredictionId id : {removed, never, current}) {
    put(old_output_key(*parse_delivery_token(make_delivery_token(id, random_)), "o"), id.str());
  }
  sweep_leftovers();
  EXPECT_EQ(files_with(removed.str()), std::vector<std::string>{});
  EXPECT_EQ(files_with(never.str()), std::vector<std::string>{});
  EXPECT_EQ(files_with(current.str()).size(), 1U);
}

}  // namespace mimeo::control
