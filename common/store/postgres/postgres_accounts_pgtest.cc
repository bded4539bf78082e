#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include "common/store/contract/accounts_contract.h"
#include "common/store/postgres/postgres_store.h"
#include "migrations/migrations.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

AccountsUnderTest in_postgres() {
  auto store = std::make_shared<PostgresStore>(
      PostgresOptions{.conninfo = testing_support::PrivatePostgres::shared().make_database()});
  PostgresStore& both = *store;
  return {std::move(store), both, both};
}

INSTANTIATE_TEST_SUITE_P(Postgres, AccountsContract,
                         testing::Values(AccountsKind{"postgres", in_postgres}));

// ada made corp and has left it; bob is in it. The operator made the other one.
constexpr const char* kOfTheReleaseBefore = R"sql(
INSERT INTO accounts (type, username, name, github_url, avatar_url, weight, max_running, max_queued,
  webhook_secret, created_at)
SELECT type, username, username, '', '', 1, 0, 1, secret, now()
FROM (VALUES (0, 'ada', 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'), (0, 'bob', 'whsec_x'),
  (1, 'corp', repeat('x', 100)), (1, 'other', 'whsec_x')) AS a (type, username, secret)
ORDER BY username;
INSERT INTO audit_log (at, account_id, action, target, outcome, actor, actor_user_id, address,
  request_id, details)
SELECT now(), o.id, 'organization.create', o.username, 0, 'x', u.id, '', '', '{}'
FROM accounts AS o LEFT JOIN accounts AS u ON u.username = 'ada' AND o.username = 'corp'
WHERE o.type = 1;
INSERT INTO memberships (account_id, user_id, role, created_at)
SELECT o.id, u.id, 0, now() FROM accounts AS o, accounts AS u
WHERE o.username = 'corp' AND u.username = 'bob';
INSERT INTO tokens (account_id, name, hash, prefix, created_at, created_by)
SELECT o.id, t.name, t.hash::bytea, '', now(),
  (SELECT u.id FROM accounts AS u WHERE u.username = t.name)
FROM accounts AS o, (VALUES ('ada', '\x01'), ('bob', '\x02'), ('nobody', '\x03')) AS t (name, hash)
WHERE o.username = 'corp';
)sql";

TEST(OrganizationsAndLinks, FindADatabaseOfTheReleaseBefore) {
  pqxx::connection connection(testing_support::PrivatePostgres::shared().make_empty_database());
  pqxx::nontransaction transaction(connection);
  constexpr std::int32_t kIntroducedBy = 14;
  for (const Migration& migration : migrations()) {
    if (migration.number == kIntroducedBy) transaction.exec(kOfTheReleaseBefore);
    transaction.exec(std::string(migration.sql));
  }
  const auto text = [&](const std::string& query) {
    return transaction.exec1(query)[0].as<std::string>("NULL");
  };
  const auto secret_of = [&](const std::string& name) {
    return text("SELECT file_secret FROM accounts WHERE username = '" + name + "'");
  };
  EXPECT_EQ(secret_of("ada"), "fsec_yZWYYUsvCCidK1eWEwSRF8U49G2N-MEGtisQfkXiy3g");
  EXPECT_EQ(secret_of("corp"), "fsec_L1y43wZ0kLUQHkgf8wmox6i9cxdBh_FWuOo9zr0vLPs");
  const std::string maker =
      "SELECT m.username FROM accounts AS o LEFT JOIN accounts AS m ON m.id = o.created_by "
      "WHERE o.username = ";
  EXPECT_EQ(text(maker + "'corp'"), "ada");
  EXPECT_EQ(text(maker + "'other'"), "NULL");
  EXPECT_EQ(text("SELECT string_agg(name, ' ') FROM tokens WHERE disabled_at IS NOT NULL"), "ada");
}

}  // namespace
}  // namespace mimeo::store
