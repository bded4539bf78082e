#include <atomic>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>
#include <string>
#include <thread>

#include "common/store/contract/retention_contract.h"
#include "common/store/postgres/postgres_store.h"
#include "migrations/migrations.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

class PostgresUnderTest final : public RetentionUnderTest {
 public:
  PostgresUnderTest() : store_({.conninfo = database}) {}

  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }
  FilesStore& files() override { return store_; }
  RetentionStore& retention() override { return store_; }

  const std::string database = testing_support::PrivatePostgres::shared().make_database();

 private:
  PostgresStore store_;
};

StoreKind postgres() {
  return {"postgres", [] { return std::make_unique<PostgresUnderTest>(); }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, RetentionContract, testing::Values(postgres()));

// Looks into the tables, past the store.
class RemovedFromTables : public RetentionContract {
 protected:
  std::string database() { return dynamic_cast<PostgresUnderTest&>(*under_test_).database; }
  std::string look(const std::string& statement) {
    pqxx::connection connection(database());
    pqxx::nontransaction transaction(connection);
    const pqxx::result rows = transaction.exec(statement);
    return rows.empty() ? "" : rows[0][0].c_str();
  }
  std::int64_t count(const std::string& from) {
    return std::stoll(look("SELECT count(*) FROM " + from));
  }
  // What no rule removes, so old that its partition may be dropped.
  PredictionId old_training() {
    const WallTime then = now_ - std::chrono::hours(24 * 5);
    NewPrediction training = new_prediction();
    training.id = Uuid::lowest_at(then);
    training.created_at = then;
    training.is_training = true;
    create(training);
    finish(finish_of(training.id, std::nullopt));
    EXPECT_TRUE(maintenance().make_partitions(then, std::chrono::hours(1)).ok());
    return training.id;
  }
  Result<std::int32_t> drop_old() {
    Retention keep;
    keep.content = std::chrono::hours(48);
    keep.records = std::chrono::hours(24 * 30);
    return maintenance().drop_expired(now_, keep);
  }
};

INSTANTIATE_TEST_SUITE_P(Postgres, RemovedFromTables, testing::Values(postgres()));

TEST_P(RemovedFromTables, NoRowWithContentIsLeft) {
  const PredictionId id = ended();
  add_output(id, "s1", 'a');
  add_output(id, "s2", 'b');
  const std::string of_it = " WHERE id = '" + id.hex() + "'";
  ASSERT_EQ(count("payloads" + of_it), 3) << "input, output, logs";
  ASSERT_EQ(count("removals" + of_it), 1);
  sweep(now_ + kApiDefault);
  EXPECT_EQ(count("payloads" + of_it), 0);
  EXPECT_EQ(count("output_files"), 0);
  EXPECT_EQ(count("contents"), 0);
  EXPECT_EQ(count("removals" + of_it), 0);
  EXPECT_EQ(count("dead_blobs"), 2);
  EXPECT_EQ(count("results" + of_it), 1) << "the record stays";
}

TEST_P(RemovedFromTables, AnEmptyPartitionOfContentGoesLongBeforeItsTime) {
  const WallTime then = now_ - std::chrono::hours(24 * 5);
  const auto old_one = [&](std::chrono::hours after) {
    NewPrediction p = new_prediction();
    p.id = Uuid::lowest_at(then + after);
    p.created_at = then + after;
    create(p);
    finish(finish_of(p.id, std::nullopt));
    return p.id;
  };
  const PredictionId full = old_one(std::chrono::hours(0));
  ASSERT_TRUE(maintenance().make_partitions(then, std::chrono::hours(24)).ok());
  Retention keep;
  keep.content = keep.records = std::chrono::hours(24 * 30);
  const std::string partitions = "pg_inherits WHERE inhparent = 'payloads'::regclass";
  const std::int64_t before = count(partitions);
  ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  EXPECT_LT(count(partitions), before);
  EXPECT_FALSE(view(full).data_removed) << "its partition is not empty";
}

TEST_P(RemovedFromTables, ContentThatIsTooOldTakesItsOutputFilesAlong) {
  const PredictionId training = old_training();
  for (int i = 0; i < 3; ++i) add_output(training, "s" + std::to_string(i), "abc"[i]);
  ASSERT_TRUE(drop_old().ok());
  EXPECT_TRUE(view(training).data_removed);
  EXPECT_EQ(count("output_files") + count("contents"), 0);
  EXPECT_EQ(count("dead_blobs"), 3);
}

TEST_P(RemovedFromTables, WhatBreaksOffWhileOldContentGoesIsDoneTheNextTime) {
  const PredictionId training = old_training();
  for (int i = 0; i < 3; ++i) add_output(training, "s" + std::to_string(i), "abc"[i]);
  look(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$");
  look(
      "CREATE TRIGGER refuses BEFORE DELETE ON output_files FOR EACH ROW "
      "EXECUTE FUNCTION refuse()");
  EXPECT_FALSE(drop_old().ok());
  EXPECT_EQ(count("output_files"), 3);
  look("DROP TRIGGER refuses ON output_files");
  ASSERT_TRUE(drop_old().ok());
  EXPECT_TRUE(view(training).data_removed);
  EXPECT_EQ(count("output_files") + count("contents"), 0);
  EXPECT_EQ(count("dead_blobs"), 3);
}

TEST_P(RemovedFromTables, NothingWaitsForTheRemovalOfContentThatIsGone) {
  const PredictionId id = ended();
  ASSERT_TRUE(retention().set_keep_rule(account_.id, PredictionSource::kApi, std::nullopt).ok());
  ASSERT_EQ(count("removals WHERE due_at = 'infinity'"), 1);
  Retention keep;
  keep.content = std::chrono::hours(0);
  ASSERT_TRUE(maintenance().drop_expired(now_ + std::chrono::hours(24 * 3), keep).ok());
  EXPECT_TRUE(view(id).data_removed);
  EXPECT_EQ(count("removals"), 0);
}

TEST_P(RemovedFromTables, OnlyWhatWasRemovedIsAnswered) {
  const PredictionId id = ended();
  const PredictionId other = ended();
  const auto due = retention().list_due(now_ + kApiDefault, 100);
  ASSERT_EQ(due->size(), 2U);
  look("DELETE FROM payloads WHERE id = '" + id.hex() + "'");
  EXPECT_EQ(*retention().remove_data(*due), Ids{other});
  EXPECT_EQ(count("removals"), 0);
}

TEST_P(RemovedFromTables, ARuleReachesWhatEndsWhileItChanges) {
  ended();
  pqxx::connection connection(database());
  pqxx::work ending(connection);
  // Its statement saw the rule from before.
  ending.exec(
      "INSERT INTO removals (due_at, id, account_id, source, completed_at) SELECT due_at, '" +
      ids_.next().hex() + "', account_id, source, completed_at FROM removals");
  std::atomic<bool> is_done = false;
  std::thread changing([&] {
    EXPECT_EQ(retention().set_keep_rule(account_.id, PredictionSource::kApi, std::chrono::hours(5)),
              absl::OkStatus());
    is_done = true;
  });
  const std::string waiting =
      "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = "
      "current_database()";
  while (!is_done && look(waiting) == "0") std::this_thread::yield();
  EXPECT_FALSE(is_done) << "it waits for what is ending";
  EXPECT_EQ(look("SELECT seconds FROM retention WHERE account_id <> 0"), "18000")
      << "the rule counts before all is moved";
  ended();  // Nothing else waits meanwhile.
  ending.commit();
  changing.join();
  EXPECT_EQ(count("removals WHERE due_at = completed_at + interval '5 hours'"), 3);
}

TEST_P(RemovedFromTables, ARuleReachesAllHoweverManyTheyAre) {
  const Account other = make_account("other");
  ended();
  look(
      "INSERT INTO removals (due_at, id, account_id, source, completed_at) "
      "SELECT now(), gen_random_uuid(), " +
      std::to_string(account_.id) +
      " + n % 2 * 1000, n % 3 / 2, now() FROM generate_series(1, 9000) AS n");
  look(
      "INSERT INTO removals (due_at, id, account_id, source, completed_at) "
      "SELECT now(), gen_random_uuid(), " +
      std::to_string(other.id) + ", 0, now() FROM generate_series(1, 3000) AS n");
  const auto set = [this](AccountId account, int hours) {
    EXPECT_EQ(retention().set_keep_rule(account, PredictionSource::kApi, std::chrono::hours(hours)),
              absl::OkStatus());
  };
  const std::string wrong =
      "removals WHERE source = 0 AND due_at <> completed_at + interval '1 hour' * CASE account_id ";
  set(other.id, 7);
  EXPECT_EQ(count("removals WHERE account_id = " + std::to_string(other.id) +
                  " AND due_at <> completed_at + interval '7 hours'"),
            0);
  set(0, 2);
  EXPECT_EQ(count(wrong + "WHEN " + std::to_string(other.id) + " THEN 7 ELSE 2 END"), 0);
  EXPECT_EQ(count("removals WHERE source = 1 AND due_at <> completed_at"), 0);
  EXPECT_EQ(retention().reset_keep_rule(other.id, PredictionSource::kApi), absl::OkStatus());
  EXPECT_EQ(count(wrong + "WHEN 0 THEN 0 ELSE 2 END"), 0);
}

TEST_P(RemovedFromTables, AnUploadFromBeforeContentsIsSharedToo) {
  const PredictionId id = ended();
  const FileId upload = ids_.next();
  look(
      "INSERT INTO files (id, account_id, name, content_type, size_bytes, sha256_hex, md5_hex, "
      "metadata, created_at) VALUES ('" +
      upload.hex() + "', " + std::to_string(account_.id) + ", 'old', 'a/b', 3, '" +
      std::string(64, 'e') + "', 'm', '{}', now())");
  OutputFile shared = output_of(id, "s1");
  ASSERT_EQ(files().share_upload(upload, account_.id, shared), absl::OkStatus());
  EXPECT_EQ(files().get_output(id, "s1", "out.png")->blob_key, "files/" + upload.str());
  ASSERT_EQ(files().delete_file(upload, account_.id), absl::OkStatus());
  EXPECT_EQ(count("dead_blobs"), 0);
  sweep(now_ + kApiDefault);
  EXPECT_EQ(look("SELECT blob_key FROM dead_blobs"), "files/" + upload.str());
}

// Who was kept, released and kept again had two places.
TEST(RemovalsMigration, LeavesEachPredictionThePlaceThatIsDueFirst) {
  pqxx::connection connection(testing_support::PrivatePostgres::shared().make_empty_database());
  pqxx::work work(connection);
  for (const Migration& migration : migrations()) {
    if (migration.number == 17) {
      work.exec(
          "INSERT INTO removals SELECT make_timestamptz(2030, month, 1, 0, 0, 0), id, 1, 0, now() "
          "FROM generate_series(1, 3) AS month, (VALUES "
          "('00000000-0000-0000-0000-000000000001'::uuid), "
          "('00000000-0000-0000-0000-000000000002'::uuid)) AS v(id) "
          "WHERE month > 1 OR id::text LIKE '%1'");
      work.exec("INSERT INTO contents (sha256, blob_key, size_bytes) VALUES ('x', 'k', 1)");
      work.exec(
          "INSERT INTO output_files (prediction_id, secret, filename, content, md5_hex, "
          "created_at) "
          "VALUES (gen_random_uuid(), 's', 'a.png', 'x', 'm', now())");
    }
    work.exec(std::string(migration.sql));
  }
  const pqxx::result left =
      work.exec("SELECT extract(month FROM due_at)::int FROM removals ORDER BY id");
  ASSERT_EQ(left.size(), 2);
  EXPECT_EQ(left[0][0].as<int>(), 1);
  EXPECT_EQ(left[1][0].as<int>(), 2);
  EXPECT_STREQ(work.exec("SELECT content_type FROM output_files")[0][0].c_str(), "");
}

// Many uploads of one content while its last references go, again and again: no file ever refers
// to a blob that is dead, and no content is left without a reference.
TEST_P(RemovedFromTables, ContentIsNeverDeletedUnderAFileThatRefersToIt) {
  constexpr int kRounds = 60;
  const auto work = [this](int worker) {
    SystemClock clock;
    SystemRandom random;
    IdGenerator ids(clock, random);
    for (int i = 0; i < kRounds; ++i) {
      File file;
      file.id = ids.next();
      file.account = 1;
      file.sha256_hex = std::string(64, 'e');
      file.md5_hex = std::string(32, 'e');
      file.created_at = clock.now();
      file.blob_key = "content/" + std::to_string(worker) + "-" + std::to_string(i);
      ASSERT_EQ(files().create_file(file), absl::OkStatus());
      const auto read = files().get_file(file.id, 1, clock.now());
      ASSERT_TRUE(read.ok()) << read.status();
      const std::vector<std::string> key{read->blob_key};
      const auto dead = files().list_dead_blobs("", 10'000);
      ASSERT_TRUE(dead.ok());
      ASSERT_EQ(std::count(dead->begin(), dead->end(), read->blob_key), 0) << read->blob_key;
      ASSERT_EQ(files().delete_file(file.id, 1), absl::OkStatus());
    }
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back(work, i);
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(count("contents"), 0);
  EXPECT_EQ(count("dead_blobs"), 4 * kRounds) << "every copy that was brought";
}

}  // namespace mimeo::store
