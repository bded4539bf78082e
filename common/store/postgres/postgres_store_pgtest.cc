#include "common/store/contract/all_contracts.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

class PostgresUnderTest final : public StoreUnderTest {
 public:
  PostgresUnderTest()
      : store_({.conninfo = testing_support::PrivatePostgres::shared().make_database()}) {}

  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }

 private:
  PostgresStore store_;
};

StoreKind postgres() {
  return {"postgres", [] { return std::make_unique<PostgresUnderTest>(); }};
}

}  // namespace

MIMEO_INSTANTIATE_STORE_CONTRACTS(Postgres, postgres());

}  // namespace mimeo::store
