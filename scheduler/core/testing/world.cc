#include "scheduler/core/testing/world.h"

#include <algorithm>

namespace mimeo::scheduler::testing {

// --- RowStore -----------------------------------------------------------------------------------

store::Assigned RowStore::assign(const store::Assignment& a) {
  const auto it = active.find(a.id);
  if (it == active.end() || it->second.state != ActiveState::kQueued ||
      it->second.attempt != a.expected_attempt || it->second.cancel_at) {
    return {};
  }
  store::ActiveRow& row = it->second;
  row.state = ActiveState::kAssigned;
  ++row.attempt;
  row.instance = a.instance;
  row.worker = a.worker;
  row.incarnation = a.incarnation;
  store::Assigned answer;
  answer.assigned = true;
  answer.attempt = row.attempt;
  answer.input = "{}";
  answer.run_limit = row.run_limit;
  return answer;
}

bool RowStore::mark_started(PredictionId id, std::uint32_t attempt) {
  const auto it = active.find(id);
  if (it == active.end() || it->second.attempt != attempt ||
      it->second.state != ActiveState::kAssigned) {
    return false;
  }
  it->second.state = ActiveState::kProcessing;
  return true;
}

store::FinishOutcome RowStore::finish(const store::Finish& f) {
  const auto it = active.find(f.id);
  if (it == active.end()) {
    const auto result = results.find(f.id);
    if (result == results.end()) return store::FinishOutcome::kUnknown;
    return f.attempt && result->second.attempt == *f.attempt ? store::FinishOutcome::kAlreadySame
                                                             : store::FinishOutcome::kSuperseded;
  }
  if ((f.attempt && it->second.attempt != *f.attempt) || !f.expected.contains(it->second.state)) {
    return store::FinishOutcome::kSuperseded;
  }
  const std::uint32_t attempt = it->second.attempt;
  active.erase(it);
  if (!results.try_emplace(f.id, Result{f.status, attempt, f.error}).second) ++double_results;
  return store::FinishOutcome::kCommitted;
}

bool RowStore::requeue(const store::Requeue& r) {
  const auto it = active.find(r.id);
  if (it == active.end() || it->second.attempt != r.attempt ||
      it->second.state == ActiveState::kQueued || it->second.worker != r.worker ||
      it->second.incarnation != r.incarnation) {
    return false;
  }
  it->second.state = ActiveState::kQueued;
  it->second.infra_failures += r.infra_failures;
  it->second.worker = {};
  it->second.instance = {};
  return true;
}

bool RowStore::cancel(PredictionId id) {
  const auto it = active.find(id);
  if (it == active.end()) return true;
  if (it->second.state == ActiveState::kQueued) {
    const std::uint32_t attempt = it->second.attempt;
    active.erase(it);
    if (!results.try_emplace(id, Result{PredictionStatus::kCanceled, attempt, ""}).second) {
      ++double_results;
    }
    return true;
  }
  if (!it->second.cancel_at) it->second.cancel_at = WallTime{};
  return false;
}

// --- World --------------------------------------------------------------------------------------

World::World(CellOptions opts, std::uint64_t seed)
    : random(seed), ids(clock, random), options(opts) {
  options.plan_apart = milliseconds{0};  // The clock stands still between events here.
  cell = std::make_unique<Cell>(0, 1, options, clock, ids);
  cell->finish_loading();
}

VersionId World::version(int number) {
  std::string raw(32, '\0');
  raw[0] = static_cast<char>(number);
  raw[31] = 1;
  return *VersionId::from_bytes(raw);
}

TargetConfig World::make_target(TargetId id, std::int32_t min, std::int32_t max,
                                std::uint32_t concurrency) {
  TargetConfig config;
  config.id = id;
  config.owner = 1;
  config.sku = "cpu";
  config.resources.cpu_milli = 1000;
  config.min_instances = min;
  config.max_instances = max;
  config.releases.push_back({.number = 0,
                             .state = store::ReleaseState::kLive,
                             .version = version(static_cast<int>(id)),
                             .image_bytes = 0,
                             .concurrency = concurrency});
  return config;
}

void World::put(const TargetConfig& config) {
  configs[config.id] = config;
  cell->put_target(config);
  pump();
}

WorkerId World::add_worker(std::uint32_t cpu_milli, std::uint32_t gpus) {
  WorkerHello machine;
  machine.id = ids.next();
  machine.incarnation = 1;
  machine.skus = {"cpu"};
  if (gpus > 0) machine.skus.push_back("gpu");
  machine.total.cpu_milli = cpu_milli;
  for (std::uint32_t i = 0; i < gpus; ++i) {
    machine.gpus.push_back({.index = i, .memory = 80_GiB, .is_free = true});
  }
  machines_[machine.id] = machine;
  worker_states[machine.id] = store::WorkerState::kReady;
  alive.insert(machine.id);
  connect(machine);
  return machine.id;
}

WorkerHello World::hello(WorkerId id) const { return machines_.at(id); }

void World::connect(const WorkerHello& hello) {
  alive.insert(hello.id);
  worker_states[hello.id] = store::WorkerState::kReady;
  cell->worker_hello(hello);
  pump();
}

void World::perform(Action& action) {
  std::visit(
      [this](auto& a) {
        using A = std::decay_t<decltype(a)>;
        if constexpr (std::is_same_v<A, AssignPrediction>) {
          cell->assigned(a.assignment.id, rows.assign(a.assignment));
        } else if constexpr (std::is_same_v<A, RequeuePrediction>) {
          cell->requeued(a.requeue.id, rows.requeue(a.requeue));
        } else if constexpr (std::is_same_v<A, FinishPrediction>) {
          cell->finished(a.finish.id, rows.finish(a.finish));
        } else if constexpr (std::is_same_v<A, ReadPrediction>) {
          const auto it = rows.active.find(a.id);
          cell->row_read(a.id, it == rows.active.end() ? std::nullopt : std::optional(it->second));
        } else if constexpr (std::is_same_v<A, InsertInstance>) {
          instances[a.row.id] = a.row;
          hosts_[a.row.id] = a.row.worker;
          cell->instance_inserted(a.row.id);
        } else if constexpr (std::is_same_v<A, RecordInstance>) {
          const auto it = instances.find(a.change.id);
          if (it != instances.end() && !is_terminal(it->second.state)) {
            it->second.state = a.change.state;
            it->second.detail = a.change.detail;
          }
        } else if constexpr (std::is_same_v<A, RecordWorker>) {
          worker_states[a.worker] = a.state;
        } else if constexpr (std::is_same_v<A, RecordRelease>) {
          release_changes.push_back(a);
        } else if constexpr (std::is_same_v<A, NeedTarget>) {
          const auto it = configs.find(a.target);
          if (it != configs.end()) cell->put_target(it->second);
        } else if constexpr (std::is_same_v<A, NeedAccount>) {
          const auto it = policies.find(a.account);
          cell->put_account(a.account, it == policies.end() ? AccountPolicy{} : it->second);
        } else if constexpr (std::is_same_v<A, SendRun>) {
          runs.push_back(std::move(a));
        } else if constexpr (std::is_same_v<A, SendCancel>) {
          cancels.push_back(a);
        } else if constexpr (std::is_same_v<A, SendForget>) {
          forgets.push_back(a);
        } else if constexpr (std::is_same_v<A, SendEnsure>) {
          ensures.push_back(a);
        } else {
          static_assert(std::is_same_v<A, SendStop>);
          stops.push_back(a);
        }
      },
      action);
}

void World::pump() {
  for (std::vector<Action> actions = cell->take_actions(); !actions.empty();
       actions = cell->take_actions()) {
    for (Action& action : actions) perform(action);
  }
}

void World::advance(milliseconds by) {
  const SteadyTime until = clock.steady() + by;
  while (clock.steady() < until) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - clock.steady());
    clock.advance(std::min(left, milliseconds{100}));
    for (const WorkerId id : alive) cell->heard(id);
    cell->tick();
    pump();
  }
}

void World::report(InstanceId id, InstanceState state, const std::string& detail,
                   std::uint32_t slots) {
  const WorkerId worker = hosts_.at(id);
  cell->instance_changed(
      worker,
      {.id = id, .state = state, .slots = slots, .detail = detail, .cold_start = milliseconds{0}});
  pump();
}

InstanceId World::make_ready(std::uint32_t slots, milliseconds cold_start) {
  const SendEnsure ensure = ensures.front();
  ensures.pop_front();
  cell->instance_changed(ensure.worker, {.id = ensure.instance,
                                         .state = InstanceState::kReady,
                                         .slots = slots,
                                         .detail = "",
                                         .cold_start = cold_start});
  pump();
  return ensure.instance;
}

InstanceId World::fail_setup(const std::string& detail) {
  const SendEnsure ensure = ensures.front();
  ensures.pop_front();
  report(ensure.instance, InstanceState::kFailed, detail);
  return ensure.instance;
}

void World::stop_all() {
  while (!stops.empty()) {
    const SendStop stop = stops.front();
    stops.pop_front();
    if (hosts_.contains(stop.instance)) report(stop.instance, InstanceState::kStopped);
  }
}

SendRun World::start_next() {
  SendRun run = std::move(runs.front());
  runs.pop_front();
  cell->accepted(run.worker, {run.id, run.attempt});
  cell->started(run.worker, {run.id, run.attempt});
  rows.mark_started(run.id, run.attempt);
  pump();
  return run;
}

void World::end(const SendRun& run, milliseconds ran, PredictionStatus status) {
  cell->ended(run.worker, {.key = {run.id, run.attempt},
                           .instance = run.instance,
                           .ran = ran,
                           .is_service_time = true});
  store::Finish f;
  f.id = run.id;
  f.attempt = run.attempt;
  f.status = status;
  rows.finish(f);
  pump();
}

void World::run_everything(milliseconds each) {
  while (!runs.empty()) {
    const SendRun run = start_next();
    clock.advance(each);
    end(run, each);
  }
}

PredictionId World::insert_row(TargetId target, AccountId account) {
  store::ActiveRow row;
  row.id = ids.next();
  row.target = target;
  row.account = account;
  row.created_at = clock.now();
  row.run_limit = std::chrono::minutes{30};
  rows.insert(row);
  return row.id;
}

PredictionId World::submit(TargetId target, AccountId account, Priority priority,
                           std::optional<milliseconds> deadline) {
  const PredictionId id = insert_row(target, account);
  store::ActiveRow& row = rows.active[id];
  row.priority = priority;
  if (deadline) row.deadline_at = clock.now() + *deadline;
  cell->queued({.id = id,
                .target = target,
                .account = account,
                .priority = priority,
                .run_limit = row.run_limit,
                .deadline_in = deadline,
                .hub = 0});
  pump();
  return id;
}

void World::cancel(PredictionId id) {
  const bool was_queued = rows.cancel(id);
  cell->cancel(id, was_queued ? CancelCase::kWasQueued : CancelCase::kRequested);
  pump();
}

void World::scan() {
  std::vector<store::ActiveRow> all;
  for (const auto& [id, row] : rows.active) all.push_back(row);
  std::array<std::uint8_t, 16> highest;
  highest.fill(0xff);
  const SteadyTime read_at = clock.steady();
  cell->scanned({.after = {}, .upto = Uuid(highest), .read_at = read_at}, all);
  pump();
}

void World::take_over() {
  ++rows.epoch;
  cell = std::make_unique<Cell>(0, rows.epoch, options, clock, ids);
  for (const auto& [id, config] : configs) cell->put_target(config);
  for (const auto& [id, state] : worker_states) {
    store::WorkerRow row;
    row.id = id;
    row.incarnation = machines_.at(id).incarnation;
    row.state = state;
    cell->load_worker(row);
  }
  for (const auto& [id, row] : instances) cell->load_instance(row);
  for (const auto& [id, row] : rows.active) cell->load_row(row);
  cell->finish_loading();
  alive.clear();
  pump();
}

std::size_t World::live_instances() const {
  return static_cast<std::size_t>(
      std::count_if(instances.begin(), instances.end(),
                    [](const auto& entry) { return !is_terminal(entry.second.state); }));
}

}  // namespace mimeo::scheduler::testing
