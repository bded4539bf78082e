// The MaintenanceStore part of PostgresStore, and its construction.

#include <absl/strings/str_cat.h>

#include <set>

#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/contents.h"
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

constexpr std::int64_t kOutputsPerStep = 1'000;
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

// The output files whose predictions have their content in this partition, in steps: there may be
// very many.
void remove_outputs(Connection& connection, const PartitionedTable& table, const Partition& p) {
  while (true) {
    pqxx::work transaction(connection.raw());
    const pqxx::result gone = connection.run_in(transaction, kRemoveOutputsBetween, p.low(table),
                                                p.high(table), kOutputsPerStep);
    release_contents(connection, transaction, gone);
    transaction.commit();
    if (static_cast<std::int64_t>(gone.size()) < kOutputsPerStep) return;
  }
}

bool is_needed(Connection& connection, pqxx::transaction_base& transaction,
               const PartitionedTable& table, const Partition& p) {
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

// False when an active or a kept prediction needs it, or it is not empty.
bool drop_partition(Connection& connection, const PartitionedTable& table, const Partition& p,
                    Reason reason) {
  pqxx::work transaction(connection.raw());
  transaction.exec(kShortWait);
  connection.run_in(transaction, kLockPartitions);
  if (table.is_by_id && is_needed(connection, transaction, table, p)) return false;
  if (reason == Reason::kEmptiness && !is_empty(transaction, p)) return false;
  transaction.exec(absl::StrCat("DROP TABLE IF EXISTS ", p.name));
  if (is_content(table) && reason == Reason::kAge) {
    connection.run_in(transaction, kForgetRemovalsBetween, p.low(table), p.high(table));
  }
  transaction.commit();
  return true;
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
        if (!drop_partition(connection, table, *p, reason)) continue;
        ++dropped;
        if (is_content(table) && is_old) remove_outputs(connection, table, *p);
      }
    }
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
