#include "common/store/contract/discovery_contract.h"
#include "common/store/contract/examples_contract.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

class PostgresDiscoveryUnderTest final : public DiscoveryUnderTest {
 public:
  PostgresDiscoveryUnderTest()
      : store_({.conninfo = testing_support::PrivatePostgres::shared().make_database()}) {}

  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }
  RetentionStore& retention() override { return store_; }
  DiscoveryStore& discovery() override { return store_; }
  VersionDeletionStore& deletions() override { return store_; }
  AccountLimitsStore& limits() override { return store_; }

 private:
  PostgresStore store_;
};

StoreKind postgres() {
  return {"postgres", [] { return std::make_unique<PostgresDiscoveryUnderTest>(); }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, DiscoveryContract, testing::Values(postgres()));
INSTANTIATE_TEST_SUITE_P(Postgres, ExamplesContract, testing::Values(postgres()));

}  // namespace mimeo::store
