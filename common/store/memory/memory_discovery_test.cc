#include "common/store/memory/memory_discovery.h"

#include "common/store/contract/discovery_contract.h"
#include "common/store/contract/examples_contract.h"
#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_retention.h"

namespace mimeo::store {
namespace {

class MemoryDiscoveryUnderTest final : public DiscoveryUnderTest {
 public:
  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }
  RetentionStore& retention() override { return retention_; }
  DiscoveryStore& discovery() override { return discovery_; }
  VersionDeletionStore& deletions() override { return discovery_; }
  AccountLimitsStore& limits() override { return discovery_; }

 private:
  SystemClock clock_;
  MemoryStore store_{clock_};
  MemoryFiles files_;
  MemoryRetention retention_{store_, files_};
  MemoryDiscovery discovery_{store_};
};

StoreKind memory() {
  return {"memory", [] { return std::make_unique<MemoryDiscoveryUnderTest>(); }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Memory, DiscoveryContract, testing::Values(memory()));
INSTANTIATE_TEST_SUITE_P(Memory, ExamplesContract, testing::Values(memory()));

}  // namespace mimeo::store
