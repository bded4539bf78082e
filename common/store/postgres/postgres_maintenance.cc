// The MaintenanceStore part of PostgresStore, and its construction.

#include <absl/strings/str_cat.h>

#include <set>
#include <string>
#include <vector>

#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/content_removal.h"
#include "common/store/postgres/meters.h"
#include "common/store/postgres/partitions.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_maintenance.h"
#include "common/store/postgres/statements_retention.h"

namespace mimeo::store {
namespace {

// Definitions wait for statements that run, and all later ones wait for them: rather give up and
// try again the next time.
constexpr const char* kShortWait = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = 0";

std::set<std::string> existing_partitions(Connection& connection,
                                          pqxx::transaction_base& transaction,
                                          const PartitionedTable& table) {
  std::set<std::string> names;
  for (const pqxx::row& row : connection.run_in(transaction, kListPartitions, table.name)) {
    names.insert(row[0].c_str());
  }
  return names;
}

// Makes the table by itself, moves what the default partition holds for it, and attaches it. Unlike
// CREATE TABLE ... PARTITION OF this does not lock the whole table against readers and writers.
void make_partition(Connection& connection, const PartitionedTable& table, const Partition& p) {
  pqxx::work transaction(connection.raw());
  transaction.exec(kShortWait);
  connection.run_in(transaction, kLockPartitions);
  if (existing_partitions(connection, transaction, table).contains(p.name)) return;
  const char* key = table.is_by_id ? "id" : "day";
  const std::string low = transaction.quote(p.low(table));
  const std::string high = transaction.quote(p.high(table));
  transaction.exec(absl::StrCat("CREATE TABLE ", p.name, " (LIKE ", table.name, " INCLUDING ALL)"));
  if (std::string_view(table.name) == "predictions") {  // As migration 0012 says.
    transaction.exec(
        absl::StrCat("ALTER TABLE ", p.name, " ALTER COLUMN account_id SET (n_distinct = 200)"));
  }
  transaction.exec(absl::StrCat("WITH moved AS (DELETE FROM ", table.name, "_default WHERE ", key,
                                " >= ", low, " AND ", key, " < ", high,
                                " RETURNING *) INSERT INTO ", p.name, " SELECT * FROM moved"));
  transaction.exec(absl::StrCat("ALTER TABLE ", table.name, " ATTACH PARTITION ", p.name,
                                " FOR VALUES FROM (", low, ") TO (", high, ")"));
  transaction.commit();
}

constexpr std::int64_t kIdsPerStep = 500;
constexpr std::int64_t kRemovalsPerStep = 5'000;
constexpr int kDropTries = 3;
// Of a partition of payloads or of what webhooks contained, before it is dropped because it is
// empty: until then retention has emptied nearly all of them, row by row.
constexpr std::chrono::hours kEmptyAfter{48};

bool is_content(const PartitionedTable& table) {
  return std::string_view(table.name) == "payloads";
}

bool is_webhook_content(const PartitionedTable& table) {
  return std::string_view(table.name) == "webhook_attempts";
}

// How long rows of this table are kept.
std::chrono::hours kept(const PartitionedTable& table, const Retention& keep) {
  if (!table.is_by_id) return std::chrono::hours{48};  // Idempotency keys: the day and the next.
  return is_content(table) || is_webhook_content(table) ? keep.content : keep.records;
}

bool is_due(const PartitionedTable& table, const Partition& p, WallTime now,
            const Retention& keep) {
  return p.to <= now - kept(table, keep);
}

std::vector<Uuid> ids_of(const pqxx::result& rows) {
  std::vector<Uuid> ids;
  for (const pqxx::row& row : rows) ids.push_back(RowReader(row).uuid());
  return ids;
}

// What refers to the content of a partition that is to go: output files and places in the queue of
// removals. Before the content, so that what breaks off is found again; in steps, for there may be
// very many.
void remove_what_refers(Connection& connection, const PartitionedTable& table, const Partition& p) {
  const std::string low = p.low(table);
  const std::string high = p.high(table);
  while (true) {
    pqxx::work transaction(connection.raw());
    const std::vector<Uuid> ids =
        ids_of(connection.run_in(transaction, kListOutputsBetween, low, high, kIdsPerStep));
    remove_outputs(connection, transaction, ids);
    transaction.commit();
    if (static_cast<std::int64_t>(ids.size()) < kIdsPerStep) break;
  }
  while (connection.run(kForgetRemovalsBetween, low, high, kRemovalsPerStep).affected_rows() ==
         kRemovalsPerStep) {
  }
}

// All rows of a partition that is too old but must stay, of predictions that are neither kept nor
// active; in steps.
void remove_others(Connection& connection, const PartitionedTable& table, const Partition& p) {
  Uuid last;
  while (true) {
    pqxx::work transaction(connection.raw());
    const std::vector<Uuid> ids = ids_of(transaction.exec(absl::StrCat(
        "SELECT DISTINCT id FROM ", p.name, " AS p WHERE id > ", transaction.quote(last.hex()),
        "::uuid AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = p.id)"
        " AND NOT EXISTS (SELECT FROM active AS a WHERE a.id = p.id) ORDER BY id LIMIT ",
        kIdsPerStep)));
    if (ids.empty()) return;
    last = ids.back();
    SqlArray array;
    for (const Uuid& id : ids) array.add(id);
    const std::string list = array.take();
    if (is_content(table)) {
      remove_content(connection, transaction, ids);
      connection.run_in(transaction, kForgetRemovals, list);
    } else {
      connection.run_in(transaction, kLockInputs, list, ids.front().hex(), ids.back().hex());
      transaction.exec(absl::StrCat(
          "DELETE FROM ", p.name, " AS p WHERE id = ANY(", transaction.quote(list),
          "::uuid[]) AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = p.id)"));
    }
    transaction.commit();
  }
}

bool is_needed(Connection& connection, pqxx::transaction_base& transaction,
               const PartitionedTable& table, const Partition& p) {
  if (!table.is_by_id) return false;
  for (const Statement& asked : {kHasActiveBetween, kHasKeptBetween}) {
    if (connection.run_in(transaction, asked, p.low(table), p.high(table))[0][0].as<bool>()) {
      return true;
    }
  }
  return false;
}

bool is_empty(pqxx::transaction_base& transaction, const Partition& p) {
  return transaction.exec(absl::StrCat("SELECT NOT EXISTS (SELECT FROM ", p.name, ")"))[0][0]
      .as<bool>();
}

enum class Reason : std::uint8_t { kAge, kEmptiness };

enum class DropOutcome : std::uint8_t {
  kDropped,
  kNeeded,      // By an active or a kept prediction.
  kNotEmpty,    // Asked for because of emptiness.
  kReferredTo,  // Output files came meanwhile: remove_what_refers() once more.
};

// What speaks against it, if anything.
DropOutcome look_before_drop(Connection& connection, pqxx::transaction_base& transaction,
                             const PartitionedTable& table, const Partition& p, Reason reason) {
  if (is_needed(connection, transaction, table, p)) return DropOutcome::kNeeded;
  if (reason == Reason::kEmptiness) {
    return is_empty(transaction, p) ? DropOutcome::kDropped : DropOutcome::kNotEmpty;
  }
  const bool is_referred_to =
      is_content(table) &&
      connection.run_in(transaction, kHasOutputsBetween, p.low(table), p.high(table))[0][0]
          .as<bool>();
  return is_referred_to ? DropOutcome::kReferredTo : DropOutcome::kDropped;
}

// Looks twice: without any lock, and then while nobody can write to the table, for who keeps a
// prediction or adds a file to one locks a row of its payloads.
DropOutcome try_drop(Connection& connection, const PartitionedTable& table, const Partition& p,
                     Reason reason) {
  pqxx::work transaction(connection.raw());
  transaction.exec(kShortWait);
  connection.run_in(transaction, kLockPartitions);
  for (const bool is_locked : {false, true}) {
    if (is_locked) {
      transaction.exec(absl::StrCat("LOCK TABLE ONLY ", table.name, " IN ACCESS EXCLUSIVE MODE"));
    }
    const DropOutcome outcome = look_before_drop(connection, transaction, table, p, reason);
    if (outcome != DropOutcome::kDropped) return outcome;
  }
  transaction.exec(absl::StrCat("DROP TABLE IF EXISTS ", p.name));
  transaction.commit();
  return DropOutcome::kDropped;
}

// False when an active or a kept prediction needs it (then all other rows go), or it is not empty.
bool drop_partition(Connection& connection, const PartitionedTable& table, const Partition& p,
                    Reason reason) {
  if (reason == Reason::kEmptiness) {
    return try_drop(connection, table, p, reason) == DropOutcome::kDropped;
  }
  for (int i = 0; i < kDropTries; ++i) {
    if (is_content(table)) remove_what_refers(connection, table, p);
    const DropOutcome outcome = try_drop(connection, table, p, reason);
    if (outcome == DropOutcome::kNeeded) remove_others(connection, table, p);
    if (outcome != DropOutcome::kReferredTo) return outcome == DropOutcome::kDropped;
  }
  return false;  // The next time.
}

}  // namespace

PostgresStore::PostgresStore(PostgresOptions options)
    : pool_(std::make_unique<ConnectionPool>(std::move(options))) {}

PostgresStore::~PostgresStore() = default;

Status PostgresStore::make_partitions(WallTime now, std::chrono::hours ahead) {
  return pool_->with("making partitions", [&](Connection& connection) -> Status {
    for (const PartitionedTable& table : kPartitionedTables) {
      std::set<std::string> existing;
      {
        pqxx::nontransaction transaction(connection.raw());
        existing = existing_partitions(connection, transaction, table);
      }
      for (const Partition& p :
           partitions_between(table, now - std::chrono::hours{24}, now + ahead)) {
        if (!existing.contains(p.name)) make_partition(connection, table, p);
      }
    }
    return absl::OkStatus();
  });
}

Result<std::int32_t> PostgresStore::drop_expired(WallTime now, const Retention& keep) {
  using Answer = Result<std::int32_t>;
  return pool_->with("dropping expired partitions", [&](Connection& connection) -> Answer {
    std::int32_t dropped = 0;
    for (const PartitionedTable& table : kPartitionedTables) {
      std::set<std::string> existing;
      {
        pqxx::nontransaction transaction(connection.raw());
        existing = existing_partitions(connection, transaction, table);
      }
      for (const std::string& name : existing) {
        const auto p = parse_partition(table, name);
        if (!p.has_value()) continue;
        const bool is_old = is_due(table, *p, now, keep);
        const bool is_emptied = is_content(table) || is_webhook_content(table);
        if (!is_old && !(is_emptied && p->to <= now - kEmptyAfter)) continue;
        const Reason reason = is_old ? Reason::kAge : Reason::kEmptiness;
        if (drop_partition(connection, table, *p, reason)) ++dropped;
      }
    }
    forget_meters(connection, now - keep.records);
    connection.run(kForgetReplicas);
    return dropped;
  });
}

Status PostgresStore::ping() {
  return pool_->with("ping", [&](Connection& connection) -> Status {
    connection.run(kPing);
    return absl::OkStatus();
  });
}

Result<WallTime> PostgresStore::now() {
  using Answer = Result<WallTime>;
  return pool_->with("reading the clock", [&](Connection& connection) -> Answer {
    const pqxx::row row = connection.run(kNow)[0];
    return RowReader(row).time();
  });
}

}  // namespace mimeo::store
