// The part of the cell that decides which instances there should be: wishes of the targets, shared
// out by the arbiter, placed on workers. Runs every second and on whatever changes the picture.

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <utility>

#include "scheduler/core/cell.h"
#include "scheduler/core/placement.h"
#include "scheduler/core/rollout.h"

namespace mimeo::scheduler {
namespace {

constexpr double kHorizonSeconds = 30;  // Over which a start is judged.
// Of a training pool, whose instances are few.
constexpr std::size_t kTurnsLookedAt = 256;

bool is_coming(const Instance& i) {
  return !i.is_leaving && i.state < InstanceState::kReady && !i.worker->is_lost;
}
bool is_up(const Instance& i) {
  return !i.is_leaving && i.state == InstanceState::kReady && !i.worker->is_lost;
}
bool is_suspended(const Instance& i) {
  return !i.is_leaving && i.state == InstanceState::kSuspended && !i.worker->is_lost;
}
bool is_wanted(const Instance& i) { return is_coming(i) || is_up(i); }

double seconds(SteadyTime from, SteadyTime to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

const ReleaseConfig* find_release(const TargetConfig& config, std::int32_t number) {
  for (const ReleaseConfig& release : config.releases) {
    if (release.number == number) return &release;
  }
  return nullptr;
}

}  // namespace

// What one pass knows.
struct Cell::Planning {
  SteadyTime now;
  std::vector<StartWish> wishes;
  std::vector<WorkerView> workers;
  std::set<TargetId> unserved;  // With a wish that found no place.
};

// --- Books as views -----------------------------------------------------------------------------

std::vector<WorkerView> Cell::worker_views() {
  std::vector<WorkerView> views;
  views.reserve(workers_.size());
  std::map<WorkerId, std::size_t> index;
  for (const auto& [id, w] : workers_) {
    index[id] = views.size();
    WorkerView view;
    view.id = id;
    view.is_ready = w->is_good();
    view.skus = w->skus;
    view.total = w->total;
    view.gpus = w->gpus;
    for (GpuView& gpu : view.gpus) gpu.is_free = true;
    view.images = &w->images;
    views.push_back(std::move(view));
  }
  // A lost machine's instances keep their booking: it may come back with them.
  for (const auto& [id, instance] : instances_) {
    book(views[index.at(instance->worker->id)], instance->spec, instance->gpus);
  }
  for (const Claim& claim : claims_) {
    const auto at = index.find(claim.worker);
    if (at != index.end()) book(views[at->second], claim.spec, claim.gpus);
  }
  return views;
}

void Cell::account_usage() {
  const double elapsed = seconds(last_usage_, now());
  last_usage_ = now();
  for (auto& [id, a] : accounts_) a.held = 0;
  for (const auto& [id, instance] : instances_) {
    const TargetState& t = *instance->target;
    if (t.is_known) account(t.config.owner).held += t.units;
  }
  for (auto& [id, a] : accounts_) {
    if (a.held > 0) a.use.add(now(), a.held * elapsed);
  }
}

// --- One pass -----------------------------------------------------------------------------------

void Cell::plan() {
  is_plan_wanted_ = false;
  last_plan_ = now();
  Planning planning;
  planning.now = now();
  account_usage();
  for (const auto& [id, t] : targets_) {
    const bool is_idle = t->instances.empty() && t->queue.is_empty();
    if (!t->is_known || (is_idle && t->config.min_instances == 0)) {
      t->unmet_reason.clear();
      continue;
    }
    plan_target(*t, planning);
    mark_dirty(*t);  // Pauses after rejections end by time alone.
  }
  if (!claims_.empty()) meet_claims(planning);
  if (!planning.wishes.empty()) start_wished(planning);
}

void Cell::plan_target(TargetState& t, Planning& planning) {
  if (t.is_removed && !t.queue.is_empty()) {
    fail_queue(t, "The deployment or version was deleted.");
  }
  TargetLoad load;
  load.queued = static_cast<std::uint32_t>(t.queue.size());
  load.running = t.running;
  load.oldest_wait_s = load.queued > 0 ? seconds(t.waiting_since, planning.now) : 0;
  RolloutView view;
  std::map<std::int32_t, ReleaseLoad, std::greater<>> loads;
  for (const ReleaseConfig& release : t.config.releases) {
    loads[release.number] = {.number = release.number,
                             .state = release.state,
                             .setup_failures = backoff_.failures(release.version, t.config.sku)};
    load.slots = release.concurrency;
  }
  for (const Instance* instance : t.instances) {
    if (!is_wanted(*instance)) continue;
    ReleaseLoad& release = loads[instance->release];
    release.number = instance->release;
    if (is_coming(*instance)) {
      ++release.coming;
      ++load.coming;
    } else {
      ++release.ready;
      ++load.ready;
      load.slots = std::max(1U, instance->slots->capacity());
    }
  }
  const ScaleBounds bounds{static_cast<std::uint32_t>(t.config.min_instances),
                           static_cast<std::uint32_t>(t.config.max_instances)};
  const ScaleWish wish = t.scaler.wish(planning.now, load, bounds);
  view.want = wish.want;
  for (const auto& [number, release] : loads) {
    (find_release(t.config, number) != nullptr ? view.releases : view.stale).push_back(release);
  }
  const RolloutPlan rollout = plan_rollout(view);
  t.current_release = rollout.current;
  if (rollout.change) {
    apply_release_change(t, rollout.change->number, rollout.change->from, rollout.change->to);
  }

  // A target whose version does not set up fails what waits for it, and says why.
  const ReleaseConfig* current =
      rollout.current ? find_release(t.config, *rollout.current) : nullptr;
  if (current != nullptr && load.ready == 0) {
    if (const auto reason = backoff_.broken_reason(current->version, t.config.sku, planning.now)) {
      t.unmet_reason = "setup failed: " + *reason;
      fail_queue(t, "The model failed to set up: " + *reason);
      return;
    }
  }

  const auto claimed = [&](std::int32_t number) {
    return static_cast<std::uint32_t>(
        std::count_if(claims_.begin(), claims_.end(),
                      [&](const Claim& c) { return c.target == &t && c.release == number; }));
  };
  bool is_short = false;
  for (const ReleaseShare& share : rollout.shares) {
    const ReleaseLoad& have = loads[share.number];
    const std::uint32_t count = have.ready + have.coming;
    if (count < share.want) {
      const ReleaseConfig* release = find_release(t.config, share.number);
      if (release == nullptr) continue;
      std::uint32_t missing = share.want - count;
      missing -= std::min(missing, claimed(share.number));
      if (!backoff_.may_start(release->version, t.config.sku, planning.now)) {
        t.unmet_reason =
            "waiting after a failure: " + backoff_.last_reason(release->version, t.config.sku);
        is_short = true;
        continue;
      }
      if (backoff_.failures(release->version, t.config.sku) > 0) {
        missing = have.coming > 0 ? 0 : std::min(missing, 1U);  // One probe at a time.
      }
      StartWish start;
      start.spec = {.target = t.config.id,
                    .version = release->version,
                    .sku = t.config.sku,
                    .resources = t.config.resources};
      start.release = share.number;
      start.account = t.config.kind == store::TargetKind::kDeployment
                          ? t.config.owner
                          : t.queue.first_account().value_or(t.config.owner);
      start.waiting_s = load.oldest_wait_s;
      start.is_starving = load.oldest_wait_s * 1000 >= options_.starving_after.count();
      const double startup = t.scaler.startup_seconds();
      start.gain =
          std::min(load.queued * t.scaler.service_seconds(), load.slots * kHorizonSeconds) /
          (t.units * (startup + kHorizonSeconds));
      for (const AccountId account : next_started_for(t, missing)) {
        start.started_for = account;
        planning.wishes.push_back(start);
      }
      is_short = is_short || missing > 0 || claimed(share.number) > 0;
    } else if (share.is_leaving || count > std::max(share.want, bounds.max)) {
      drain_down(t, share.number, share.is_leaving ? share.want : std::max(share.want, bounds.max));
    } else if (count > share.want) {
      const bool is_main = rollout.current == share.number;
      shrink(t, share.number, is_main ? std::max(share.want, wish.keep) : share.want);
    }
  }
  if (!is_short) t.unmet_reason.clear();
}

// Whom the next `count` instances are started for. In a training pool: those whose turns come next,
// without the turns that instances on their way were started for already.
std::vector<AccountId> Cell::next_started_for(const TargetState& t, std::uint32_t count) const {
  std::vector<AccountId> turns;
  if (t.config.kind == store::TargetKind::kTraining) {
    turns = t.queue.next_accounts(kTurnsLookedAt, t.scaler.service_seconds() * t.units);
    std::ptrdiff_t others = 0;
    const auto take = [&](AccountId account) {
      const auto turn = std::find(turns.begin(), turns.end(), account);
      if (turn == turns.end()) {
        ++others;
      } else {
        turns.erase(turn);
      }
    };
    for (const Instance* instance : t.instances) {
      if (is_wanted(*instance) && is_coming(*instance)) take(instance->started_for);
    }
    for (const Claim& claim : claims_) {
      if (claim.target == &t) take(claim.started_for);
    }
    // Started for somebody who does not wait any more, or by an earlier owner of the cell: they
    // will run what comes first.
    turns.erase(turns.begin(), turns.begin() + std::min(others, std::ssize(turns)));
  }
  turns.resize(count);
  return turns;
}

void Cell::apply_release_change(TargetState& t, std::int32_t number, store::ReleaseState from,
                                store::ReleaseState to) {
  bool has_changed = false;
  for (ReleaseConfig& release : t.config.releases) {
    if (release.number != number || release.state == to) continue;
    release.state = to;
    has_changed = true;
  }
  if (!has_changed) return;
  if (to == store::ReleaseState::kLive) {  // Older ones are superseded by the same write.
    std::erase_if(t.config.releases, [&](const ReleaseConfig& r) { return r.number < number; });
  }
  if (t.config.deployment) {
    emit(RecordRelease{t.config.id, *t.config.deployment, number, from, to});
  }
}

// --- Fewer --------------------------------------------------------------------------------------

// Down to `keep` now: those on their way first, then idle ones, then busy ones after their work.
void Cell::drain_down(TargetState& t, std::int32_t release, std::uint32_t keep) {
  std::vector<Instance*> candidates;
  for (Instance* instance : t.instances) {
    if (instance->release == release && is_wanted(*instance)) candidates.push_back(instance);
  }
  const auto rank = [](const Instance* i) {
    const int kind = is_coming(*i) ? 0 : (i->slots->used() == 0 ? 1 : 2);
    return std::tuple(kind, i->slots->used(), i->idle_since, i->id);
  };
  std::sort(candidates.begin(), candidates.end(),
            [&](const Instance* a, const Instance* b) { return rank(a) < rank(b); });
  while (candidates.size() > keep) {
    Instance* instance = candidates.front();
    candidates.erase(candidates.begin());
    const bool is_training = t.config.kind == store::TargetKind::kTraining;
    stop_instance(*instance, is_training ? options_.training_drain_limit : options_.drain_limit);
  }
}

// Idle ones above `keep`, longest idle first, a quarter at a time.
void Cell::shrink(TargetState& t, std::int32_t release, std::uint32_t keep) {
  const SteadyTime at = now();
  if (at - t.last_shrink < options_.shrink_every) return;
  std::vector<Instance*> idle;
  std::uint32_t count = 0;
  for (Instance* instance : t.instances) {
    if (instance->release != release || !is_wanted(*instance)) continue;
    ++count;
    if (!is_coming(*instance) && instance->slots->used() == 0 &&
        at - instance->idle_since >= options_.idle_timeout) {
      idle.push_back(instance);
    }
  }
  if (count <= keep || idle.empty()) return;
  std::sort(idle.begin(), idle.end(), [](const Instance* a, const Instance* b) {
    return std::tuple(a->idle_since, a->id) < std::tuple(b->idle_since, b->id);
  });
  const std::size_t step = std::min({idle.size(), static_cast<std::size_t>(count - keep),
                                     static_cast<std::size_t>((count + 3) / 4)});
  for (std::size_t i = 0; i < step; ++i) {
    stop_instance(*idle[i], std::chrono::milliseconds{0});
  }
  t.last_shrink = at;
}

// --- More ---------------------------------------------------------------------------------------

void Cell::meet_claims(Planning& planning) {
  for (auto it = claims_.begin(); it != claims_.end();) {
    Claim& claim = *it;
    const bool is_waiting =
        std::any_of(claim.victims.begin(), claim.victims.end(),
                    [this](InstanceId id) { return find_instance(id) != nullptr; });
    const Worker* worker = find_worker(claim.worker);
    const bool is_void = worker == nullptr || worker->is_lost || worker->is_draining ||
                         planning.now >= claim.until || claim.target->is_removed;
    if (!is_void && is_waiting) {
      ++it;
      continue;
    }
    const Claim ready = std::move(claim);
    it = claims_.erase(it);
    // Somebody may have gone home meanwhile: an idle target needs no instance.
    const TargetState& t = *ready.target;
    const bool is_needed = !t.queue.is_empty() ||
                           t.instances.size() < static_cast<std::size_t>(t.config.min_instances);
    if (!is_void && is_needed && find_release(t.config, ready.release) != nullptr) {
      create_instance(*ready.target, ready.release, ready.spec, ready.worker, ready.gpus,
                      ready.started_for);
    }
  }
}

void Cell::start_wished(Planning& planning) {
  planning.workers = worker_views();
  std::map<AccountId, AccountShare> shares;
  for (const auto& [id, a] : accounts_) {
    shares[id] = {.weight = a.policy.weight, .held = a.held, .recent = a.use.average(planning.now)};
  }
  Arbiter arbiter(std::move(planning.wishes), std::move(shares));
  // The same kind of machine that was refused once is refused again: thousands of waiting targets
  // must not cost thousands of scans.
  std::set<std::tuple<std::string, std::uint32_t, std::uint64_t, std::uint32_t, std::uint64_t>>
      refused;
  while (const std::optional<StartWish> wish = arbiter.next()) {
    TargetState& t = *targets_.at(wish->spec.target);
    const Resources& need = wish->spec.resources;
    const auto kind = std::tuple(wish->spec.sku, need.cpu_milli, need.memory.count, need.gpus,
                                 need.gpu_memory.count);
    if (refused.contains(kind)) {
      if (t.unmet_reason.empty()) t.unmet_reason = "waiting for capacity";
      continue;
    }
    const PlacementResult result = place(wish->spec, planning.workers);
    if (result.placement) {
      const Placement& placement = *result.placement;
      create_instance(t, wish->release, wish->spec, placement.worker, placement.gpus,
                      wish->started_for);
      for (WorkerView& worker : planning.workers) {
        if (worker.id == placement.worker) book(worker, wish->spec, placement.gpus);
      }
      arbiter.served(wish->account, need);
      t.unmet_reason.clear();
      continue;
    }
    t.unmet_reason = explain(result.refusals);
    if (make_room(*wish, planning, arbiter)) {
      t.unmet_reason = "waiting for another instance to end";
    } else if (!wish->is_starving) {
      refused.insert(kind);
    }
  }
}

// Evicts idle instances for the wish; when it has waited for long, also drains busy ones of those
// who hold more than their share. True when a claim was made.
bool Cell::make_room(const StartWish& wish, Planning& planning, const Arbiter& arbiter) {
  const SteadyTime at = planning.now;
  const bool may_drain = wish.waiting_s * 1000 >= options_.drain_victims_after.count();
  const double taker = arbiter.key(wish.account);
  std::vector<VictimView> idle;
  std::vector<VictimView> all;
  std::map<TargetId, std::uint32_t> spare;
  for (const auto& [id, instance] : instances_) {
    if (!is_up(*instance) && !is_suspended(*instance)) continue;
    const TargetState& owner = *instance->target;
    const bool is_own = owner.config.id == wish.spec.target;
    const bool is_outdated = is_own && instance->release < wish.release;
    if (is_own && !is_outdated) continue;
    if (!is_own) ++spare[owner.config.id];
    const bool is_busy = instance->slots->used() > 0;
    if (!is_outdated && at - instance->ready_at < options_.min_residency) continue;
    // Hours of work would be lost for good; how many may run is limited instead.
    if (is_busy && owner.config.kind == store::TargetKind::kTraining) continue;
    VictimView victim{.instance = id,
                      .spec = instance->spec,
                      .account = owner.config.owner,
                      .worker = instance->worker->id,
                      .gpus = instance->gpus,
                      .is_busy = is_busy,
                      .is_outdated = is_outdated,
                      .score = 0};
    victim.score = eviction_clock_ + owner.scaler.arrival_rate(at) *
                                         owner.scaler.startup_seconds() /
                                         std::max(owner.units, 1e-3);
    if (!is_busy) {
      idle.push_back(victim);
      all.push_back(victim);
      continue;
    }
    // Busy: only from whoever holds more than the taker would, or after starvation.
    victim.score += 1000;
    const bool is_over_share =
        victim.account != wish.account &&
        arbiter.key(victim.account) > taker + hardware_units(wish.spec.resources);
    if (is_outdated || wish.is_starving || is_over_share) all.push_back(victim);
  }
  for (auto& [id, count] : spare) {
    const auto min = static_cast<std::uint32_t>(targets_.at(id)->config.min_instances);
    count -= std::min(count, min);
  }
  std::optional<Eviction> eviction = find_eviction(wish.spec, planning.workers, idle, spare);
  if (!eviction && may_drain) {
    eviction = find_eviction(wish.spec, planning.workers, all, spare);
  }
  if (!eviction) return false;

  for (const VictimView& victim : all) {
    if (std::find(eviction->victims.begin(), eviction->victims.end(), victim.instance) ==
        eviction->victims.end()) {
      continue;
    }
    if (!victim.is_busy) eviction_clock_ = std::max(eviction_clock_, victim.score);
    stop_instance(*find_instance(victim.instance),
                  victim.is_busy ? options_.drain_limit : std::chrono::milliseconds{0});
  }
  claims_.push_back({.target = targets_.at(wish.spec.target).get(),
                     .release = wish.release,
                     .spec = wish.spec,
                     .worker = eviction->worker,
                     .gpus = eviction->gpus,
                     .victims = eviction->victims,
                     .started_for = wish.started_for,
                     .until = at + options_.claim_limit});
  for (WorkerView& worker : planning.workers) {
    if (worker.id == eviction->worker) book(worker, wish.spec, eviction->gpus);
  }
  return true;
}

void Cell::create_instance(TargetState& t, std::int32_t release, const InstanceSpec& spec,
                           WorkerId worker_id, const std::vector<GpuIndex>& gpus,
                           AccountId started_for) {
  Worker& worker = *find_worker(worker_id);
  const ReleaseConfig* config = find_release(t.config, release);
  auto instance = std::make_unique<Instance>();
  instance->id = ids_.next();
  instance->target = &t;
  instance->worker = &worker;
  instance->spec = spec;
  instance->release = release;
  instance->started_for = started_for;
  instance->gpus = gpus;
  instance->slots = Slots::make(config != nullptr ? config->concurrency : 1);
  instance->requested_at = now();
  instance->idle_since = now();
  instance->last_used = now();
  store::InstanceRow row;
  row.id = instance->id;
  row.target = t.config.id;
  row.version = spec.version;
  row.release = release;
  row.worker = worker_id;
  row.incarnation = worker.incarnation;
  row.sku = spec.sku;
  row.gpu_indices = gpus;
  row.state = InstanceState::kRequested;
  row.state_since = clock_.now();
  row.started_for = started_for;
  emit(InsertInstance{std::move(row)});
  worker.instances.insert(instance->id);
  t.instances.push_back(instance.get());
  instances_[instance->id] = std::move(instance);
}

}  // namespace mimeo::scheduler
