// What the core knows of targets, accounts and its own limits. Plain values; who reads them from
// the store is reconcile.h's business.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/domain/resources.h"
#include "common/store/catalog.h"

namespace mimeo::scheduler {

// One release of a target (version pools and trainings have a single one with number 0).
struct ReleaseConfig {
  std::int32_t number = 0;
  store::ReleaseState state = store::ReleaseState::kLive;
  VersionId version;
  std::int64_t image_bytes = 0;
  std::uint32_t concurrency = 1;  // Slots of an instance, until the worker reports them.
};

// A target without what only the worker needs (schemas and image names stay in the store: they are
// read when an instance is started).
struct TargetConfig {
  TargetId id = 0;
  store::TargetKind kind = store::TargetKind::kVersionPool;
  std::optional<DeploymentId> deployment;
  AccountId owner = 0;
  std::string sku;
  Resources resources;  // Of one instance.
  std::int32_t min_instances = 0;
  std::int32_t max_instances = 1;
  std::int64_t config_seq = 0;
  std::vector<ReleaseConfig> releases;  // Not superseded, newest first.
};
[[nodiscard]] TargetConfig to_config(const store::RunnableTarget& target);

// What fairness needs of an account.
struct AccountPolicy {
  double weight = 1;
  std::int32_t max_running = 0;  // In this cell; 0 = no limit.
};

// Where the control plane that holds a prediction's client listens; 0 = any. The numbers are the
// process's, opaque to the core.
using HubHint = std::uint32_t;

// Every number here has a reason in docs/scheduling.md. Tests set small ones.
struct CellOptions {
  std::chrono::milliseconds suspect_after{3000};   // Without a message: no new work.
  std::chrono::milliseconds lost_after{10'000};    // Without a message: its attempts go elsewhere.
  std::chrono::milliseconds forget_after{60'000};  // Lost for this long: its instances are gone.
  std::chrono::milliseconds grant_hold{2000};
  std::chrono::milliseconds accept_within{1000};  // Run -> Accepted, else the worker is suspect.
  std::chrono::milliseconds tell_again_every{10'000};  // Run, while it is not accepted.
  std::chrono::milliseconds start_within{300'000};     // Run -> Started, above the run limit.
  std::chrono::milliseconds cancel_grace{10'000};      // Then the worker kills the container.
  std::chrono::milliseconds cancel_sweep{15'000};  // Then the prediction is canceled without it.
  std::chrono::milliseconds backstop{10'000};      // Past deadline or run limit of a running one.
  std::chrono::milliseconds gone_grace{20'000};  // Row gone, worker silent about it: free the slot.
  std::chrono::milliseconds end_grace{10'000};   // Instance gone, attempt not ended: settle it.
  std::chrono::milliseconds plan_every{1000};
  std::chrono::milliseconds plan_apart{20};         // Event-driven plans come no closer than this.
  std::chrono::milliseconds idle_timeout{300'000};  // Instances above the minimum stop after this.
  std::chrono::milliseconds keep_window{120'000};   // The largest wish of this time is kept.
  std::chrono::milliseconds shrink_every{15'000};   // At most a quarter of the instances per this.
  std::chrono::milliseconds min_residency{5000};    // An instance this young is not evicted.
  std::chrono::milliseconds drain_victims_after{
      5000};                                         // Waiting this long, busy ones may be drained.
  std::chrono::milliseconds starving_after{60'000};  // Served before everybody else.
  std::chrono::milliseconds claim_limit{600'000};    // A claim on a machine not met by then.
  std::chrono::milliseconds drain_limit{30 * 60 * 1000};  // A draining instance stops after this.
  // The same of one that trains: above the longest run of a training.
  std::chrono::milliseconds training_drain_limit{25 * 60 * 60 * 1000};
  std::chrono::milliseconds setup_limit{10 * 60 * 1000};
  std::chrono::milliseconds broken_for{15 * 60 * 1000};  // Then a broken version is tried again.
  std::chrono::milliseconds clock_gap{
      2000};  // We did not run for this long: nobody else is to blame.
  std::uint32_t max_infra_retries = 2;
};

}  // namespace mimeo::scheduler
