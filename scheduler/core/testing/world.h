// A cell with everything round it, for tests: a store with the same compare-and-set rules as the
// real one (in a map), workers that do what they are told, and a clock that moves when told to.

#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "scheduler/core/cell.h"

namespace mimeo::scheduler::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Stands in for PredictionStore: `active` and `results` with the transitions that the scheduler
// and the control plane make.
class RowStore {
 public:
  struct Result {
    PredictionStatus status = PredictionStatus::kFailed;
    std::uint32_t attempt = 0;
    std::string error;
  };
  std::map<PredictionId, store::ActiveRow> active;
  std::map<PredictionId, Result> results;
  std::uint64_t epoch = 1;
  int double_results = 0;  // Must stay zero.

  void insert(const store::ActiveRow& row) { active[row.id] = row; }
  // T3.
  store::Assigned assign(const store::Assignment& a);
  // T4, as the control plane does it.
  bool mark_started(PredictionId id, std::uint32_t attempt);
  // T5, T7, T8, T10 to T14.
  store::FinishOutcome finish(const store::Finish& f);
  // T6.
  bool requeue(const store::Requeue& r);
  // T8 or T9: true when it is terminal now.
  bool cancel(PredictionId id);
};

// One cell, its store and its workers.
class World {
 public:
  explicit World(CellOptions options = {}, std::uint64_t seed = 1);

  FakeClock clock;
  SeededRandom random;
  IdGenerator ids;
  CellOptions options;
  RowStore rows;
  std::map<InstanceId, store::InstanceRow> instances;
  std::map<WorkerId, store::WorkerState> worker_states;
  std::vector<RecordRelease> release_changes;
  std::map<TargetId, TargetConfig> configs;
  std::map<AccountId, AccountPolicy> policies;
  std::unique_ptr<Cell> cell;

  // Messages to workers, oldest first, by kind.
  std::deque<SendRun> runs;
  std::deque<SendCancel> cancels;
  std::deque<SendForget> forgets;
  std::deque<SendEnsure> ensures;
  std::deque<SendStop> stops;

  // A version pool target (or a deployment when `deployment` is set), account 1 the owner.
  TargetConfig make_target(TargetId id, std::int32_t min, std::int32_t max,
                           std::uint32_t concurrency = 1);
  void put(const TargetConfig& config);
  static VersionId version(int number);

  // A worker that offers "cpu" with this many milli-cores (0 = no limit) and GPUs ("gpu").
  WorkerId add_worker(std::uint32_t cpu_milli = 0, std::uint32_t gpus = 0);
  WorkerHello hello(WorkerId id) const;
  void connect(const WorkerHello& hello);

  // Does what the cell wants until it wants nothing more.
  void pump();
  // Moves the clock in steps, ticking; heartbeats from every worker that `is_alive`.
  void advance(milliseconds by);
  std::set<WorkerId> alive;

  // What workers do. Each takes the oldest message of its kind.
  InstanceId make_ready(std::uint32_t slots = 1, milliseconds cold_start = seconds{2});
  InstanceId fail_setup(const std::string& detail);
  void report(InstanceId id, InstanceState state, const std::string& detail = "",
              std::uint32_t slots = 0);
  void stop_all();       // Every StopInstance is obeyed.
  SendRun start_next();  // Accepts and starts the oldest Run.
  void end(const SendRun& run, milliseconds ran = seconds{1},
           PredictionStatus status = PredictionStatus::kSucceeded);
  // A worker that runs everything at once until nothing is left to run.
  void run_everything(milliseconds each = milliseconds{100});

  // A client's create without a grant.
  PredictionId submit(TargetId target, AccountId account, Priority priority = Priority::kDefault,
                      std::optional<milliseconds> deadline = std::nullopt);
  // The same without the hint: only a scan finds it.
  PredictionId insert_row(TargetId target, AccountId account);
  void cancel(PredictionId id);
  void scan();

  // A new owner with the same store: what a takeover does.
  void take_over();

  [[nodiscard]] bool is_done(PredictionId id) const { return rows.results.contains(id); }
  [[nodiscard]] TargetCounts counts(TargetId id) const { return cell->counts(id); }
  [[nodiscard]] std::size_t live_instances() const;

 private:
  void perform(Action& action);
  std::map<WorkerId, WorkerHello> machines_;
  std::map<InstanceId, WorkerId> hosts_;
  std::map<PredictionId, AccountId> owners_;
};

}  // namespace mimeo::scheduler::testing
