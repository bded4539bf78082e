// The RetentionStore part of PostgresStore.

#include <pqxx/transaction>

#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/content_removal.h"
#include "common/store/postgres/in_transaction.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_retention.h"

namespace mimeo::store {
namespace {

constexpr std::int64_t kMovedAtOnce = 2'000;
constexpr int kMostWaits = 500;  // Ten seconds, which no statement takes that writes to removals.

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

// Where a step of moving removals goes on.
struct RemovalPosition {
  AccountId account = 0;
  std::int64_t source = 0;
  Uuid id;
};

// Until every result that may have been written by the rules from before is there.
void await_removal_writers(Connection& connection) {
  SqlArray writers;
  for (const pqxx::row& row : connection.run(kListRemovalWriters)) writers.add_text(row[0].c_str());
  const std::string list = writers.take();
  for (int i = 0; i < kMostWaits; ++i) {
    if (connection.run(kAwaitRemovalWriters, list).empty()) return;
  }
}

// Of one account. nullopt at the end.
std::optional<RemovalPosition> move_some(Connection& connection, const RemovalPosition& after) {
  const pqxx::result last =
      connection.run(kMoveRemovals, after.account, after.source, after.id.hex(), kMovedAtOnce);
  if (last.empty()) return std::nullopt;
  const pqxx::row row = last[0];
  return RemovalPosition{after.account, after.source, RowReader(row).uuid()};
}

// Of all that have no rule of their own.
std::optional<RemovalPosition> move_some_of_all(Connection& connection,
                                                const RemovalPosition& after,
                                                PredictionSource source) {
  const pqxx::result last = connection.run(kMoveAllRemovals, after.account, after.source,
                                           after.id.hex(), kMovedAtOnce, number_of(source));
  if (last.empty()) return std::nullopt;
  const pqxx::row row = last[0];
  RowReader reader(row);
  RemovalPosition position;
  position.account = reader.integer();
  position.source = reader.integer();
  position.id = reader.uuid();
  return position;
}

}  // namespace

Status keep_in(Connection& connection, pqxx::transaction_base& transaction, PredictionId id) {
  const pqxx::row row = connection.run_in(transaction, kLockData, id.hex())[0];
  if (!row[0].as<bool>()) return absl::NotFoundError("no such prediction");
  if (!row[1].as<bool>()) {
    return absl::FailedPreconditionError("the prediction's data was removed");
  }
  connection.run_in(transaction, kKeepPrediction, id.hex());
  return absl::OkStatus();
}

void release_in(Connection& connection, pqxx::transaction_base& transaction, PredictionId id) {
  connection.run_in(transaction, kLockKept, id.hex());
  connection.run_in(transaction, kReleasePrediction, id.hex());
  connection.run_in(transaction, kRenewRemoval, id.hex());
}

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

// What has ended before. In steps that are short transactions: there may be millions, and others
// must get at them meanwhile.
Status PostgresStore::move_removals(AccountId account, PredictionSource source) {
  MIMEO_RETURN_IF_ERROR(pool_->with("awaiting results", [&](Connection& connection) -> Status {
    await_removal_writers(connection);
    return absl::OkStatus();
  }));
  RemovalPosition at{account, number_of(source), Uuid{}};
  while (true) {
    using Answer = Result<std::optional<RemovalPosition>>;
    const Answer next = pool_->with("moving removals", [&](Connection& connection) -> Answer {
      return account == 0 ? move_some_of_all(connection, at, source) : move_some(connection, at);
    });
    MIMEO_RETURN_IF_ERROR(next.status());
    if (!*next) return absl::OkStatus();
    at = **next;
  }
}

// The rule is committed first: what ends from now on obeys it. What is ending at this moment is
// moved when it has ended.
Status PostgresStore::set_keep_rule(AccountId account, PredictionSource source, KeepFor keep) {
  if (keep && *keep < kShortestKeep) {
    return absl::InvalidArgumentError("data is kept for at least 300 seconds");
  }
  std::optional<std::int64_t> seconds;
  if (keep) seconds = keep->count();
  MIMEO_RETURN_IF_ERROR(pool_->with("setting retention", [&](Connection& connection) -> Status {
    connection.run(kSetKeepRule, account, number_of(source), seconds);
    return absl::OkStatus();
  }));
  return move_removals(account, source);
}

Status PostgresStore::reset_keep_rule(AccountId account, PredictionSource source) {
  if (account == 0) return absl::InvalidArgumentError("the operator's rule cannot be reset");
  MIMEO_RETURN_IF_ERROR(pool_->with("setting retention", [&](Connection& connection) -> Status {
    connection.run(kResetKeepRule, account, number_of(source));
    return absl::OkStatus();
  }));
  return move_removals(account, source);
}

Status PostgresStore::keep_prediction(PredictionId id) {
  return pool_->with("keeping a prediction", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    MIMEO_RETURN_IF_ERROR(keep_in(connection, transaction, id));
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::release_prediction(PredictionId id) {
  return pool_->with("releasing a prediction", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    release_in(connection, transaction, id);
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
    const std::vector<Uuid> taken = take_removals(connection, transaction, due);
    if (taken.empty()) return taken;
    std::vector<Uuid> removed = remove_content(connection, transaction, taken);
    transaction.commit();
    return removed;
  });
}

}  // namespace mimeo::store
