#include "common/store/contract/usage_contract.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

class PostgresWithUsage final : public StoreWithUsage {
 public:
  PostgresWithUsage()
      : store_({.conninfo = testing_support::PrivatePostgres::shared().make_database()}) {}
  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }
  UsageStore& usage() override { return store_; }

 private:
  PostgresStore store_;
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, UsageContract,
                         testing::Values(StoreKind{
                             "postgres", [] { return std::make_unique<PostgresWithUsage>(); }}));

}  // namespace mimeo::store
