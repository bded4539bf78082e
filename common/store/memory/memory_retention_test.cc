#include "common/store/memory/memory_retention.h"

#include "common/store/contract/retention_contract.h"

namespace mimeo::store {
namespace {

class MemoryUnderTest final : public RetentionUnderTest {
 public:
  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }
  FilesStore& files() override { return files_; }
  RetentionStore& retention() override { return retention_; }

 private:
  SystemClock clock_;
  MemoryStore store_{clock_};
  MemoryFiles files_;
  MemoryRetention retention_{store_, files_};
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Memory, RetentionContract,
                         testing::Values(StoreKind{
                             "memory", [] { return std::make_unique<MemoryUnderTest>(); }}));

}  // namespace mimeo::store
