#include "common/store/contract/accounts_contract.h"
#include "common/store/postgres/postgres_store.h"
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

}  // namespace
}  // namespace mimeo::store
