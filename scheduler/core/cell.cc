#include "scheduler/core/cell.h"

#include <algorithm>
#include <utility>

namespace mimeo::scheduler {
namespace {

// How long an expired grant is remembered: a Granted that comes late can still be settled at once.
constexpr std::chrono::seconds kLateGrants{30};
constexpr std::chrono::milliseconds kCheckWorkersEvery{200};

}  // namespace

Cell::Cell(CellId id, std::uint64_t epoch, const CellOptions& options, const Clock& clock,
           IdGenerator& ids)
    : id_(id),
      epoch_(epoch),
      options_(options),
      clock_(clock),
      ids_(ids),
      last_plan_(clock.steady() - options.plan_every),
      last_tick_(clock.steady()),
      last_check_(clock.steady()),
      last_usage_(clock.steady()),
      timers_(clock.steady()),
      backoff_(options.broken_for),
      // Unlike any number that another cell of this process, or an earlier epoch, has given out.
      next_grant_((static_cast<std::uint64_t>(id) << 48) + ((epoch & 0xffff) << 32) + 1) {}

Cell::~Cell() = default;

// --- Look-ups ---------------------------------------------------------------------------------

TargetState& Cell::target(TargetId id) {
  std::unique_ptr<TargetState>& slot = targets_[id];
  if (slot == nullptr) {
    slot =
        std::make_unique<TargetState>(now(), std::min(options_.keep_window, options_.idle_timeout));
    slot->config.id = id;
    emit(NeedTarget{id});
  }
  return *slot;
}

AccountState& Cell::account(AccountId id) {
  const auto [it, is_new] = accounts_.try_emplace(id);
  if (is_new) emit(NeedAccount{id});
  return it->second;
}

Instance* Cell::find_instance(InstanceId id) {
  const auto it = instances_.find(id);
  return it == instances_.end() ? nullptr : it->second.get();
}

Worker* Cell::find_worker(WorkerId id) {
  const auto it = workers_.find(id);
  return it == workers_.end() ? nullptr : it->second.get();
}

Prediction* Cell::find(PredictionId id) {
  const auto it = predictions_.find(id);
  return it == predictions_.end() ? nullptr : it->second.get();
}

bool Cell::may_run(AccountId id, TargetState& target) {
  AccountState& a = account(id);
  if (a.policy.max_running <= 0 || a.running < static_cast<std::uint32_t>(a.policy.max_running)) {
    return true;
  }
  a.blocked_targets.insert(target.config.id);
  return false;
}

// --- Configuration ----------------------------------------------------------------------------

void Cell::put_target(const TargetConfig& config) {
  TargetState& t = target(config.id);
  const bool has_new_release = !config.releases.empty() &&
                               (t.config.releases.empty() ||
                                t.config.releases.front().number != config.releases.front().number);
  t.config = config;
  t.is_known = true;
  t.is_removed = false;
  t.units = hardware_units(config.resources);
  // A new release is a new chance, also for a version that failed before.
  if (has_new_release && !is_loading_) {
    backoff_.reset(config.releases.front().version, config.sku);
  }
  relabel_instances(t);
  if (is_loading_) return;
  mark_dirty(t);
  want_plan();
  settle();
}

// A release that changes only the bounds needs no new containers: those of the same version and
// hardware become its own.
void Cell::relabel_instances(TargetState& t) {
  if (t.config.releases.empty()) return;
  const ReleaseConfig& newest = t.config.releases.front();
  for (Instance* instance : t.instances) {
    if (instance->spec.version == newest.version && instance->spec.sku == t.config.sku &&
        instance->spec.resources == t.config.resources) {
      instance->release = newest.number;
    }
  }
}

void Cell::remove_target(TargetId id) {
  const auto it = targets_.find(id);
  if (it == targets_.end()) return;
  TargetState& t = *it->second;
  t.is_removed = true;
  t.is_known = true;
  t.config.releases.clear();
  t.config.min_instances = 0;
  t.config.max_instances = 0;
  fail_queue(t, "The deployment or version was deleted.");
  want_plan();
  settle();
}

void Cell::put_account(AccountId id, const AccountPolicy& policy) {
  AccountState& a = accounts_[id];
  a.policy = policy;
  for (const TargetId blocked : std::exchange(a.blocked_targets, {})) dirty_.insert(blocked);
  if (policy.weight != 1) {
    for (const auto& [target_id, t] : targets_) {
      if (t->queue.size_of(id) > 0) t->queue.set_weight(id, policy.weight);
    }
  }
  if (!is_loading_) settle();
}

bool Cell::knows_target(TargetId id) const {
  const auto it = targets_.find(id);
  return it != targets_.end() && it->second->is_known;
}

std::vector<AccountId> Cell::accounts() const {
  std::vector<AccountId> ids;
  ids.reserve(accounts_.size());
  for (const auto& [id, state] : accounts_) ids.push_back(id);
  return ids;
}

void Cell::pause() { is_paused_ = true; }

void Cell::resume() {
  if (!is_paused_) return;
  is_paused_ = false;
  for (const auto& [id, t] : targets_) mark_dirty(*t);
  want_plan();
  settle();
}

// --- Slots and grants -------------------------------------------------------------------------

void Cell::take_place(TargetState& target, AccountId id) {
  ++target.running;
  ++account(id).running;
}

void Cell::give_place(TargetState& target, AccountId id, InstanceId where) {
  --target.running;
  AccountState& a = account(id);
  --a.running;
  for (const TargetId blocked : std::exchange(a.blocked_targets, {})) dirty_.insert(blocked);
  if (Instance* instance = find_instance(where)) {
    instance->last_used = now();
    if (instance->slots->used() == 0) {
      instance->idle_since = now();
      if (!claims_.empty()) want_plan();
    }
  }
  mark_dirty(target);
}

ReserveAnswer Cell::reserve(TargetId target_id, AccountId account_id) {
  ReserveAnswer answer;
  const auto it = targets_.find(target_id);
  if (it == targets_.end()) {
    target(target_id);  // Asks for its configuration: the next one may be lucky.
    return answer;
  }
  TargetState& t = *it->second;
  if (is_paused_ || !t.is_known || !may_run(account_id, t)) return answer;
  // Whoever waits has the better claim.
  if (t.queue.has_eligible([&](AccountId id) { return may_run(id, t); })) return answer;
  Instance* instance = pick_instance(t, {});
  if (instance == nullptr) return answer;

  Grant grant;
  grant.number = next_grant_++;
  grant.target = &t;
  grant.account = account_id;
  grant.instance = instance->id;
  grant.worker = instance->worker->id;
  grant.incarnation = instance->worker->incarnation;
  grant.slot = instance->slots->try_hold();
  grant.cost = t.scaler.service_seconds() * t.units;
  grant.timer = timers_.schedule(now() + options_.grant_hold,
                                 {.kind = TimerKind::kGrant, .id = {}, .number = grant.number});
  take_place(t, account_id);
  if (const double weight = account(account_id).policy.weight; weight != 1) {
    t.queue.set_weight(account_id, weight);
  }
  t.queue.charge(account_id, grant.cost);
  t.scaler.arrived(now());
  instance->last_used = now();

  answer = {.is_granted = true,
            .grant = grant.number,
            .instance = instance->id,
            .worker = grant.worker,
            .incarnation = grant.incarnation,
            .version = instance->spec.version,
            .release = instance->release,
            .hold = options_.grant_hold};
  grants_.emplace(grant.number, std::move(grant));
  return answer;
}

void Cell::give_back(Grant& grant) {
  if (!grant.slot.is_held()) return;
  grant.slot.release();
  grant.target->queue.correct(grant.account, -grant.cost);
  give_place(*grant.target, grant.account, grant.instance);
}

void Cell::drop_grant(std::uint64_t number) {
  const auto it = grants_.find(number);
  if (it == grants_.end()) return;
  timers_.cancel(it->second.timer);
  give_back(it->second);
  grants_.erase(it);
  settle();
}

void Cell::granted(GrantedPrediction granted) {
  const auto it = grants_.find(granted.grant);
  if (it == grants_.end()) return;  // Long expired: the scan finds the row.
  Grant grant = std::move(it->second);
  grants_.erase(it);
  timers_.cancel(grant.timer);
  if (find(granted.id) != nullptr) {  // The scan was faster.
    give_back(grant);
    settle();
    return;
  }
  Prediction& p = add(granted.id, *grant.target, grant.account);
  p.attempt = 1;
  p.run_limit = granted.run_limit;
  p.hub = granted.hub;
  p.cost = grant.cost;
  if (granted.deadline_in) {
    p.deadline = now() + *granted.deadline_in;
    p.deadline_timer = timers_.schedule(*p.deadline, {.kind = TimerKind::kDeadline, .id = p.id});
  }
  bind(p, grant.instance, grant.worker, grant.incarnation);
  p.phase = Phase::kAssigned;
  p.slot = std::move(grant.slot);
  Instance* instance = find_instance(grant.instance);
  if (!p.slot.is_held() && instance != nullptr) {  // Expired: the place may be free still.
    p.slot = instance->slots->try_hold();
    if (p.slot.is_held()) take_place(*p.target, p.account);
  }
  if (!p.slot.is_held() || instance == nullptr || instance->is_leaving ||
      instance->worker->is_lost) {
    requeue(p, 0);
  } else {
    send_run(p, std::move(granted.input), granted.progress);
  }
  settle();
}

// --- Time -------------------------------------------------------------------------------------

void Cell::fire(const Timer& timer) {
  if (timer.kind == TimerKind::kGrant) {
    const auto it = grants_.find(timer.number);
    if (it == grants_.end()) return;
    if (!it->second.slot.is_held()) {
      grants_.erase(it);
      return;
    }
    give_back(it->second);
    it->second.timer = timers_.schedule(now() + kLateGrants, timer);
    return;
  }
  Prediction* p = find(timer.id);
  if (p == nullptr) return;
  if (timer.kind == TimerKind::kDeadline) {
    p->deadline_timer = {};
    deadline_passed(*p);
  } else {
    p->phase_timer = {};
    phase_overdue(*p);
  }
}

void Cell::tick() {
  const SteadyTime at = now();
  if (const auto gap = at - last_tick_; gap > options_.clock_gap) {
    // We were stopped, or the machine slept: the workers' messages of that time are still to come.
    for (const auto& [id, worker] : workers_) worker->last_heard += gap;
  }
  last_tick_ = at;
  timers_.advance(at, [this](const Timer& timer) { fire(timer); });
  if (at - last_check_ >= kCheckWorkersEvery) {
    last_check_ = at;
    check_workers();
  }
  if (at - last_plan_ >= options_.plan_every) want_plan();
  settle();
}

SteadyTime Cell::next_wakeup() const {
  SteadyTime at = std::min(last_plan_ + options_.plan_every, last_check_ + kCheckWorkersEvery);
  if (is_plan_wanted_) at = std::min(at, last_plan_ + options_.plan_apart);
  if (const auto timer = timers_.next_wakeup()) at = std::min(at, *timer);
  return at;
}

void Cell::mark_dirty(TargetState& target) {
  if (!target.queue.is_empty()) dirty_.insert(target.config.id);
}

// Ends every event: gives free slots to whoever waits, and plans when something asked for it.
void Cell::settle() {
  if (is_loading_) return;
  while (!dirty_.empty()) {
    const TargetId id = *dirty_.begin();
    dirty_.erase(dirty_.begin());
    const auto it = targets_.find(id);
    if (it != targets_.end()) dispatch(*it->second);
  }
  if (is_plan_wanted_ && !is_paused_ && now() - last_plan_ >= options_.plan_apart) plan();
}

std::vector<Action> Cell::take_actions() { return std::exchange(actions_, {}); }

// --- Views ------------------------------------------------------------------------------------

TargetCounts Cell::counts(TargetId id) const {
  TargetCounts counts;
  const auto it = targets_.find(id);
  if (it == targets_.end()) return counts;
  const TargetState& t = *it->second;
  counts.queued = static_cast<std::uint32_t>(t.queue.size());
  counts.running = t.running;
  for (const Instance* instance : t.instances) {
    if (instance->is_leaving || instance->worker->is_lost) continue;
    if (instance->state == InstanceState::kReady) {
      ++counts.instances_ready;
    } else if (instance->state < InstanceState::kReady) {
      ++counts.instances_starting;
    }
  }
  counts.unmet_reason = t.unmet_reason;
  return counts;
}

CellCounts Cell::counts() const {
  CellCounts counts;
  for (const auto& [id, t] : targets_) counts.queued += t->queue.size();
  for (const auto& [id, w] : workers_) {
    counts.dispatched += w->attempts.size();
    counts.workers += w->is_connected ? 1 : 0;
  }
  for (const auto& [id, grant] : grants_) counts.grants += grant.slot.is_held() ? 1 : 0;
  for (const auto& [id, instance] : instances_) {
    if (instance->state == InstanceState::kReady) {
      ++counts.instances_ready;
    } else if (instance->state < InstanceState::kReady) {
      ++counts.instances_starting;
    }
  }
  return counts;
}

}  // namespace mimeo::scheduler
