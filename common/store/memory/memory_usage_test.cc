#include "common/store/memory/memory_usage.h"

#include "common/base/time_format.h"
#include "common/store/contract/billing_contract.h"

namespace mimeo::store {
namespace {

class MemoryWithUsage final : public StoreWithUsage {
 public:
  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }
  TrainingStore& trainings() override { return store_; }
  UsageStore& usage() override { return usage_; }

 private:
  SystemClock clock_;
  MemoryStore store_{clock_};
  MemoryUsage usage_{store_};
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Memory, UsageContract,
                         testing::Values(StoreKind{
                             "memory", [] { return std::make_unique<MemoryWithUsage>(); }}));
INSTANTIATE_TEST_SUITE_P(Memory, BillingContract,
                         testing::Values(StoreKind{
                             "memory", [] { return std::make_unique<MemoryWithUsage>(); }}));

TEST(Months, BeginAndEndInUtc) {
  const auto at = [](const char* text) { return *parse_rfc3339(text); };
  EXPECT_EQ(month_begin(at("2024-02-29T23:59:59Z")), at("2024-02-01"));
  EXPECT_EQ(month_end(at("2024-02-29T23:59:59Z")), at("2024-03-01"));
  EXPECT_EQ(month_end(at("2026-12-01")), at("2027-01-01"));
}

}  // namespace mimeo::store
