#include "scheduler/core/rollout.h"

#include <algorithm>

namespace mimeo::scheduler {
namespace {

using store::ReleaseState;

// A quarter of the fleet at first, at least one: enough to see whether it works.
std::uint32_t surge_of(std::uint32_t want) { return std::max(1U, (want + 3) / 4); }

std::uint32_t instances(const ReleaseLoad& release) { return release.ready + release.coming; }

// The newest release serves all of it; older ones keep what it cannot serve yet, newest first, and
// start nothing.
void hand_over(RolloutPlan& plan, const ReleaseLoad& newest, const std::vector<ReleaseLoad>& older,
               std::uint32_t want) {
  plan.shares.push_back({newest.number, want, false});
  std::uint32_t budget = want > newest.ready ? want - newest.ready : 0;
  for (const ReleaseLoad& release : older) {
    const std::uint32_t kept = std::min(budget, release.ready);
    budget -= kept;
    plan.shares.push_back({release.number, kept, true});
  }
}

// The newest release is tried beside the one that serves.
void bring_up(RolloutPlan& plan, const ReleaseLoad& newest, const std::vector<ReleaseLoad>& older,
              std::uint32_t want) {
  plan.shares.push_back({newest.number, surge_of(want), false});
  std::uint32_t budget = want;
  bool is_first = true;
  for (const ReleaseLoad& release : older) {
    // The first of them is the live one: it scales as if there were no new release.
    const bool serves = is_first && release.state == ReleaseState::kLive;
    const std::uint32_t kept = serves ? want : std::min(budget, release.ready);
    budget -= std::min(budget, release.ready);
    plan.shares.push_back({release.number, kept, !serves});
    is_first = false;
  }
}

}  // namespace

RolloutPlan plan_rollout(const RolloutView& view) {
  RolloutPlan plan;
  std::vector<ReleaseLoad> usable;
  std::vector<ReleaseLoad> halted;
  for (const ReleaseLoad& release : view.releases) {
    (release.state == ReleaseState::kFailed ? halted : usable).push_back(release);
  }
  // Nothing but failed ones: the newest is all there is to try.
  if (usable.empty() && !halted.empty()) {
    usable.push_back(halted.front());
    halted.erase(halted.begin());
  }
  if (usable.size() > 1 && usable.front().state == ReleaseState::kRolling &&
      usable.front().ready == 0 && usable.front().setup_failures >= kRolloutHaltsAfter) {
    plan.change =
        ReleaseChange{usable.front().number, ReleaseState::kRolling, ReleaseState::kFailed};
    halted.push_back(usable.front());
    usable.erase(usable.begin());
  }
  for (const ReleaseLoad& release : halted) {
    if (instances(release) > 0) plan.shares.push_back({release.number, 0, true});
  }
  if (usable.empty()) {
    for (const ReleaseLoad& release : view.stale) plan.shares.push_back({release.number, 0, true});
    return plan;
  }

  const ReleaseLoad newest = usable.front();
  std::vector<ReleaseLoad> older(usable.begin() + 1, usable.end());
  older.insert(older.end(), view.stale.begin(), view.stale.end());
  const bool old_has_instances = std::any_of(older.begin(), older.end(),
                                             [](const ReleaseLoad& r) { return instances(r) > 0; });

  plan.current = newest.number;
  if (newest.state == ReleaseState::kRolling && newest.ready == 0 && old_has_instances) {
    plan.current = older.front().number;
    bring_up(plan, newest, older, view.want);
    return plan;
  }
  if (newest.state == ReleaseState::kRolling && newest.ready > 0) {
    plan.change = ReleaseChange{newest.number, ReleaseState::kRolling, ReleaseState::kLive};
  }
  hand_over(plan, newest, older, view.want);
  return plan;
}

}  // namespace mimeo::scheduler
