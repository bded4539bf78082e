#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <thread>

#include "common/store/contract/retention_contract.h"
#include "common/store/postgres/postgres_store.h"
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
  std::int64_t count(const std::string& from) {
    pqxx::connection connection(dynamic_cast<PostgresUnderTest&>(*under_test_).database);
    pqxx::nontransaction transaction(connection);
    return transaction.exec("SELECT count(*) FROM " + from)[0][0].as<std::int64_t>();
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
  const WallTime then = now_ - std::chrono::hours(24 * 5);
  NewPrediction training = new_prediction();  // What no rule removes.
  training.id = Uuid::lowest_at(then);
  training.created_at = then;
  training.is_training = true;
  create(training);
  finish(finish_of(training.id, std::nullopt));
  for (int i = 0; i < 3; ++i) add_output(training.id, "s" + std::to_string(i), "abc"[i]);
  ASSERT_TRUE(maintenance().make_partitions(then, std::chrono::hours(1)).ok());
  Retention keep;
  keep.content = std::chrono::hours(48);
  keep.records = std::chrono::hours(24 * 30);
  ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  EXPECT_TRUE(view(training.id).data_removed);
  EXPECT_EQ(count("output_files") + count("contents"), 0);
  EXPECT_EQ(count("dead_blobs"), 3);
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
      const auto dead = files().list_dead_blobs(10'000);
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
