// Brings a database to the schema of this program: applies those of migrations/ that it lacks, in
// order, each in a transaction of its own, and remembers them in `schema_migrations`.

#pragma once

#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace mimeo::store {

struct AppliedMigration {
  std::int32_t number = 0;
  std::string name;
  WallTime applied_at;
};

struct MigrationStatus {
  std::vector<AppliedMigration> applied;  // By number; also those of a newer program.
  std::vector<std::string> missing;       // Names, in order.
};

// What was applied by this call, by name; empty when the database was up to date. Several processes
// may call it at once. kUnavailable: the database does not answer. kFailedPrecondition: a migration
// that was applied differs from ours of that number, so this is the database of something else.
[[nodiscard]] Result<std::vector<std::string>> migrate(const std::string& conninfo);

// Changes nothing.
[[nodiscard]] Result<MigrationStatus> migration_status(const std::string& conninfo);

}  // namespace mimeo::store
