// One cell: a set of workers, the targets that run on them, and everything that waits or runs
// there.
//
// Events go in (from control planes, workers, commits, scans and the clock), actions come out:
// call an event, then take_actions() and do them in order. The cell never blocks, knows no network
// and no database, and can be thrown away at any moment: load_*() rebuilds it from the store, and
// the workers' Hellos say the rest. What the store says wins over what the cell believes.
//
// One thread. Created when a replica takes the cell's lease, destroyed when it loses it.
//
// The parts that decide are pure and beside this file: fair_queue, slots, placement, autoscaler,
// rollout, arbiter, setup_backoff, retry_rules, timer_wheel.

#pragma once

#include <absl/container/btree_map.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/store/fleet.h"
#include "common/store/predictions.h"
#include "scheduler/core/actions.h"
#include "scheduler/core/cell_state.h"
#include "scheduler/core/retry_rules.h"
#include "scheduler/core/setup_backoff.h"
#include "scheduler/core/types.h"

namespace mimeo::scheduler {

// Answer to a control plane that asks for a free slot.
struct ReserveAnswer {
  bool is_granted = false;
  std::uint64_t grant = 0;
  InstanceId instance;
  WorkerId worker;
  std::uint64_t incarnation = 0;
  VersionId version;
  std::int32_t release = 0;
  std::chrono::milliseconds hold{0};
};
// A grant whose row is committed.
struct GrantedPrediction {
  std::uint64_t grant = 0;
  PredictionId id;
  std::string input;
  std::chrono::milliseconds run_limit{0};
  std::optional<std::chrono::milliseconds> deadline_in = {};
  std::chrono::milliseconds progress{0};
  HubHint hub = 0;
};
// A row that is committed as queued.
struct QueuedPrediction {
  PredictionId id;
  TargetId target = 0;
  AccountId account = 0;
  Priority priority = Priority::kDefault;
  std::chrono::milliseconds run_limit{0};
  std::optional<std::chrono::milliseconds> deadline_in = {};
  HubHint hub = 0;
};
enum class CancelCase : std::uint8_t {
  kWasQueued,  // The row is terminal already.
  kRequested,  // cancel_at is set: the worker has to be told.
};

// What a worker says of itself.
struct AttemptKey {
  PredictionId id;
  std::uint32_t attempt = 0;
};
struct InstanceStatus {
  InstanceId id;
  InstanceState state = InstanceState::kRequested;
  std::uint32_t slots = 0;  // 0 = not known yet.
  std::string detail = {};
  std::chrono::milliseconds cold_start{0};
};
struct AttemptStatus {
  AttemptKey key;
  InstanceId instance = {};
  bool was_started = false;
  bool is_spooled = false;  // Finished; the result waits for a control plane.
};
struct WorkerHello {
  WorkerId id;
  std::uint64_t incarnation = 0;  // As registered.
  std::vector<std::string> skus;
  Resources total;
  std::vector<GpuView> gpus;
  std::vector<VersionId> images;
  std::vector<InstanceStatus> instances;
  std::vector<AttemptStatus> attempts;
};
enum class RejectReason : std::uint8_t { kInstanceGone, kBusy, kDraining, kStaleLease };
struct AttemptEnd {
  AttemptKey key;
  InstanceId instance;
  std::chrono::milliseconds ran{0};
  bool is_service_time = false;  // It ran to its own end: counts for the estimate.
};

struct TargetCounts {
  std::uint32_t queued = 0;
  std::uint32_t running = 0;
  std::uint32_t instances_ready = 0;
  std::uint32_t instances_starting = 0;
  std::string unmet_reason;
};
struct CellCounts {
  std::size_t queued = 0;
  std::size_t dispatched = 0;  // Assigned or running.
  std::size_t grants = 0;
  std::size_t workers = 0;  // Connected.
  std::size_t instances_ready = 0;
  std::size_t instances_starting = 0;
};

// Part of a scan of `active`: the rows with ids in (after, upto], in order.
struct ScanPage {
  PredictionId after;
  PredictionId upto;
  SteadyTime read_at;  // Taken before the read.
};

class Cell {
 public:
  // `clock` and `ids` outlive the cell.
  Cell(CellId id, std::uint64_t epoch, const CellOptions& options, const Clock& clock,
       IdGenerator& ids);
  ~Cell();
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  [[nodiscard]] CellId id() const { return id_; }
  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

  // Loading, before any other event: put_target() for all, then these in this order.
  void load_worker(const store::WorkerRow& row);
  void load_instance(const store::InstanceRow& row);
  void load_row(const store::ActiveRow& row);
  void finish_loading();

  // Configuration; at loading and whenever it changed.
  void put_target(const TargetConfig& config);
  void remove_target(TargetId id);
  void put_account(AccountId id, const AccountPolicy& policy);
  [[nodiscard]] bool knows_target(TargetId id) const;
  [[nodiscard]] std::vector<AccountId> accounts() const;

  // While paused (our lease is not certain, the database is away) nothing is assigned, granted,
  // started or stopped; what runs goes on.
  void pause();
  void resume();
  [[nodiscard]] bool is_paused() const { return is_paused_; }

  // Control planes.
  [[nodiscard]] ReserveAnswer reserve(TargetId target, AccountId account);
  void granted(GrantedPrediction prediction);
  void drop_grant(std::uint64_t grant);
  void queued(const QueuedPrediction& prediction);
  void cancel(PredictionId id, CancelCase what);
  [[nodiscard]] TargetCounts counts(TargetId target) const;
  [[nodiscard]] CellCounts counts() const;

  // Workers. Every message of a worker counts as a sign of life: heard() is for those without an
  // event of their own.
  void worker_hello(const WorkerHello& hello);
  void worker_closed(WorkerId worker);
  void heard(WorkerId worker);
  void accepted(WorkerId worker, const AttemptKey& key);
  void rejected(WorkerId worker, const AttemptKey& key, InstanceId instance, RejectReason reason);
  void started(WorkerId worker, const AttemptKey& key);
  void ended(WorkerId worker, const AttemptEnd& end);
  void instance_changed(WorkerId worker, const InstanceStatus& status);
  void images_changed(WorkerId worker, std::span<const VersionId> added,
                      std::span<const VersionId> removed);
  void worker_draining(WorkerId worker, std::chrono::milliseconds within);
  // What the store says of the worker: an operator may have drained it, or ended that.
  void worker_state_read(WorkerId worker, store::WorkerState state);

  // Answers to commits.
  void assigned(PredictionId id, store::Assigned answer);
  void requeued(PredictionId id, bool has_changed);
  void finished(PredictionId id, store::FinishOutcome outcome);
  void row_read(PredictionId id, const std::optional<store::ActiveRow>& row);
  void instance_inserted(InstanceId id);
  // It cannot be started (its target or version is gone).
  void instance_impossible(InstanceId id, const std::string& reason);

  // Scans: what is in the range and was not touched since is made equal to the rows.
  void scanned(const ScanPage& page, std::span<const store::ActiveRow> rows);

  // Time. Call at least every 250 ms: a longer silence of ours is taken for a pause of this
  // process, and workers get that time again.
  void tick();
  // When tick() has something to do.
  [[nodiscard]] SteadyTime next_wakeup() const;

  [[nodiscard]] std::vector<Action> take_actions();

 private:
  friend class CellProbe;  // Tests look at the books.

  // Of a Run whose row's wishes about webhooks are not at hand: often enough for any of them.
  static constexpr std::chrono::milliseconds kUnknownProgress{500};

  using PredictionMap = absl::btree_map<PredictionId, std::unique_ptr<Prediction>>;

  // cell.cc
  void settle();
  template <class A>
  void emit(A action) {
    actions_.emplace_back(std::move(action));
  }
  [[nodiscard]] SteadyTime now() const { return clock_.steady(); }
  TargetState& target(TargetId id);
  AccountState& account(AccountId id);
  [[nodiscard]] bool may_run(AccountId id, TargetState& target);
  void mark_dirty(TargetState& target);
  void relabel_instances(TargetState& target);
  void want_plan() { is_plan_wanted_ = true; }
  void fire(const Timer& timer);
  void take_place(TargetState& target, AccountId account);
  void give_place(TargetState& target, AccountId account, InstanceId instance);
  Instance* find_instance(InstanceId id);
  Worker* find_worker(WorkerId id);
  Prediction* find(PredictionId id);

  // cell_predictions.cc
  Prediction& add(PredictionId id, TargetState& target, AccountId account);
  void erase(Prediction& p);
  void enqueue(Prediction& p, FairQueue::Position position);
  void dequeue(Prediction& p);
  void dispatch(TargetState& target);
  Instance* pick_instance(TargetState& target, WorkerId avoid);
  void assign(Prediction& p, Instance& instance);
  void bind(Prediction& p, InstanceId instance, WorkerId worker, std::uint64_t incarnation);
  void unbind(Prediction& p);
  void release_slot(Prediction& p);
  void send_run(Prediction& p, std::optional<std::string> input,
                std::chrono::milliseconds progress);
  void enter_running(Prediction& p);
  void request_cancel(Prediction& p);
  void finish(Prediction& p, PredictionStatus status, std::string error, ActiveStates expected);
  void requeue(Prediction& p, std::uint32_t count);
  void lose(Prediction& p, LossKind kind);
  void deadline_passed(Prediction& p);
  void phase_overdue(Prediction& p);
  void forget_and_erase(Prediction& p);
  void set_phase_timer(Prediction& p, std::chrono::milliseconds in);
  void fail_queue(TargetState& target, const std::string& error);
  [[nodiscard]] std::chrono::milliseconds time_to_run(const Prediction& p) const;
  // Whether time_to_run() is what is left until the deadline.
  [[nodiscard]] bool ends_at_deadline(const Prediction& p) const;
  Prediction* current(WorkerId worker, const AttemptKey& key);
  void clear_overdue(Prediction& p);
  void give_back(Grant& grant);

  // cell_workers.cc
  void settle_instances(Worker& worker, const WorkerHello& hello);
  void settle_attempts(Worker& worker, const WorkerHello& hello);
  void attempt_reported(Worker& worker, const AttemptStatus& status);
  void attempt_missing(const Worker& worker, Prediction& p);
  void apply(Instance& instance, const InstanceStatus& status);
  void became_ready(Instance& instance, const InstanceStatus& status);
  void end_instance(Instance& instance, InstanceState state, const std::string& detail);
  void stop_instance(Instance& instance, std::chrono::milliseconds drain);
  void check_workers();
  void lose_worker(Worker& worker);
  void mark_worker_dirty(Worker& worker);

  // cell_plan.cc
  struct Planning;
  void plan();
  void plan_target(TargetState& target, Planning& planning);
  void apply_release_change(TargetState& target, std::int32_t number, store::ReleaseState from,
                            store::ReleaseState to);
  void shrink(TargetState& target, std::int32_t release, std::uint32_t keep);
  void drain_down(TargetState& target, std::int32_t release, std::uint32_t keep);
  void meet_claims(Planning& planning);
  void start_wished(Planning& planning);
  [[nodiscard]] bool make_room(const StartWish& wish, Planning& planning, const Arbiter& arbiter);
  void create_instance(TargetState& target, std::int32_t release, const InstanceSpec& spec,
                       WorkerId worker, const std::vector<GpuIndex>& gpus, AccountId started_for);
  [[nodiscard]] std::vector<AccountId> next_started_for(const TargetState& target,
                                                        std::uint32_t count) const;
  [[nodiscard]] std::vector<WorkerView> worker_views();
  void account_usage();

  // cell_reconcile.cc
  void adopt(const store::ActiveRow& row);
  void fill(Prediction& p, const store::ActiveRow& row);
  void unknown_row(const store::ActiveRow& row, SteadyTime read_at);
  void known_row(Prediction& p, const store::ActiveRow& row);
  void vanished(Prediction& p);

  // Constant after construction.
  const CellId id_;
  const std::uint64_t epoch_;
  const CellOptions options_;
  const Clock& clock_;
  IdGenerator& ids_;

  bool is_loading_ = true;
  bool is_paused_ = false;
  bool is_plan_wanted_ = false;
  SteadyTime last_plan_;
  SteadyTime last_tick_;
  SteadyTime last_check_;
  SteadyTime last_usage_;
  TimerWheel<Timer> timers_;
  SetupBackoff backoff_;
  std::uint64_t next_grant_;
  double eviction_clock_ = 0;  // Greedy-Dual: rises to the score of the last victim.

  std::map<AccountId, AccountState> accounts_;
  std::map<TargetId, std::unique_ptr<TargetState>> targets_;
  std::map<WorkerId, std::unique_ptr<Worker>> workers_;
  std::map<InstanceId, std::unique_ptr<Instance>> instances_;
  PredictionMap predictions_;
  std::unordered_map<std::uint64_t, Grant> grants_;
  std::list<Claim> claims_;
  std::set<TargetId> dirty_;  // May have both work and a free slot.
  // Rows of unknown origin and when they were first seen: a hint may still be on its way.
  std::unordered_map<PredictionId, SteadyTime> unsettled_;
  std::vector<Action> actions_;
};

}  // namespace mimeo::scheduler
