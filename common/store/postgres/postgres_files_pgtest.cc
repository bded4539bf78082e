#include "common/store/contract/files_contract.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {

INSTANTIATE_TEST_SUITE_P(Postgres, FilesContract,
                         testing::Values(FilesKind{
                             "postgres", [] {
                               return std::make_shared<PostgresStore>(PostgresOptions{
                                   .conninfo =
                                       testing_support::PrivatePostgres::shared().make_database()});
                             }}));

}  // namespace mimeo::store
