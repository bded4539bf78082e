#include "common/store/contract/trainings_contract.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

TrainingsKind postgres() {
  return {"postgres", [] {
            auto made = std::make_shared<PostgresStore>(PostgresOptions{
                .conninfo = testing_support::PrivatePostgres::shared().make_database()});
            TrainingStores stores{*made, *made, *made, *made, *made, *made};
            return TrainingsUnderTest{made, stores};
          }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, TrainingsContract, testing::Values(postgres()));

}  // namespace mimeo::store
