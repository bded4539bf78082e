// How long predictions keep their input, output, output files and logs after their end, which of
// them have kept them long enough, and the removal. The prediction itself stays, as a record.
//
// Same rules as predictions.h: methods block, are thread-safe, may be repeated, and are one
// transaction each.

#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/domain/prediction.h"

namespace mimeo::store {

// Time after the end; nullopt = until the partition of its content is dropped (Retention::content).
using KeepFor = std::optional<std::chrono::seconds>;

// Every process forgets by itself within that time what it knows of a prediction that has ended, so
// that no rule may be shorter.
inline constexpr std::chrono::seconds kShortestKeep{300};

// What holds for an account.
struct KeepRules {
  KeepFor api;               // Predictions that were created through the API.
  KeepFor web;               // Those created by the console.
  bool has_own_api = false;  // Its own rule, not the operator's.
  bool has_own_web = false;
};

// A prediction whose data is due.
struct DueRemoval {
  PredictionId id;
  WallTime due_at;
};

class RetentionStore {
 public:
  virtual ~RetentionStore() = default;

  // Account 0: the operator's rules, which hold for accounts that have none.
  virtual Result<KeepRules> get_keep_rules(AccountId account) = 0;
  // Also for predictions that have ended already. kInvalidArgument below kShortestKeep.
  virtual Status set_keep_rule(AccountId account, PredictionSource source, KeepFor keep) = 0;
  // The operator's rule again. kInvalidArgument for account 0.
  virtual Status reset_keep_rule(AccountId account, PredictionSource source) = 0;

  // This prediction keeps its data and its record until release_prediction(). kNotFound when there
  // is none, kFailedPrecondition when its data was removed. Trainings and running predictions, too.
  virtual Status keep_prediction(PredictionId id) = 0;
  // The rules hold again, as if it had never been kept. OK when it was not. Without effect while it
  // is an example of a model (DiscoveryStore::remove_example).
  virtual Status release_prediction(PredictionId id) = 0;

  // Due by `now` and not kept, oldest first.
  virtual Result<std::vector<DueRemoval>> list_due(WallTime now, std::size_t limit) = 0;
  // Removes payloads and output files. Returns those of `due` for which this call did it: another
  // process may have been faster, a rule may have changed, somebody may keep it now.
  virtual Result<std::vector<PredictionId>> remove_data(std::span<const DueRemoval> due) = 0;
};

}  // namespace mimeo::store
