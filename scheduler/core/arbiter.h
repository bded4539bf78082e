// Shares the capacity of a cell between the targets that want more of it: who is served first, and
// whose idle instance makes room. One arbiter per cell instead of one autoscaler per target:
// independent ones fight over a fixed pool.
//
// Pure: snapshots in, choices out. The cell keeps the books and acts.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "scheduler/core/cluster_view.h"

namespace mimeo::scheduler {

// One instance that a target would like to start.
struct StartWish {
  InstanceSpec spec;
  std::int32_t release = 0;
  AccountId account = 0;      // Who pays: the owner of a deployment, else whose work waits longest.
  AccountId started_for = 0;  // Training pools: whose training will run there first; 0 = nobody's.
  double gain = 0;            // Queue seconds removed per second of hardware; higher first.
  double waiting_s = 0;       // Oldest waiting prediction of the target.
  bool is_starving = false;   // Before all others.
};

// What an account holds and held lately.
struct AccountShare {
  double weight = 1;
  double held = 0;    // Hardware units now.
  double recent = 0;  // Decayed average of hardware units over about ten minutes.
};

// Hands out wishes in the order of fairness: the account with the smallest weighted share first,
// among its targets the largest gain. Every start raises the account's share.
class Arbiter {
 public:
  Arbiter(std::vector<StartWish> wishes, std::map<AccountId, AccountShare> shares);
  // The next wish, removed; nullopt when none is left.
  [[nodiscard]] std::optional<StartWish> next();
  // A wish of this account is being served with this hardware.
  void served(AccountId account, const Resources& resources);
  // (held + recent) / weight.
  [[nodiscard]] double key(AccountId account) const;

 private:
  std::map<AccountId, AccountShare> shares_;
  std::map<AccountId, std::vector<StartWish>> waiting_;  // Worst first: taken from the back.
  std::vector<StartWish> starving_;                      // Same.
};

// An instance that could make room.
struct VictimView {
  InstanceId instance;
  InstanceSpec spec;
  AccountId account = 0;
  WorkerId worker;
  std::vector<GpuIndex> gpus;
  bool is_busy = false;
  bool is_outdated = false;  // Of an older release of its target: the target loses nothing.
  double score = 0;          // What its loss would cost; lowest goes first (Greedy-Dual).
};

struct Eviction {
  WorkerId worker;
  std::vector<GpuIndex> gpus;  // That the new instance gets once the victims are gone.
  std::vector<InstanceId> victims;
};

// The cheapest set of victims on one worker whose end makes room for `spec`; nullopt when no set
// does. `spare`: how many instances each target can lose (above its minimum).
[[nodiscard]] std::optional<Eviction> find_eviction(const InstanceSpec& spec,
                                                    std::span<const WorkerView> workers,
                                                    std::span<const VictimView> victims,
                                                    const std::map<TargetId, std::uint32_t>& spare);

// Hardware time used, decayed with a half-life of ten minutes.
class DecayedUse {
 public:
  void add(SteadyTime now, double unit_seconds);
  // Average units in use.
  [[nodiscard]] double average(SteadyTime now) const;

 private:
  double sum_ = 0;  // Unit-seconds at at_.
  SteadyTime at_{};
};

}  // namespace mimeo::scheduler
