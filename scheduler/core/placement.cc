#include "scheduler/core/placement.h"

#include <utility>

namespace mimeo::scheduler {

PlacementResult place(const InstanceSpec& spec, std::span<const WorkerView> workers,
                      const ScoreWeights& weights) {
  PlacementResult result;
  const WorkerView* best = nullptr;
  double best_score = 0;
  const double total = weights.warm_cache + weights.packing + weights.spread;
  for (const WorkerView& worker : workers) {
    if (const std::optional<Refusal> refusal = why_refused(spec, worker)) {
      ++result.refusals[*refusal];
      continue;
    }
    double score = weights.warm_cache * warm_cache(spec, worker) +
                   weights.packing * packing(spec, worker) + weights.spread * spread(spec, worker);
    if (total > 0) score /= total;
    if (best == nullptr || score > best_score || (score == best_score && worker.id < best->id)) {
      best = &worker;
      best_score = score;
    }
  }
  if (best != nullptr) {
    result.placement = Placement{best->id, choose_gpus(spec, *best), best_score};
  }
  return result;
}

std::string explain(const std::map<Refusal, std::size_t>& refusals) {
  if (refusals.empty()) return "no machine has joined";
  // The last rule in the order is the one reached by the machines that came closest.
  return std::string(describe(refusals.rbegin()->first));
}

}  // namespace mimeo::scheduler
