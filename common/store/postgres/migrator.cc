#include "common/store/postgres/migrator.h"

#include <absl/strings/str_cat.h>

#include <map>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include "common/store/postgres/advisory_locks.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/errors.h"
#include "migrations/migrations.h"

namespace mimeo::store {
namespace {

constexpr const char* kMakeTable = R"sql(
CREATE TABLE IF NOT EXISTS schema_migrations (
  number integer PRIMARY KEY,
  name text NOT NULL,
  md5 text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE schema_migrations IS 'Which migrations were applied.';)sql";

struct Applied {
  AppliedMigration migration;
  std::string md5;
};

std::map<std::int32_t, Applied> read_applied(pqxx::transaction_base& transaction) {
  std::map<std::int32_t, Applied> applied;
  for (const pqxx::row& row :
       transaction.exec("SELECT number, name, applied_at, md5 FROM schema_migrations")) {
    RowReader reader(row);
    Applied entry;
    entry.migration.number = reader.integer_as<std::int32_t>();
    entry.migration.name = reader.text();
    entry.migration.applied_at = reader.time();
    entry.md5 = reader.text();
    applied[entry.migration.number] = std::move(entry);
  }
  return applied;
}

// True when it was applied now. The lock makes others wait; they find it applied then.
Result<bool> apply(pqxx::connection& connection, const Migration& migration) {
  pqxx::work transaction(connection);
  transaction.exec("SELECT pg_advisory_xact_lock(" MIMEO_LOCK_MIGRATIONS ")");
  transaction.exec(kMakeTable);
  const std::string sql(migration.sql);
  const std::string md5 = transaction.exec_params1("SELECT md5($1)", sql)[0].c_str();
  const auto applied = read_applied(transaction);
  if (const auto found = applied.find(migration.number); found != applied.end()) {
    if (found->second.md5 == md5) return false;
    return absl::FailedPreconditionError(
        absl::StrCat("migration ", migration.number, " (", found->second.migration.name,
                     ") was applied with other content than this program has"));
  }
  transaction.exec(sql);
  transaction.exec_params0("INSERT INTO schema_migrations (number, name, md5) VALUES ($1, $2, $3)",
                           migration.number, std::string(migration.name), md5);
  transaction.commit();
  return true;
}

void prepare_session(pqxx::connection& connection) {
  pqxx::nontransaction session(connection);
  session.exec(
      "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET client_min_messages = 'warning';"
      "SET application_name = 'mimeo migrate'");
}

}  // namespace

Result<std::vector<std::string>> migrate(const std::string& conninfo) {
  std::vector<std::string> done;
  std::string_view current = "connecting";
  try {
    pqxx::connection connection(conninfo);
    prepare_session(connection);
    for (const Migration& migration : migrations()) {
      current = migration.name;
      MIMEO_ASSIGN_OR_RETURN(const bool is_new, apply(connection, migration));
      if (is_new) done.emplace_back(migration.name);
    }
  } catch (const std::exception& error) {
    return with_context(status_of(error), current);
  }
  return done;
}

Result<MigrationStatus> migration_status(const std::string& conninfo) {
  MigrationStatus status;
  try {
    pqxx::connection connection(conninfo);
    prepare_session(connection);
    pqxx::nontransaction transaction(connection);
    std::map<std::int32_t, Applied> applied;
    const pqxx::row row = transaction.exec1("SELECT to_regclass('schema_migrations') IS NOT NULL");
    if (row[0].as<bool>()) applied = read_applied(transaction);
    for (const Migration& migration : migrations()) {
      if (!applied.contains(migration.number)) status.missing.emplace_back(migration.name);
    }
    for (auto& [number, entry] : applied) status.applied.push_back(std::move(entry.migration));
  } catch (const std::exception& error) {
    return with_context(status_of(error), "reading the applied migrations");
  }
  return status;
}

}  // namespace mimeo::store
