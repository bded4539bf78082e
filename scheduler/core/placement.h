// Decides which worker should host a new model instance.
//
// Placement is arithmetic on a snapshot: no I/O, no locks, no clock, no randomness. The same inputs
// always give the same answer, so every rule is tested with literals in placement_test.cc. Making
// room by evicting somebody is arbiter.h's job, acting on the answer the cell's and dispatcher.h's.

#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "scheduler/core/cluster_view.h"
#include "scheduler/core/placement_rules.h"

namespace mimeo::scheduler {

// A worker chosen for one instance. Reserves nothing: see the file comment.
struct Placement {
  WorkerId worker;
  std::vector<GpuIndex> gpus;  // Ascending; empty for a model that needs no GPU.
  double score = 0;            // 0 to 1, higher is better; comparable within one call only.
};

// No placement is an outcome, not an error: the prediction stays queued, and `refusals` becomes
// the "waiting for" text its owner sees.
struct PlacementResult {
  std::optional<Placement> placement;
  std::map<Refusal, std::size_t> refusals;  // Workers refused, by rule; filled in either case.
};

// Relative importance of the soft rules. Each is >= 0; they need not sum to one.
struct ScoreWeights {
  double warm_cache = 0.6;  // Image already on disk: the largest saving in start time.
  double packing = 0.3;     // Fuller workers first, so that whole machines stay free.
  double spread = 0.1;      // Workers not yet hosting this target, so that one loss hurts less.
};

// Returns the best-scoring worker that breaks no hard rule; ties go to the lowest WorkerId.
// Linear in `workers`. Keeps no reference to its arguments. Safe to call from any thread.
[[nodiscard]] PlacementResult place(const InstanceSpec& spec, std::span<const WorkerView> workers,
                                    const ScoreWeights& weights = {});

// The refusals in a sentence for the target's owner: the rule closest to success wins.
[[nodiscard]] std::string explain(const std::map<Refusal, std::size_t>& refusals);

}  // namespace mimeo::scheduler
