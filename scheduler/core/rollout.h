// How a target moves from one release to the next without dropping work (decision D24).
//
// Predictions bind to a release when they are assigned, so queued work simply goes to what is
// ready. A new release is brought up beside the old one; as its instances become ready the old ones
// drain. One whose setup fails is halted and the old one keeps serving.
//
// Pure: counts in, shares out.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/store/catalog.h"

namespace mimeo::scheduler {

// What there is of one release now.
struct ReleaseLoad {
  std::int32_t number = 0;
  store::ReleaseState state = store::ReleaseState::kLive;
  std::uint32_t ready = 0;   // Instances that take work.
  std::uint32_t coming = 0;  // On their way to it.
  int setup_failures = 0;    // In a row.
};

struct RolloutView {
  std::vector<ReleaseLoad> releases;  // Not superseded, newest first.
  std::vector<ReleaseLoad> stale;     // Of releases that are not listed any more, newest first.
  std::uint32_t want = 0;             // Instances that the target should have in all.
};

struct ReleaseShare {
  std::int32_t number = 0;
  std::uint32_t want = 0;
  // Instances above `want` are drained now. Otherwise they may idle out as usual.
  bool is_leaving = false;
};

struct ReleaseChange {
  std::int32_t number = 0;
  store::ReleaseState from = store::ReleaseState::kRolling;
  store::ReleaseState to = store::ReleaseState::kLive;
};

struct RolloutPlan {
  std::vector<ReleaseShare> shares;     // Every release that has or should have instances.
  std::optional<ReleaseChange> change;  // To be written; the plan already assumes it.
  std::optional<std::int32_t> current;  // What new work prefers and what counts as broken.
};

// Setup failures after which a new release is halted while an older one can serve.
inline constexpr int kRolloutHaltsAfter = 2;

[[nodiscard]] RolloutPlan plan_rollout(const RolloutView& view);

}  // namespace mimeo::scheduler
