#include "common/store/memory/memory_store.h"

#include "common/store/contract/all_contracts.h"

namespace mimeo::store {
namespace {

class MemoryUnderTest final : public StoreUnderTest {
 public:
  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }

 private:
  SystemClock clock_;
  MemoryStore store_{clock_};
};

StoreKind memory() {
  return {"memory", [] { return std::make_unique<MemoryUnderTest>(); }};
}

}  // namespace

MIMEO_INSTANTIATE_STORE_CONTRACTS(Memory, memory());

}  // namespace mimeo::store
