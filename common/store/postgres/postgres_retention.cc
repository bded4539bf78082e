// The RetentionStore part of PostgresStore.

#include <pqxx/transaction>

#include "common/store/postgres/batch.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/contents.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_retention.h"

namespace mimeo::store {
namespace {

std::int64_t number_of(PredictionSource source) { return static_cast<std::int64_t>(source); }

KeepFor keep_of(std::optional<std::int64_t> seconds) {
  if (!seconds) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

// Those that still are in the queue with that due time and are not kept, taken out of it.
std::vector<Uuid> take_removals(Connection& connection, pqxx::transaction_base& transaction,
                                std::span<const DueRemoval> due) {
  SqlArray at, id;
  for (const DueRemoval& removal : due) {
    at.add(removal.due_at);
    id.add(removal.id);
  }
  std::vector<Uuid> taken;
  for (const pqxx::row& row : connection.run_in(transaction, kTakeRemovals, at.take(), id.take())) {
    taken.push_back(RowReader(row).uuid());
  }
  return taken;
}

}  // namespace

Result<KeepRules> PostgresStore::get_keep_rules(AccountId account) {
  using Answer = Result<KeepRules>;
  return pool_->with("reading retention", [&](Connection& connection) -> Answer {
    KeepRules rules;
    for (const pqxx::row& row : connection.run(kGetKeepRules, account)) {
      RowReader reader(row);
      const bool is_own = reader.integer() != 0;
      const bool is_web = reader.integer() == number_of(PredictionSource::kWeb);
      bool& has_own = is_web ? rules.has_own_web : rules.has_own_api;
      if (has_own && !is_own) continue;
      has_own = is_own;
      (is_web ? rules.web : rules.api) = keep_of(reader.maybe_integer());
    }
    return rules;
  });
}

Status PostgresStore::set_keep_rule(AccountId account, PredictionSource source, KeepFor keep) {
  if (keep && *keep < kShortestKeep) {
    return absl::InvalidArgumentError("data is kept for at least 300 seconds");
  }
  return pool_->with("setting retention", [&](Connection& connection) -> Status {
    std::optional<std::int64_t> seconds;
    if (keep) seconds = keep->count();
    pqxx::work transaction(connection.raw());
    connection.run_in(transaction, kSetKeepRule, account, number_of(source), seconds);
    connection.run_in(transaction, kMoveRemovals, account, number_of(source));
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::reset_keep_rule(AccountId account, PredictionSource source) {
  if (account == 0) return absl::InvalidArgumentError("the operator's rule cannot be reset");
  return pool_->with("setting retention", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    connection.run_in(transaction, kResetKeepRule, account, number_of(source));
    connection.run_in(transaction, kMoveRemovals, account, number_of(source));
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::keep_prediction(PredictionId id) {
  return pool_->with("keeping a prediction", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    const pqxx::row row = connection.run_in(transaction, kLockData, id.hex())[0];
    if (!row[0].as<bool>()) return absl::NotFoundError("no such prediction");
    if (!row[1].as<bool>()) {
      return absl::FailedPreconditionError("the prediction's data was removed");
    }
    connection.run_in(transaction, kKeepPrediction, id.hex());
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::release_prediction(PredictionId id) {
  return pool_->with("releasing a prediction", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    connection.run_in(transaction, kReleasePrediction, id.hex());
    connection.run_in(transaction, kRenewRemoval, id.hex());
    transaction.commit();
    return absl::OkStatus();
  });
}

Result<std::vector<DueRemoval>> PostgresStore::list_due(WallTime now, std::size_t limit) {
  using Answer = Result<std::vector<DueRemoval>>;
  return pool_->with("listing data to remove", [&](Connection& connection) -> Answer {
    const auto most = static_cast<std::int64_t>(limit);
    connection.run(kPutOffKept, sql_time(now), most);
    std::vector<DueRemoval> due;
    for (const pqxx::row& row : connection.run(kListDue, sql_time(now), most)) {
      RowReader reader(row);
      DueRemoval removal;
      removal.due_at = reader.time();
      removal.id = reader.uuid();
      due.push_back(removal);
    }
    return due;
  });
}

Result<std::vector<PredictionId>> PostgresStore::remove_data(std::span<const DueRemoval> due) {
  using Answer = Result<std::vector<PredictionId>>;
  return pool_->with("removing data", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    std::vector<Uuid> taken = take_removals(connection, transaction, due);
    if (taken.empty()) return taken;
    SqlArray array;
    for (const Uuid& id : taken) array.add(id);
    const std::string ids = array.take();
    const auto [low, high] = bounds_of(taken);
    connection.run_in(transaction, kLockInputs, ids, low.hex(), high.hex());
    connection.run_in(transaction, kRemovePayloads, ids, low.hex(), high.hex());
    release_contents(connection, transaction, connection.run_in(transaction, kRemoveOutputs, ids));
    transaction.commit();
    return taken;
  });
}

}  // namespace mimeo::store
