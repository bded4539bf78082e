// Retention of the predictions and files in memory, for tests: passes the same contract as the one
// in Postgres.

#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_store.h"
#include "common/store/retention.h"

namespace mimeo::store {

// Both outlive it. Safe from any thread.
class MemoryRetention final : public RetentionStore {
 public:
  MemoryRetention(MemoryStore& predictions, MemoryFiles& files);

  Result<KeepRules> get_keep_rules(AccountId account) override;
  Status set_keep_rule(AccountId account, PredictionSource source, KeepFor keep) override;
  Status reset_keep_rule(AccountId account, PredictionSource source) override;
  Status keep_prediction(PredictionId id) override;
  Status release_prediction(PredictionId id) override;
  Result<std::vector<DueRemoval>> list_due(WallTime now, std::size_t limit) override;
  Result<std::vector<PredictionId>> remove_data(std::span<const DueRemoval> due) override;

 private:
  using RuleKey = std::pair<AccountId, PredictionSource>;

  // With mutex_ held.
  std::vector<DueRemoval> queue();

  MemoryStore& predictions_;
  MemoryFiles& files_;
  std::mutex mutex_;
  std::map<RuleKey, KeepFor> rules_;  // Guarded by mutex_.
};

}  // namespace mimeo::store
