// The books of a cell: what cell.h keeps in memory about predictions, instances, workers, targets
// and grants. Only the files of the cell include this.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/domain/instance.h"
#include "common/domain/prediction.h"
#include "scheduler/core/arbiter.h"
#include "scheduler/core/autoscaler.h"
#include "scheduler/core/cluster_view.h"
#include "scheduler/core/fair_queue.h"
#include "scheduler/core/slots.h"
#include "scheduler/core/timer_wheel.h"
#include "scheduler/core/types.h"

namespace mimeo::scheduler {

struct TargetState;
struct Instance;
struct Worker;

enum class TimerKind : std::uint8_t {
  kDeadline,  // Of a prediction.
  kPhase,     // What a prediction waits for in its phase did not come.
  kGrant,     // A reservation was not used.
};
struct Timer {
  TimerKind kind = TimerKind::kPhase;
  Uuid id;                   // Of the prediction.
  std::uint64_t number = 0;  // Of the grant.
};

// Where a prediction is, as far as the cell knows. At most one commit about a prediction is on its
// way at a time: in the phases marked (c) everything else waits for its answer.
enum class Phase : std::uint8_t {
  kQueued,     // Waits in the fair queue.
  kAssigning,  // (c) Has a slot; the assignment is being written.
  kAssigned,   // Written; the worker was told, or will be at its next Hello.
  kRunning,    // The container took it.
  kEnded,      // The worker is done with it; the row is about to vanish.
  kChecking,   // (c) Lost with its host or instance; the row is being read before the verdict.
  kRequeuing,  // (c) Being put back into the queue.
  kFinishing,  // (c) Being made terminal by us.
};

// What has to happen as soon as the commit on its way is answered.
enum class Verdict : std::uint8_t { kNone, kCancel, kDeadline };

struct Prediction {
  PredictionId id;
  TargetState* target = nullptr;
  AccountId account = 0;
  Priority priority = Priority::kDefault;
  Phase phase = Phase::kQueued;
  Phase phase_before = Phase::kQueued;  // While kFinishing: where it was.
  Verdict verdict = Verdict::kNone;
  RetryPolicy retry = RetryPolicy::kUnlessStreamed;
  std::uint32_t attempt = 0;
  std::uint32_t infra_failures = 0;
  std::uint32_t counting = 0;  // While kRequeuing: what is being added to infra_failures.
  std::uint32_t quick_losses = 0;
  HubHint hub = 0;
  std::chrono::milliseconds run_limit{0};
  std::optional<SteadyTime> deadline;
  SteadyTime touched;     // Last change: scans begun earlier say nothing about it.
  SteadyTime started_at;  // While was_started.

  // Of the current attempt, from kAssigning on.
  InstanceId instance;
  WorkerId worker;
  std::uint64_t incarnation = 0;  // As in the row.
  SlotHold slot;
  double cost = 0;  // Charged to the account's tag.

  WorkerId avoid;  // Lost there last time.
  bool is_accepted = false;
  bool was_started = false;  // This attempt.
  bool is_overdue = false;   // Counted in its worker's overdue.
  bool is_cancel_wanted = false;
  bool is_row_gone = false;  // Somebody else made it terminal; the worker has not said so yet.
  bool is_instance_gone = false;
  bool output_seen = false;

  FairQueue::Ticket ticket;  // While kQueued.
  TimerId deadline_timer;
  TimerId phase_timer;
};

struct Grant {
  std::uint64_t number = 0;
  TargetState* target = nullptr;
  AccountId account = 0;
  InstanceId instance;
  WorkerId worker;
  std::uint64_t incarnation = 0;
  SlotHold slot;  // Empty once it expired; the record stays a little for a late Granted.
  double cost = 0;
  TimerId timer;
};

struct Instance {
  InstanceId id;
  TargetState* target = nullptr;
  Worker* worker = nullptr;
  InstanceSpec spec;
  std::int32_t release = 0;
  AccountId started_for = 0;  // As in StartWish; not known of those of an earlier owner.
  std::vector<GpuIndex> gpus;
  InstanceState state = InstanceState::kRequested;
  std::shared_ptr<Slots> slots;
  bool is_committed = false;  // Its row is written.
  bool is_leaving = false;    // Told to drain or stop: no new work.
  bool was_ready = false;
  SteadyTime requested_at;
  SteadyTime ready_at;
  SteadyTime idle_since;
  SteadyTime last_used;
  SteadyTime paused_until;       // It rejected something lately.
  std::uint32_t rejections = 0;  // In a row.
  std::chrono::milliseconds stop_drain{0};
  // Attempts that run there but are not its current ones any more: each holds its place.
  std::map<std::pair<PredictionId, std::uint32_t>, SlotHold> strays;
};

struct Worker {
  WorkerId id;
  std::uint64_t incarnation = 0;
  bool is_connected = false;
  bool is_silent = false;  // Suspect: nothing heard for a while.
  bool is_lost = false;
  bool is_draining = false;
  bool is_drained_by_operator = false;  // Survives its Hello.
  std::uint32_t overdue = 0;            // Attempts it did not answer in time.
  SteadyTime last_heard;
  SteadyTime lost_at;
  std::set<std::string> skus;
  Resources total;
  std::vector<GpuView> gpus;  // is_free unused here.
  std::set<VersionId> images;
  std::set<InstanceId> instances;
  std::set<PredictionId> attempts;  // kAssigned, kRunning, kEnded here.

  // Gets new work and new instances.
  [[nodiscard]] bool is_good() const {
    return is_connected && !is_silent && !is_lost && !is_draining && overdue == 0;
  }
};

// A place on a worker that becomes free when its victims are gone.
struct Claim {
  TargetState* target = nullptr;
  std::int32_t release = 0;
  InstanceSpec spec;
  WorkerId worker;
  std::vector<GpuIndex> gpus;
  std::vector<InstanceId> victims;
  AccountId started_for = 0;  // As in StartWish.
  SteadyTime until;
};

struct AccountState {
  AccountPolicy policy;
  std::uint32_t running = 0;           // Slots held in this cell.
  std::set<TargetId> blocked_targets;  // Have work of this account that waits for max_running.
  DecayedUse use;
  double held = 0;  // Hardware units; filled by each plan.
};

struct TargetState {
  explicit TargetState(SteadyTime now, std::chrono::milliseconds keep_window)
      : scaler(now, keep_window) {}
  TargetConfig config;
  bool is_known = false;    // The configuration was read.
  bool is_removed = false;  // The store does not have it any more.
  FairQueue queue;
  Autoscaler scaler;
  std::vector<Instance*> instances;  // Not terminal.
  std::uint32_t running = 0;         // Slots held, grants included.
  SteadyTime waiting_since;          // Queue not empty and nothing dispatched since.
  SteadyTime last_shrink;
  std::optional<std::int32_t> current_release;
  std::string unmet_reason;
  double units = 0;  // Hardware units of one instance.
};

}  // namespace mimeo::scheduler
