// The whole schema as a file for reading, and migrating.
//
// After a new migration: MIMEO_UPDATE_SCHEMA=1 build/dev/.../schema_pgtest writes the file anew.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <sstream>

#include "common/store/postgres/migrator.h"
#include "migrations/migrations.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

testing_support::PrivatePostgres& server() { return testing_support::PrivatePostgres::shared(); }

std::string dump(const std::string& conninfo) {
  const std::string command = (server().bin() / "pg_dump").string() +
                              " --schema-only --no-owner --no-privileges --restrict-key=x \"" +
                              conninfo + "\" 2>/dev/null || " +
                              (server().bin() / "pg_dump").string() +
                              " --schema-only --no-owner --no-privileges \"" + conninfo + "\"";
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  char buffer[4096];
  while (pipe != nullptr && std::fgets(buffer, sizeof(buffer), pipe) != nullptr) text += buffer;
  EXPECT_EQ(pclose(pipe), 0) << command;
  return text;
}

// Without what is not schema: comments, session settings, runs of empty lines.
std::string normalised(const std::string& text) {
  std::istringstream in(text);
  std::string out =
      "-- Generated from a migrated database, for reading; see migrations/NNNN_*.sql.\n";
  bool was_empty = true;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("--") || line.starts_with("SET ") || line.starts_with("\\") ||
        line.starts_with("SELECT pg_catalog.set_config")) {
      continue;
    }
    if (line.empty() && was_empty) continue;
    was_empty = line.empty();
    out += line + "\n";
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

TEST(Schema, FileIsWhatTheMigrationsMake) {
  const std::string database = server().make_empty_database();  // No dated partitions.
  ASSERT_TRUE(migrate(database).ok());
  const std::string made = normalised(dump(database));
  const std::string path = MIMEO_SOURCE_DIR "/migrations/schema.sql";
  if (std::getenv("MIMEO_UPDATE_SCHEMA") != nullptr) std::ofstream(path) << made;
  std::ifstream file(path);
  const std::string kept{std::istreambuf_iterator<char>(file), {}};
  if (server().bin().string().find("/15/") == std::string::npos) {
    GTEST_SKIP() << "the file is kept in the words of pg_dump 15";
  }
  EXPECT_EQ(made, kept) << "run this program with MIMEO_UPDATE_SCHEMA=1";
}

TEST(Schema, EveryTableSaysWhatItIs) {
  const std::string database = server().make_empty_database();
  ASSERT_TRUE(migrate(database).ok());
  pqxx::connection connection(database);
  pqxx::nontransaction transaction(connection);
  for (const auto& row : transaction.exec(
           "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = "
           "'public'::regnamespace AND obj_description(oid) IS NULL")) {
    ADD_FAILURE() << "no COMMENT ON TABLE " << row[0].c_str();
  }
}

TEST(Migrator, NumbersHaveNoGaps) {
  std::int32_t expected = 1;
  for (const Migration& migration : migrations()) {
    EXPECT_EQ(migration.number, expected++) << migration.name;
    EXPECT_FALSE(migration.sql.empty());
  }
  EXPECT_GT(expected, 1);
}

TEST(Migrator, AppliesWhatIsMissingOnce) {
  const std::string database = server().make_empty_database();
  const auto before = migration_status(database);
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_TRUE(before->applied.empty());
  EXPECT_EQ(before->missing.size(), migrations().size());
  const auto first = migrate(database);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->size(), migrations().size());
  const auto again = migrate(database);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->empty());
  const auto after = migration_status(database);
  EXPECT_EQ(after->applied.size(), migrations().size());
  EXPECT_TRUE(after->missing.empty());
}

TEST(Migrator, RefusesADatabaseOfSomethingElse) {
  const std::string database = server().make_database();
  {
    pqxx::connection connection(database);
    pqxx::nontransaction(connection)
        .exec("UPDATE schema_migrations SET md5 = 'other' WHERE number = 1");
  }
  EXPECT_EQ(migrate(database).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Migrator, SaysThatTheDatabaseDoesNotAnswer) {
  const auto answer = migrate("host=/nonexistent dbname=x");
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
}

}  // namespace
}  // namespace mimeo::store
