// The MaintenanceStore part of PostgresStore, and its construction.

#include <absl/strings/str_cat.h>

#include <set>

#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/partitions.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_maintenance.h"

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
  transaction.exec(absl::StrCat("WITH moved AS (DELETE FROM ", table.name, "_default WHERE ", key,
                                " >= ", low, " AND ", key, " < ", high,
                                " RETURNING *) INSERT INTO ", p.name, " SELECT * FROM moved"));
  transaction.exec(absl::StrCat("ALTER TABLE ", table.name, " ATTACH PARTITION ", p.name,
                                " FOR VALUES FROM (", low, ") TO (", high, ")"));
  transaction.commit();
}

// How long rows of this table are kept.
std::chrono::hours kept(const PartitionedTable& table, const Retention& keep) {
  if (!table.is_by_id) return std::chrono::hours{48};  // Idempotency keys: the day and the next.
  const std::string_view name = table.name;
  return name == "payloads" || name == "webhook_attempts" ? keep.content : keep.records;
}

// False when an active prediction keeps it.
bool drop_partition(Connection& connection, const PartitionedTable& table, const Partition& p) {
  pqxx::work transaction(connection.raw());
  transaction.exec(kShortWait);
  connection.run_in(transaction, kLockPartitions);
  if (table.is_by_id &&
      connection.run_in(transaction, kHasActiveBetween, p.low(table), p.high(table))[0][0]
          .as<bool>()) {
    return false;
  }
  transaction.exec(absl::StrCat("DROP TABLE IF EXISTS ", p.name));
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
        if (!p.has_value() || p->to > now - kept(table, keep)) continue;
        if (drop_partition(connection, table, *p)) ++dropped;
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
