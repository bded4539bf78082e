#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include "common/store/contract/billing_contract.h"
#include "common/store/postgres/advisory_locks.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_usage.h"
#include "migrations/migrations.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

class PostgresWithUsage final : public StoreWithUsage {
 public:
  PostgresWithUsage() : store_({.conninfo = database}) {}
  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }
  UsageStore& usage() override { return store_; }
  TrainingStore& trainings() override { return store_; }

  const std::string database = testing_support::PrivatePostgres::shared().make_database();

 private:
  PostgresStore store_;
};

StoreKind postgres() {
  return {"postgres", [] { return std::make_unique<PostgresWithUsage>(); }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, UsageContract, testing::Values(postgres()));
INSTANTIATE_TEST_SUITE_P(Postgres, BillingContract, testing::Values(postgres()));

// Looks into the tables, past the store.
class UsageTables : public UsageContract {
 protected:
  const std::string& database() { return dynamic_cast<PostgresWithUsage&>(*under_test_).database; }
  pqxx::result sql(const std::string& text) {
    pqxx::connection connection(database());
    return pqxx::nontransaction(connection).exec(text);
  }
  // How a connection of the store would run it, line by line. `options`: of EXPLAIN.
  std::vector<std::string> plan_of(Connection& connection, const Statement& statement,
                                   const std::string& options, const std::string& parameters) {
    pqxx::nontransaction transaction(connection.raw());
    transaction.exec(std::string("PREPARE s AS ") + statement.text);
    std::vector<std::string> lines;
    for (const auto& row :
         transaction.exec("EXPLAIN " + options + " EXECUTE s (" + parameters + ")")) {
      lines.emplace_back(row[0].c_str());
    }
    transaction.exec("DEALLOCATE s");
    return lines;
  }
  // The first line with `word` and the one below it.
  static std::string around(const std::vector<std::string>& plan, const std::string& word) {
    for (std::size_t i = 0; i < plan.size(); ++i) {
      if (plan[i].find(word) == std::string::npos) continue;
      return plan[i] + (i + 1 < plan.size() ? plan[i + 1] : "");
    }
    return "";
  }
};

INSTANTIATE_TEST_SUITE_P(Postgres, UsageTables, testing::Values(postgres()));

TEST_P(UsageTables, ReadingOneAccountsUsageReadsItsHoursOnly) {
  const std::string of_account =
      "'2026-05-01', '2026-06-01', 2, false, true, false, false, false, 10, false, NULL, '', '', "
      "'', '', -1, 7";
  const std::string of_all =
      "'2026-05-01', '2026-06-01', 2, true, true, false, false, false, 10, false, NULL, '', '', "
      "'', '', -1";
  const auto check = [&] {
    Connection connection({.conninfo = database()});
    const std::string own =
        around(plan_of(connection, kListUsageOfAccount, "", of_account), " on usage_totals");
    EXPECT_NE(own.find("usage_totals_pkey"), std::string::npos) << own;
    EXPECT_NE(own.find("(account_id = "), std::string::npos) << own;
    EXPECT_NE(own.find("(hour >= "), std::string::npos) << own;
    const std::string all = around(plan_of(connection, kListUsage, "", of_all), " on usage_totals");
    EXPECT_NE(all.find("usage_totals_hour"), std::string::npos) << all;
    EXPECT_NE(all.find("Index Cond"), std::string::npos) << all;
    const std::string month = around(
        plan_of(connection, kGetSpend, "", "7, '2026-05-01', '2026-06-01'"), " on usage_totals");
    EXPECT_NE(month.find("(account_id = "), std::string::npos) << month;
    EXPECT_NE(month.find("(hour >= "), std::string::npos) << month;
  };
  check();  // Connections keep the plans that they made while there was nothing.
  sql("INSERT INTO usage_totals SELECT a, timestamptz '2026-01-01' + h * interval '1 hour', 'cpu', "
      "1, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1 FROM generate_series(1, 50) AS a, "
      "generate_series(1, 4000) AS h");
  sql("VACUUM ANALYZE");
  check();
  Connection connection({.conninfo = database()});
  const std::string read =
      around(plan_of(connection, kListUsageOfAccount, "(ANALYZE)", of_account), " on usage_totals");
  EXPECT_NE(read.find("rows=744 "), std::string::npos) << "a month of hours: " << read;
}

TEST_P(UsageTables, WithoutALimitNoMonthIsSummedUp) {
  const std::string parameters = std::to_string(caller_.id) + ", '2026-05-01', '2026-06-01'";
  const auto sum = [&] {
    Connection connection({.conninfo = database()});
    return around(plan_of(connection, kIsLimitReached, "(ANALYZE)", parameters),
                  " on usage_totals");
  };
  EXPECT_NE(sum().find("never executed"), std::string::npos) << sum();
  ASSERT_EQ(usage().set_spend_limit(caller_.id, LimitSetter::kAccount, 1), absl::OkStatus());
  EXPECT_EQ(sum().find("never executed"), std::string::npos) << sum();
  ASSERT_EQ(usage().set_spend_limit(caller_.id, LimitSetter::kAccount, std::nullopt),
            absl::OkStatus());
  EXPECT_NE(sum().find("never executed"), std::string::npos) << sum();
}

TEST_P(UsageTables, MeteringDoesNotTakeTheLockOfAnythingElse) {
  pqxx::connection connection(database());
  pqxx::work other(connection);
  for (const char* lock : {MIMEO_LOCK_MIGRATIONS, MIMEO_LOCK_PARTITIONS}) {
    other.exec(std::string("SELECT pg_advisory_xact_lock(") + lock + ")");
  }
  EXPECT_FALSE(usage().meter(now_, 1)->was_busy);
  other.exec("SELECT pg_advisory_xact_lock(" MIMEO_LOCK_METERING ")");
  EXPECT_TRUE(usage().meter(now_, 1)->was_busy);
}

TEST_P(UsageTables, InstancesOfAnOlderReleaseArePaidAsThingsAreNow) {
  add_instance(target_, version_);
  add_instance(pool_of(public_version_), public_version_);
  const auto pool = trainings().ensure_training_pool(public_version_, "cpu", 4);
  ASSERT_TRUE(pool.ok()) << pool.status();
  const Account other = make_account("other");
  for (const AccountId account : {other.id, caller_.id}) {
    NewPrediction training = new_prediction();
    training.account = account;
    training.target = pool->id;
    training.model = public_model_.id;
    training.version = public_version_;
    training.is_training = true;
    training.destination = "caller/trained";
    const bool runs = account == other.id;
    if (runs) training.grant = grant();
    ASSERT_EQ(create(training).outcome, runs ? CreateOutcome::kAssigned : CreateOutcome::kQueued);
  }
  add_instance(*pool, public_version_);
  sql("UPDATE instances SET usage_kind = NULL, payer_id = NULL");
  meter(*maintenance().now() + minutes{5});
  EXPECT_GE(total(account_.id).time.setup, minutes{5});
  EXPECT_GE(total(kUnbilled).time.setup, minutes{5});
  EXPECT_GE(total(caller_.id).time.setup, minutes{5}) << "whose training waits";
  EXPECT_TRUE(lines(other.id).empty()) << "whose training runs already";
}

TEST_P(UsageTables, MetersAreForgottenWithTheRecordsOfTheirPredictions) {
  const auto make = [&](WallTime from, std::optional<WallTime> to) {
    InstanceRow row;
    row.id = Uuid::lowest_at(from);
    row.target = target_.id;
    row.version = version_;
    row.worker = worker_;
    row.sku = "cpu";
    ASSERT_EQ(fleet().insert_instances(fence_, {&row, 1}), absl::OkStatus());
    if (to) change(row.id, InstanceState::kStopped);
    sql("UPDATE instances SET created_at = '" + sql_time(from) + "', state_since = '" +
        sql_time(to.value_or(from)) + "' WHERE id = '" + row.id.hex() + "'");
  };
  const auto meters = [&] { return sql("SELECT count(*) FROM instance_meters")[0][0].as<int>(); };
  const auto forget = [&] {
    Retention keep;
    keep.records = hours{24 * 30};
    ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  };
  const WallTime long_ago = now_ - hours{24 * 35};
  make(long_ago, long_ago + hours{2});
  meter(now_);
  forget();
  EXPECT_EQ(meters(), 1) << "what is the newest tells metering where to go on";
  make(long_ago + hours{1}, now_ - hours{24 * 29});  // Lived for days.
  make(now_ - hours{1}, std::nullopt);
  meter(now_);
  forget();
  EXPECT_EQ(meters(), 3) << "its minutes are not sealed";
  ASSERT_EQ(usage().seal_usage(now_), absl::OkStatus());
  forget();
  EXPECT_EQ(meters(), 2);
  const UsageLine before = total(account_.id);
  meter(now_);
  EXPECT_EQ(meters(), 2) << "and not begun again";
  EXPECT_EQ(total(account_.id).time, before.time);
  EXPECT_EQ(before.time.total(), hours{2} + hours{24 * 6 - 1} + hours{1});
}

TEST_P(UsageTables, NoPriceIsOutOfItsRange) {
  const std::string insert = "INSERT INTO hardware_prices VALUES ('cpu', now(), ";
  EXPECT_THROW(sql(insert + "-1)"), pqxx::check_violation);
  EXPECT_THROW(sql(insert + "1000000001)"), pqxx::check_violation);
}

TEST(UsageMigration, PricesWithoutMeaningBecomeTheNearestThatHaveOne) {
  pqxx::connection connection(testing_support::PrivatePostgres::shared().make_empty_database());
  pqxx::nontransaction database(connection);
  for (const Migration& migration : migrations()) {
    if (migration.name == "0016_billing_terms") {
      for (const char* price : {"-5", "7", "2000000000"}) {
        database.exec(std::string("INSERT INTO hardware VALUES ('at ") + price +
                      "', '', 0, 0, 0, 0, 0, 0, " + price + ")");
        database.exec(std::string("INSERT INTO hardware_prices VALUES ('cpu', now() + interval '") +
                      price + " ms', " + price + ")");
      }
    }
    database.exec(std::string(migration.sql));
  }
  const auto ordered = [&](const std::string& column, const std::string& table) {
    std::vector<std::int64_t> prices;
    for (const auto& row : database.exec("SELECT " + column + " FROM " + table + " ORDER BY 1")) {
      prices.push_back(row[0].as<std::int64_t>());
    }
    return prices;
  };
  const std::vector<std::int64_t> expected{0, 7, kHighestPrice};
  EXPECT_EQ(ordered("price_micros_per_second", "hardware"), expected);
  EXPECT_EQ(ordered("micros_per_second", "hardware_prices"), expected);
}

}  // namespace mimeo::store
