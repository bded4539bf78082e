// What holds for Postgres alone: reconnecting, partitions, plans, and that results never change.

#include <gtest/gtest.h>

#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include "common/store/contract/store_contract.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_fleet.h"
#include "common/store/postgres/statements_predictions.h"
#include "common/store/postgres/statements_reading.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

using testing_support::PrivatePostgres;

class PostgresUnderTest final : public StoreUnderTest {
 public:
  explicit PostgresUnderTest(std::string conninfo) : store_({.conninfo = std::move(conninfo)}) {}
  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }

 private:
  PostgresStore store_;
};

std::string database_of_test;  // Set by the factory; one test runs at a time.

class PostgresBehaviour : public StoreContract {
 protected:
  // Straight to the database, past the store.
  static pqxx::result sql(const std::string& text) {
    pqxx::connection connection(database_of_test);
    return pqxx::nontransaction(connection).exec(text);
  }
};

TEST_P(PostgresBehaviour, ResultsAreNeverUpdatedOrDeleted) {
  sql("CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN RAISE EXCEPTION 'results changed'; END $$;"
      "CREATE TRIGGER never BEFORE UPDATE OR DELETE ON results FOR EACH ROW "
      "EXECUTE FUNCTION never()");
  const PredictionId id = create_assigned();
  start(id, 1);
  EXPECT_EQ(finish(finish_of(id, 1)), FinishOutcome::kCommitted);
  EXPECT_EQ(finish(finish_of(id, 1)), FinishOutcome::kAlreadySame);
  EXPECT_EQ(finish(finish_of(id, 1, PredictionStatus::kFailed)), FinishOutcome::kSuperseded);
  EXPECT_EQ(predictions().cancel(id, 0, later())->outcome, CancelOutcome::kTerminal);
  EXPECT_EQ(view(id).status, PredictionStatus::kSucceeded);
}

TEST_P(PostgresBehaviour, AWebhookIsOwedByTheTransactionThatItTellsOf) {
  NewPrediction p = new_prediction();
  p.grant = grant();
  p.webhook = "https://example.com";
  p.webhook_events = 9;
  create(p);
  start(p.id, 1);
  EXPECT_EQ(
      sql("SELECT count(*) FROM webhook_outbox AS o JOIN active AS a ON a.id = o.prediction_id "
          "WHERE o.event = 1 AND o.xmin = a.xmin")[0][0]
          .as<int>(),
      1);
  finish(finish_of(p.id, 1));
  EXPECT_EQ(
      sql("SELECT count(*) FROM webhook_outbox AS o JOIN results AS r ON r.id = o.prediction_id "
          "WHERE o.event = 8 AND o.xmin = r.xmin")[0][0]
          .as<int>(),
      1);
}

TEST_P(PostgresBehaviour, NothingEndsWhoseWebhookCannotBeOwed) {
  NewPrediction p = new_prediction();
  p.grant = grant();
  p.webhook = "https://example.com";
  p.webhook_events = 8;
  create(p);
  sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN RAISE EXCEPTION 'outbox full'; END $$;"
      "CREATE TRIGGER refuse BEFORE INSERT ON webhook_outbox FOR EACH ROW "
      "EXECUTE FUNCTION refuse()");
  const Finish ended = finish_of(p.id, 1);
  EXPECT_FALSE(predictions().finish({&ended, 1}).ok());
  EXPECT_FALSE(is_terminal(view(p.id).status));
  sql("DROP TRIGGER refuse ON webhook_outbox");
  EXPECT_EQ(finish(ended), FinishOutcome::kCommitted);
  EXPECT_EQ(outbox().claim_due(10, std::chrono::minutes{1}, ids_.next())->size(), 1u);
}

TEST_P(PostgresBehaviour, ARestartOfTheServerCostsOneError) {
  const PredictionId before = create_queued();
  PrivatePostgres::shared().restart();
  const auto broken = predictions().get(before, 0);
  EXPECT_EQ(broken.status().code(), absl::StatusCode::kUnavailable) << broken.status();
  EXPECT_EQ(view(before).id, before) << "connected and prepared anew";
  EXPECT_EQ(finish(finish_of(before, std::nullopt)), FinishOutcome::kCommitted);
}

TEST_P(PostgresBehaviour, WithoutPartitionsNothingIsRefusedAndRowsMoveLater) {
  const WallTime future = now_ + std::chrono::hours{24 * 30};
  NewPrediction p = new_prediction();
  p.id = Uuid::lowest_at(future);
  p.created_at = future;
  p.idempotency_key = "k";
  EXPECT_EQ(create(p).outcome, CreateOutcome::kQueued);
  const auto in_default = [] {
    return sql("SELECT (SELECT count(*) FROM predictions_default) + (SELECT count(*) FROM "
               "payloads_default) + (SELECT count(*) FROM idempotency_default)")[0][0]
        .as<int>();
  };
  EXPECT_EQ(in_default(), 3);
  ASSERT_TRUE(maintenance().make_partitions(future, std::chrono::hours{24}).ok());
  EXPECT_EQ(in_default(), 0);
  EXPECT_EQ(view(p.id).input, p.input);
  EXPECT_EQ(create(p).outcome, CreateOutcome::kAlreadyExists);
  EXPECT_EQ(finish(finish_of(p.id, std::nullopt)), FinishOutcome::kCommitted);
}

// Which of the tables that grow with every prediction a line of a plan reads; "" for others.
std::string big_table_in(const std::string& line) {
  for (const char* table :
       {"active", "predictions", "results", "payloads", "idempotency", "instances"}) {
    if (line.find(std::string(" on ") + table) != std::string::npos) return table;
  }
  return "";
}

// A plan is made once per connection: also the one made while the tables were empty, and known to
// be so, must not read a large table whole.
TEST_P(PostgresBehaviour, PlansMadeOnEmptyTablesGoByKeys) {
  sql("VACUUM ANALYZE");
  Connection connection({.conninfo = database_of_test});
  pqxx::nontransaction transaction(connection.raw());
  for (const Statement& statement :
       {kCreate, kFindExisting, kAssign, kMarkStarted, kFinish, kRequeue, kViews, kWhyNotFinished,
        kCancelLook, kCancelWish, kMarkOutputSeen, kGetInput, kWhichAreTerminal,
        kUpdateInstances}) {
    const std::string text = statement.text;
    int parameters = 0;
    while (text.find("$" + std::to_string(parameters + 1) + "::") != std::string::npos) {
      ++parameters;
    }
    std::string nulls = "NULL";
    for (int i = 1; i < parameters; ++i) nulls += ", NULL";
    transaction.exec("PREPARE s AS " + text);
    std::string above;
    for (const auto& row : transaction.exec("EXPLAIN EXECUTE s (" + nulls + ")")) {
      const std::string line = row[0].c_str();
      if (!big_table_in(line).empty()) {
        EXPECT_EQ(line.find("Seq Scan"), std::string::npos) << statement.name << line;
      }
      if (!big_table_in(above).empty() && above.find("Scan using") != std::string::npos) {
        EXPECT_NE(line.find("Index Cond"), std::string::npos) << statement.name << above;
      }
      above = line;
    }
    transaction.exec("DEALLOCATE s");
  }
}

TEST_P(PostgresBehaviour, UpdatesOfActiveRowsStayInTheirPage) {
  std::vector<NewPrediction> created;
  std::vector<Assignment> assigned;
  for (int i = 0; i < 256; ++i) {
    created.push_back(new_prediction());
    assigned.push_back(assignment(created.back().id));
  }
  const auto pages = [] { return sql("SELECT pg_relation_size('active') / 8192")[0][0].as<int>(); };
  ASSERT_TRUE(predictions().create(created).ok());
  const int before = pages();
  ASSERT_TRUE(predictions().assign(fence_, assigned).ok());
  EXPECT_EQ(pages(), before);
}

TEST_P(PostgresBehaviour, AViolatedKeySaysSo) {
  Account again = account_;
  EXPECT_EQ(catalog().create_account(again).status().code(), absl::StatusCode::kAlreadyExists);
}

StoreKind postgres() {
  return {"postgres", [] {
            database_of_test = PrivatePostgres::shared().make_database();
            return std::make_unique<PostgresUnderTest>(database_of_test);
          }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, PostgresBehaviour, testing::Values(postgres()));

}  // namespace mimeo::store
