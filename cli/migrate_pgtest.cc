#include <gtest/gtest.h>

#include <sstream>

#include "cli/command_line.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::cli {
namespace {

struct Answer {
  int code = 0;
  std::string out;
  std::string error;
};

Answer run(const std::string& database, std::vector<std::string> arguments) {
  SystemClock clock;
  SystemRandom random;
  std::ostringstream out;
  std::ostringstream error;
  CommandLine line({clock, random, out, error, [](const std::string& conninfo) {
                      auto store = std::make_shared<store::PostgresStore>(
                          store::PostgresOptions{.conninfo = conninfo, .max_connections = 1});
                      auto& stores = *store;
                      return Stores{std::move(store), stores, stores, stores, stores, stores,
                                    stores,           stores, stores, stores, stores};
                    }});
  arguments.insert(arguments.begin(), {"--database", database});
  const int code = line.run(std::move(arguments));
  return {code, out.str(), error.str()};
}

TEST(Migrate, MakesADatabaseThatCanBeUsed) {
  const std::string database = testing_support::PrivatePostgres::shared().make_empty_database();
  const Answer before = run(database, {"account", "list"});
  EXPECT_EQ(before.code, 1);
  EXPECT_NE(before.error.find("mimeo migrate"), std::string::npos) << before.error;
  EXPECT_NE(run(database, {"migrate", "--status"}).out.find("missing"), std::string::npos);

  const Answer first = run(database, {"migrate"});
  ASSERT_EQ(first.code, 0) << first.error;
  EXPECT_NE(first.out.find("applied 0001_accounts"), std::string::npos) << first.out;
  const Answer again = run(database, {"migrate"});
  EXPECT_EQ(again.code, 0) << again.error;
  EXPECT_EQ(again.out, "the schema is up to date\n");
  EXPECT_EQ(run(database, {"migrate", "--status"}).out.find("missing"), std::string::npos);

  EXPECT_NE(run(database, {"hardware", "list"}).out.find("cpu"), std::string::npos);
  EXPECT_NE(run(database, {"audit"}).out.find("hardware.set"), std::string::npos);
  EXPECT_NE(run(database, {"cells"}).out.find("1"), std::string::npos);
  EXPECT_EQ(run(database, {"account", "create", "acme"}).code, 0);
  const Answer token = run(database, {"token", "create", "acme"});
  EXPECT_TRUE(token.out.starts_with("r8_")) << token.out << token.error;
}

TEST(Migrate, KeepsHardwareThatTheOperatorSet) {
  const std::string database = testing_support::PrivatePostgres::shared().make_database();
  ASSERT_EQ(run(database, {"hardware", "set", "big", "--cpu-milli", "8000"}).code, 0);
  ASSERT_EQ(run(database, {"migrate"}).code, 0);
  EXPECT_EQ(run(database, {"hardware", "list"}).out.find("cpu "), std::string::npos);
}

TEST(Migrate, SaysWhatToDoWhenTheDatabaseDoesNotAnswer) {
  const Answer answer = run("host=/nonexistent dbname=x", {"migrate", "--wait", "0"});
  EXPECT_EQ(answer.code, 1);
  EXPECT_NE(answer.error.find("MIMEO_DATABASE"), std::string::npos) << answer.error;
}

}  // namespace
}  // namespace mimeo::cli
