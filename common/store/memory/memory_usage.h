// Usage in memory, for tests: derives everything anew from the rows of a MemoryStore each time it
// meters. Passes the same contract as the one in Postgres, which adds up differences; what the two
// compute so differently must agree.

#pragma once

#include <map>
#include <mutex>
#include <tuple>

#include "common/store/memory/memory_store.h"
#include "common/store/usage.h"

namespace mimeo::store {

// Safe from any thread.
class MemoryUsage final : public UsageStore {
 public:
  // `store` outlives it.
  explicit MemoryUsage(MemoryStore& store) : store_(store) {}

  Result<Metered> meter(WallTime now, std::size_t max_predictions) override;
  Status seal_usage(WallTime before) override;
  Result<std::vector<UsageLine>> list_usage(const UsageQuery& query) override;
  Result<std::vector<PredictionUsage>> list_prediction_usage(
      const PredictionUsageQuery& query) override;
  Result<std::vector<Price>> list_prices(std::string_view sku) override;
  Result<Spend> get_spend(AccountId account, WallTime now) override;
  Result<bool> is_limit_reached(AccountId account, WallTime now) override;
  Status set_spend_limit(AccountId account, LimitSetter setter,
                         std::optional<std::int64_t> micros) override;
  Result<std::int64_t> pause_deployments(WallTime now, Pausing pausing) override;

 private:
  // Account, hour, sku, model, deployment, kind.
  using Key = std::tuple<AccountId, WallTime, std::string, ModelId, DeploymentId, UsageKind>;
  struct Terms;
  struct Run;

  // All of these with the mutexes of this and of the store held.
  [[nodiscard]] Terms terms_of(const InstanceRow& instance) const;
  [[nodiscard]] Run run_of(const MemoryStore::Outcome& outcome) const;
  void count_run(const Run& run);
  [[nodiscard]] bool is_at_work(InstanceId instance, WallTime since) const;
  void count_life(const InstanceRow& instance, PhaseTimes& sums);
  [[nodiscard]] std::int64_t price_at(const std::string& sku, WallTime at) const;
  [[nodiscard]] Spend spend_of(AccountId account, WallTime now) const;
  [[nodiscard]] std::string model_name(ModelId id) const;
  [[nodiscard]] std::string deployment_name(DeploymentId id) const;

  MemoryStore& store_;
  std::mutex mutex_;

  // Everything below is guarded by mutex_.
  WallTime metered_to_;
  Metered before_;  // Sums of the last time.
  std::map<Key, UsageSums> totals_;
  // Minutes before it are final; and of a run that was first metered after that, what of it is in
  // them was idle time for good.
  std::map<InstanceId, WallTime> sealed_to_;
  std::map<PredictionId, WallTime> busy_from_;
  std::map<AccountId, SpendLimits> limits_;
};

}  // namespace mimeo::store
