// Removal as it is in a whole control plane: a real database, real files, and a look at everything
// that could still have the data.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/blobs/blob_key.h"
#include "common/blobs/local_blobs.h"
#include "common/crypto/crypto.h"
#include "common/store/postgres/postgres_store.h"
#include "control-plane/event_hub.h"
#include "control-plane/public_links.h"
#include "control-plane/recent_predictions.h"
#include "control-plane/sweeper.h"
#include "control-plane/testing/test_loop.h"
#include "tests/support/database_look.h"
#include "tests/support/private_postgres.h"

namespace mimeo::control {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::seconds;
using testing_support::PrivatePostgres;

constexpr const char* kSecretText = "what nobody may find again";

class SweeperTest : public testing::Test {
 protected:
  SweeperTest()
      : folder_(fs::temp_directory_path() / ("mimeo-sweeper-" + ids_.next().str())),
        blobs_(*blobs::LocalBlobs::open_directory(folder_)),
        hub_(make_event_hub(loop_.executor(), clock_)),
        recent_(clock_) {
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
  ~SweeperTest() override { fs::remove_all(folder_); }

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
    auto writer = *blobs_->create(key);
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
  Sweeper make_sweeper() {
    return Sweeper(SweeperParts{store_,
                                store_,
                                store_,
                                *blobs_,
                                pool_,
                                clock_,
                                {[this](std::span<const PredictionId> ids) {
                                  told_.insert(told_.end(), ids.begin(), ids.end());
                                  return absl::OkStatus();
                                }},
                                [this](PredictionId id) {
                                  recent_.forget(id);
                                  hub_->forget(id);
                                }});
  }
  void sweep() {
    Sweeper sweeper = make_sweeper();
    const Status status = loop_.run(sweeper.sweep());
    EXPECT_TRUE(status.ok()) << status;
  }
  void sweep_leftovers() {
    Sweeper sweeper = make_sweeper();
    const Status status = loop_.run(sweeper.sweep_leftovers());
    EXPECT_TRUE(status.ok()) << status;
  }

  std::vector<std::string> rows_with(const std::string& text) {
    return testing_support::rows_with(database_, text);
  }
  std::vector<std::string> files_with(const std::string& text) {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string content{std::istreambuf_iterator<char>(in), {}};
      if (content.find(text) != std::string::npos) found.push_back(entry.path());
    }
    return found;
  }

  TestLoop loop_;
  FakeClock clock_{SystemClock().now()};
  SystemRandom random_;
  IdGenerator ids_{clock_, random_};
  const std::string database_ = PrivatePostgres::shared().make_database();
  store::PostgresStore store_{{.conninfo = database_}};
  const fs::path folder_;
  std::unique_ptr<blobs::LocalBlobs> blobs_;
  std::unique_ptr<EventHub> hub_;
  RecentPredictions recent_;
  BlockingPool pool_{1};
  AccountId account_ = 0;
  ModelId model_ = 0;
  VersionId version_;
  TargetId target_ = 0;
  std::vector<PredictionId> told_;
};

TEST_F(SweeperTest, AfterItsTimeNothingOfAPredictionIsLeftAnywhere) {
  const PredictionId id = ended();
  ASSERT_EQ(rows_with(kSecretText).size(), 4U) << "input twice, output, logs";
  ASSERT_EQ(files_with(kSecretText).size(), 1U);
  ASSERT_NE(recent_.find(id), nullptr);
  ASSERT_TRUE(hub_->state(id).has_value());

  clock_.advance(seconds(3599));
  sweep();
  EXPECT_EQ(rows_with(kSecretText).size(), 4U) << "not a moment too early";
  EXPECT_EQ(files_with(kSecretText).size(), 1U);

  clock_.advance(seconds(1));
  sweep();
  EXPECT_EQ(rows_with(kSecretText), std::vector<std::string>{});
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
  EXPECT_EQ(recent_.find(id), nullptr);
  EXPECT_FALSE(hub_->state(id).has_value());
  EXPECT_EQ(told_, std::vector<PredictionId>{id});
  const store::PredictionView view = *store_.get(id, account_);
  EXPECT_TRUE(view.data_removed);
  EXPECT_EQ(view.status, PredictionStatus::kSucceeded);
  for (const char* table : {"payloads", "output_files", "contents", "dead_blobs", "removals"}) {
    const auto count =
        testing_support::look(database_, std::string("SELECT count(*) FROM ") + table);
    EXPECT_EQ(count.at(0), "0") << table;
  }
}

TEST_F(SweeperTest, MoreThanOneBatchGoesInOneSweep) {
  for (int i = 0; i < 250; ++i) ended();
  clock_.advance(hours(1));
  sweep();
  EXPECT_EQ(rows_with(kSecretText), std::vector<std::string>{});
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
}

TEST_F(SweeperTest, AnExampleKeepsEverything) {
  const PredictionId id = ended();
  ASSERT_TRUE(store_.keep_prediction(id).ok());
  clock_.advance(hours(24 * 30));
  sweep();
  EXPECT_EQ(rows_with(kSecretText).size(), 4U);
  EXPECT_EQ(files_with(kSecretText).size(), 1U);
}

TEST_F(SweeperTest, AnUploadGoesWhenItExpires) {
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
TEST_F(SweeperTest, WhatOneSweepCouldNotRemoveTheNextOneDoes) {
  ended();
  clock_.advance(hours(1));
  ASSERT_TRUE(store_.remove_data(*store_.list_due(clock_.now(), 10)).ok());
  ASSERT_EQ(files_with(kSecretText).size(), 1U);
  sweep();
  EXPECT_EQ(files_with(kSecretText), std::vector<std::string>{});
}

TEST_F(SweeperTest, BlobsOfUploadsThatNeverEndedGoAfterADay) {
  const PredictionId id = ended();
  const std::string lost = put(blobs::content_key(ids_.next()), "lost");
  sweep_leftovers();
  EXPECT_TRUE(blobs_->open(lost).ok()) << "its row may still come";
  clock_.advance(hours(25));
  const std::string young = put(blobs::content_key(ids_.next()), "young");
  sweep_leftovers();
  EXPECT_TRUE(absl::IsNotFound(blobs_->open(lost).status()));
  EXPECT_TRUE(blobs_->open(young).ok());
  EXPECT_EQ(files_with(kSecretText).size(), 1U) << "of " << id.str() << ", which nobody swept";
}

TEST_F(SweeperTest, OutputsFromBeforeTheyHadRowsGoWithTheirPrediction) {
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

}  // namespace
}  // namespace mimeo::control
