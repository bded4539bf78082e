// The UsageStore part of PostgresStore.

#include <algorithm>

#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/meters.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_usage.h"

namespace mimeo::store {
namespace {

using std::chrono::milliseconds;

// Instances are ordered by clocks that may differ by less than this.
constexpr std::chrono::hours kClocksDiffer{1};
// How far below the newest meter old ones are forgotten: those above it may be asked for. Far more
// than clocks differ.
constexpr std::chrono::hours kMetersKept{48};
constexpr std::int64_t kMetersPerStep = 5000;
// Metering waits for nobody and nobody waits for it: it may take longer than a request may.
constexpr const char* kMeteringSession =
    "SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '2s'";
// As may what operators ask of all accounts.
constexpr const char* kOperatorSession = "SET LOCAL statement_timeout = '60s'";

PhaseTimes times_of(RowReader& reader) {
  PhaseTimes times;
  times.setup = milliseconds(reader.integer());
  times.idle = milliseconds(reader.integer());
  times.active = milliseconds(reader.integer());
  return times;
}

UsageLine usage_line_of(const pqxx::row& row) {
  RowReader reader(row);
  UsageLine line;
  line.begin = reader.maybe_time();
  line.account = reader.text();
  line.sku = reader.text();
  line.model = reader.text();
  line.deployment = reader.text();
  if (const auto kind = reader.maybe_integer()) line.kind = static_cast<UsageKind>(*kind);
  line.time = times_of(reader);
  line.amount.setup = reader.integer();
  line.amount.idle = reader.integer();
  line.amount.active = reader.integer();
  line.predictions = reader.integer();
  line.ran = milliseconds(reader.integer());
  return line;
}

PredictionUsage prediction_usage_of(const pqxx::row& row) {
  RowReader reader(row);
  PredictionUsage usage;
  usage.id = reader.uuid();
  usage.created_at = reader.time();
  usage.started_at = reader.maybe_time();
  usage.completed_at = reader.time();
  usage.status = reader.integer_as<PredictionStatus>();
  usage.is_training = reader.boolean();
  usage.model = reader.text();
  usage.deployment = reader.text();
  usage.sku = reader.text();
  usage.ran = milliseconds(reader.integer());
  usage.is_charged = reader.boolean();
  usage.amount = reader.integer();
  return usage;
}

// When the newest metered instance was ordered.
std::optional<WallTime> newest_meter(Connection& connection, pqxx::transaction_base& transaction) {
  const pqxx::result newest = connection.run_in(transaction, kNewestMeter);
  if (newest.empty()) return std::nullopt;
  return RowReader(newest[0]).uuid().created_at();
}

void begin_meters(Connection& connection, pqxx::transaction_base& transaction) {
  const std::optional<WallTime> newest = newest_meter(connection, transaction);
  const Uuid from = newest ? Uuid::lowest_at(*newest - kClocksDiffer) : Uuid();
  connection.run_in(transaction, kBeginMeters, from.hex());
}

pqxx::result usage_lines(Connection& connection, pqxx::transaction_base& transaction,
                         const UsageQuery& query) {
  const UsageGrouping& by = query.grouping;
  const UsageLine after = query.after.value_or(UsageLine{});
  const auto list = [&](const Statement& statement, auto... account) {
    return connection.run_in(transaction, statement, sql_time(query.from), sql_time(query.to),
                             static_cast<int>(by.step), by.by_account, by.by_hardware, by.by_model,
                             by.by_deployment, by.by_kind, static_cast<std::int64_t>(query.limit),
                             query.after.has_value(), sql_time(after.begin), after.account,
                             after.sku, after.model, after.deployment,
                             after.kind ? static_cast<int>(*after.kind) : -1, account...);
  };
  return query.account ? list(kListUsageOfAccount, *query.account) : list(kListUsage);
}

}  // namespace

void forget_meters(Connection& connection, WallTime ended_before) {
  WallTime begun_before = ended_before;
  while (true) {
    pqxx::work transaction(connection.raw());
    const std::optional<WallTime> newest = newest_meter(connection, transaction);
    if (!newest) return;
    begun_before = std::min(begun_before, *newest - kMetersKept);
    const pqxx::result gone =
        connection.run_in(transaction, kForgetMeters, Uuid::lowest_at(begun_before).hex(),
                          sql_time(ended_before), kMetersPerStep);
    transaction.commit();
    if (static_cast<std::int64_t>(gone.affected_rows()) < kMetersPerStep) return;
  }
}

Result<Metered> PostgresStore::meter(WallTime now, std::size_t max_predictions) {
  return pool_->with("metering", [&](Connection& connection) -> Result<Metered> {
    Metered metered;
    pqxx::work transaction(connection.raw());
    transaction.exec(kMeteringSession);
    if (!connection.run_in(transaction, kLockMetering)[0][0].as<bool>()) {
      metered.was_busy = true;
      return metered;
    }
    connection.run_in(transaction, kTakeEarlier);
    begin_meters(connection, transaction);
    const pqxx::row taken =
        connection.run_in(transaction, kTakePending, static_cast<std::int64_t>(max_predictions))[0];
    RowReader ended(taken);
    metered.predictions = ended.integer();
    metered.ran = milliseconds(ended.integer());
    const pqxx::row row = connection.run_in(transaction, kMeterInstances, sql_time(now))[0];
    RowReader lives(row);
    metered.instances = times_of(lives);
    metered.has_more =
        lives.boolean() || metered.predictions == static_cast<std::int64_t>(max_predictions);
    transaction.commit();
    return metered;
  });
}

Status PostgresStore::seal_usage(WallTime before) {
  return pool_->with("sealing usage", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    transaction.exec(kMeteringSession);
    if (!connection.run_in(transaction, kLockMetering)[0][0].as<bool>()) return absl::OkStatus();
    connection.run_in(transaction, kSealUsage, sql_time(before));
    transaction.commit();
    return absl::OkStatus();
  });
}

Result<std::vector<UsageLine>> PostgresStore::list_usage(const UsageQuery& query) {
  using Answer = Result<std::vector<UsageLine>>;
  return pool_->with("reading usage", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    if (!query.account) transaction.exec(kOperatorSession);
    std::vector<UsageLine> lines;
    for (const pqxx::row& row : usage_lines(connection, transaction, query)) {
      lines.push_back(usage_line_of(row));
    }
    return lines;
  });
}

Result<std::vector<PredictionUsage>> PostgresStore::list_prediction_usage(
    const PredictionUsageQuery& query) {
  using Answer = Result<std::vector<PredictionUsage>>;
  return pool_->with("reading usage of predictions", [&](Connection& connection) -> Answer {
    Uuid end = Uuid::lowest_at(query.to);
    if (!query.before.is_nil() && query.before < end) end = query.before;
    std::vector<PredictionUsage> page;
    for (const pqxx::row& row :
         connection.run(kListPredictionUsage, query.account, Uuid::lowest_at(query.from).hex(),
                        end.hex(), static_cast<std::int64_t>(query.limit))) {
      page.push_back(prediction_usage_of(row));
    }
    return page;
  });
}

Result<std::vector<Price>> PostgresStore::list_prices(std::string_view sku) {
  using Answer = Result<std::vector<Price>>;
  return pool_->with("reading prices", [&](Connection& connection) -> Answer {
    std::vector<Price> prices;
    for (const pqxx::row& row : connection.run(kListPrices, std::string(sku))) {
      RowReader reader(row);
      Price price;
      price.since = reader.maybe_time();
      price.micros_per_second = reader.integer();
      prices.push_back(price);
    }
    return prices;
  });
}

Result<Spend> PostgresStore::get_spend(AccountId account, WallTime now) {
  return pool_->with("reading what was spent", [&](Connection& connection) -> Result<Spend> {
    const pqxx::row row =
        connection.run(kGetSpend, account, sql_time(month_begin(now)), sql_time(month_end(now)))[0];
    RowReader reader(row);
    Spend spend;
    spend.limits.by_operator = reader.maybe_integer();
    spend.limits.by_account = reader.maybe_integer();
    spend.spent = reader.integer();
    return spend;
  });
}

Result<bool> PostgresStore::is_limit_reached(AccountId account, WallTime now) {
  return pool_->with("reading what was spent", [&](Connection& connection) -> Result<bool> {
    const pqxx::result rows = connection.run(kIsLimitReached, account, sql_time(month_begin(now)),
                                             sql_time(month_end(now)));
    return !rows.empty() && rows[0][0].as<bool>();
  });
}

Status PostgresStore::set_spend_limit(AccountId account, LimitSetter setter,
                                      std::optional<std::int64_t> micros) {
  return pool_->with("setting a spend limit", [&](Connection& connection) -> Status {
    const pqxx::result rows =
        connection.run(kSetSpendLimit, account, setter == LimitSetter::kOperator, micros);
    return rows.empty() ? absl::NotFoundError("no such account") : absl::OkStatus();
  });
}

Result<std::int64_t> PostgresStore::pause_deployments(WallTime now, Pausing pausing) {
  using Answer = Result<std::int64_t>;
  return pool_->with("pausing deployments", [&](Connection& connection) -> Answer {
    const pqxx::result result =
        connection.run(kPauseDeployments, pausing == Pausing::kPauseAndResume,
                       sql_time(month_begin(now)), sql_time(month_end(now)));
    return static_cast<std::int64_t>(result.affected_rows());
  });
}

}  // namespace mimeo::store
