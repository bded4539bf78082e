// The part of the cell that follows workers and the instances on them.

#include <algorithm>
#include <map>
#include <utility>

#include "scheduler/core/cell.h"

namespace mimeo::scheduler {
namespace {

// A container that the store does not know any more may still finish what runs in it: its result
// can be adopted late.
constexpr std::chrono::seconds kUnknownDrain{30};
// Ready for less than this before it failed: the next one waits.
constexpr std::chrono::seconds kEarlyCrash{60};

}  // namespace

// --- Connections --------------------------------------------------------------------------------

void Cell::mark_worker_dirty(Worker& worker) {
  for (const InstanceId id : worker.instances) {
    if (Instance* instance = find_instance(id)) mark_dirty(*instance->target);
  }
  want_plan();
}

void Cell::heard(WorkerId id) {
  Worker* worker = find_worker(id);
  if (worker == nullptr) return;
  worker->last_heard = now();
  if (worker->is_silent && worker->is_connected) {
    worker->is_silent = false;
    mark_worker_dirty(*worker);
    settle();
  }
}

void Cell::worker_hello(const WorkerHello& hello) {
  std::unique_ptr<Worker>& slot = workers_[hello.id];
  if (slot == nullptr) slot = std::make_unique<Worker>();
  Worker& w = *slot;
  w.id = hello.id;
  w.incarnation = hello.incarnation;
  w.is_connected = true;
  w.is_silent = false;
  w.is_lost = false;
  w.is_draining = w.is_drained_by_operator;
  w.last_heard = now();
  w.skus = {hello.skus.begin(), hello.skus.end()};
  w.total = hello.total;
  w.gpus = hello.gpus;
  w.images = {hello.images.begin(), hello.images.end()};
  settle_instances(w, hello);
  settle_attempts(w, hello);
  mark_worker_dirty(w);
  settle();
}

// Both lists say which instances there are: ours what is wanted, the worker's what exists.
void Cell::settle_instances(Worker& w, const WorkerHello& hello) {
  std::set<InstanceId> reported;
  for (const InstanceStatus& status : hello.instances) {
    reported.insert(status.id);
    Instance* instance = find_instance(status.id);
    if (instance == nullptr || instance->worker != &w) {
      if (!is_terminal(status.state)) emit(SendStop{w.id, status.id, kUnknownDrain});
      continue;
    }
    apply(*instance, status);
  }
  for (const InstanceId id : std::set<InstanceId>(w.instances)) {
    Instance* instance = find_instance(id);
    if (instance == nullptr) continue;
    if (reported.contains(id)) {
      if (instance->is_leaving) emit(SendStop{w.id, id, instance->stop_drain});
    } else if (!instance->is_committed) {
      continue;  // Its order follows the commit.
    } else if (instance->is_leaving) {
      end_instance(*instance, InstanceState::kStopped, "");
    } else if (instance->state == InstanceState::kRequested) {
      emit(SendEnsure{w.id, id, instance->target->config.id, instance->release,
                      instance->spec.version, instance->gpus});
    } else {
      // Not its fault: leaving, so that it does not count as a failure of the version.
      instance->is_leaving = true;
      end_instance(*instance, InstanceState::kFailed, "The worker came back without it.");
    }
  }
}

void Cell::settle_attempts(Worker& w, const WorkerHello& hello) {
  std::set<PredictionId> reported;
  for (const AttemptStatus& status : hello.attempts) {
    if (current(w.id, status.key) != nullptr) reported.insert(status.key.id);
    attempt_reported(w, status);
  }
  for (const PredictionId id : std::set<PredictionId>(w.attempts)) {
    Prediction* p = find(id);
    if (p == nullptr) continue;
    clear_overdue(*p);
    if (!reported.contains(id)) attempt_missing(w, *p);
  }
}

void Cell::attempt_reported(Worker& w, const AttemptStatus& status) {
  Prediction* p = current(w.id, status.key);
  Instance* instance = find_instance(status.instance);
  if (p != nullptr) {
    if (status.is_spooled) {
      release_slot(*p);
      if (p->phase == Phase::kAssigned || p->phase == Phase::kRunning) {
        p->phase = Phase::kEnded;
        p->touched = now();
        timers_.cancel(p->phase_timer);
        timers_.cancel(p->deadline_timer);
      }
      return;
    }
    if (p->phase == Phase::kEnded) return;
    if (!p->slot.is_held() && instance != nullptr) {
      p->slot = instance->slots->adopt();
      take_place(*p->target, p->account);
    }
    p->is_accepted = true;
    if (status.was_started && p->phase == Phase::kAssigned) enter_running(*p);
    if (p->is_cancel_wanted) emit(SendCancel{w.id, p->id, p->attempt, options_.cancel_grace});
    return;
  }
  if (status.is_spooled) return;  // The control plane answers what its result is worth.
  p = find(status.key.id);
  // Queued again after a loss that was none, with no newer attempt: its result may be adopted.
  const bool is_adoptable =
      p != nullptr && p->attempt == status.key.attempt &&
      (p->phase == Phase::kQueued || p->phase == Phase::kRequeuing || p->phase == Phase::kChecking);
  if (!is_adoptable) {
    emit(SendForget{w.id, status.key.id, status.key.attempt});
  } else if (instance != nullptr) {
    instance->strays.try_emplace({status.key.id, status.key.attempt}, instance->slots->adopt());
  }
}

// The worker does not know an attempt that we gave it.
void Cell::attempt_missing(const Worker& worker, Prediction& p) {
  switch (p.phase) {
    case Phase::kAssigned:
      if (p.is_row_gone) {
        erase(p);
      } else if (p.is_cancel_wanted) {
        finish(p, PredictionStatus::kCanceled, "", kDispatched);
      } else if (p.is_accepted || p.incarnation != worker.incarnation) {
        // It has forgotten what it ran: the same attempt must not run twice.
        lose(p, LossKind::kWorkerLost);
      } else {
        send_run(p, std::nullopt, kUnknownProgress);
      }
      return;
    case Phase::kRunning:
    case Phase::kEnded:
      if (p.is_row_gone) {
        erase(p);
      } else {
        lose(p, LossKind::kWorkerLost);
      }
      return;
    default:
      return;
  }
}

void Cell::worker_closed(WorkerId id) {
  Worker* worker = find_worker(id);
  if (worker == nullptr || !worker->is_connected) return;
  worker->is_connected = false;
  if (worker->is_draining && !worker->is_drained_by_operator && worker->attempts.empty()) {
    // It said that it would leave, and has nothing more to do. Should it come back after all, it
    // joins anew.
    worker->last_heard = now() - options_.lost_after;
    lose_worker(*worker);
  }
  want_plan();
  settle();
}

void Cell::worker_state_read(WorkerId id, store::WorkerState state) {
  Worker* worker = find_worker(id);
  if (worker == nullptr || worker->is_lost) return;
  if (state == store::WorkerState::kDraining && !worker->is_draining) {
    worker->is_drained_by_operator = true;
    worker->is_draining = true;
    for (const InstanceId instance : std::set<InstanceId>(worker->instances)) {
      if (Instance* i = find_instance(instance)) stop_instance(*i, options_.drain_limit);
    }
  } else if (state == store::WorkerState::kReady && worker->is_drained_by_operator) {
    worker->is_drained_by_operator = false;
    worker->is_draining = false;
    mark_worker_dirty(*worker);
  } else {
    return;
  }
  want_plan();
  settle();
}

void Cell::worker_draining(WorkerId id, std::chrono::milliseconds within) {
  heard(id);
  Worker* worker = find_worker(id);
  if (worker == nullptr || worker->is_draining) return;
  // Not recorded: in the store kDraining is an operator's word, which outlives the worker's
  // restart.
  worker->is_draining = true;
  for (const InstanceId instance : std::set<InstanceId>(worker->instances)) {
    if (Instance* i = find_instance(instance)) stop_instance(*i, within);
  }
  want_plan();
  settle();
}

void Cell::images_changed(WorkerId id, std::span<const VersionId> added,
                          std::span<const VersionId> removed) {
  heard(id);
  Worker* worker = find_worker(id);
  if (worker == nullptr) return;
  worker->images.insert(added.begin(), added.end());
  for (const VersionId& version : removed) worker->images.erase(version);
}

// --- Silence ------------------------------------------------------------------------------------

void Cell::check_workers() {
  const SteadyTime at = now();
  std::vector<WorkerId> gone;
  for (const auto& [id, w] : workers_) {
    const auto silence = at - w->last_heard;
    if (w->is_lost) {
      if (at - w->lost_at >= options_.forget_after) gone.push_back(id);
      continue;
    }
    if (silence >= options_.lost_after) {
      lose_worker(*w);
    } else if (silence >= options_.suspect_after && w->is_connected && !w->is_silent) {
      w->is_silent = true;
      want_plan();
    }
  }
  // Long enough: the instances of the machine are given up, too. Until then a machine that was only
  // unreachable keeps its warm containers.
  for (const WorkerId id : gone) {
    Worker& w = *find_worker(id);
    for (const InstanceId instance : std::set<InstanceId>(w.instances)) {
      if (Instance* i = find_instance(instance)) {
        i->is_leaving = true;  // No failure of its version.
        end_instance(*i, InstanceState::kLost, "Its machine was lost.");
      }
    }
    if (w.attempts.empty()) workers_.erase(id);
  }
}

void Cell::lose_worker(Worker& w) {
  const bool has_left = w.is_draining && !w.is_drained_by_operator && w.attempts.empty();
  w.is_lost = true;
  w.is_connected = false;
  w.lost_at = now();
  emit(RecordWorker{w.id, has_left ? store::WorkerState::kGone : store::WorkerState::kLost});
  for (const PredictionId id : std::set<PredictionId>(w.attempts)) {
    Prediction* p = find(id);
    if (p == nullptr) continue;
    switch (p->phase) {
      case Phase::kAssigned:
      case Phase::kRunning:
      case Phase::kEnded:
        if (p->is_row_gone) {
          erase(*p);
        } else {
          lose(*p, LossKind::kWorkerLost);
        }
        break;
      default:
        break;  // The commit on its way decides first.
    }
  }
  for (const InstanceId id : w.instances) {
    if (Instance* instance = find_instance(id)) instance->strays.clear();
  }
  want_plan();
}

// --- Instances ----------------------------------------------------------------------------------

void Cell::instance_changed(WorkerId worker, const InstanceStatus& status) {
  heard(worker);
  Instance* instance = find_instance(status.id);
  if (instance == nullptr || instance->worker->id != worker) {
    if (!is_terminal(status.state)) emit(SendStop{worker, status.id, kUnknownDrain});
  } else {
    apply(*instance, status);
  }
  settle();
}

void Cell::apply(Instance& instance, const InstanceStatus& status) {
  if (is_terminal(status.state)) {
    const bool is_lost = status.state == InstanceState::kLost;
    end_instance(instance, is_lost ? InstanceState::kFailed : status.state, status.detail);
    return;
  }
  instance.is_committed = true;
  if (status.slots > 0) instance.slots->set_capacity(status.slots);
  if (status.state == InstanceState::kReady) {
    became_ready(instance, status);
    return;
  }
  if (instance.state == status.state) return;  // Progress only.
  instance.state = status.state;
  if (status.state == InstanceState::kDraining) instance.is_leaving = true;
  emit(RecordInstance{{.id = instance.id, .state = status.state, .detail = status.detail}});
  want_plan();
}

void Cell::became_ready(Instance& instance, const InstanceStatus& status) {
  TargetState& t = *instance.target;
  const bool is_news = instance.state != InstanceState::kReady;
  if (!instance.was_ready) {
    instance.was_ready = true;
    instance.ready_at = now();
    instance.idle_since = now();
    backoff_.became_ready(instance.spec.version, instance.spec.sku);
    if (status.cold_start.count() > 0) {
      t.scaler.started_up(std::chrono::duration<double>(status.cold_start).count());
    }
    instance.worker->images.insert(instance.spec.version);
  }
  if (instance.is_leaving) {  // It did not hear of it.
    emit(SendStop{instance.worker->id, instance.id, instance.stop_drain});
    return;
  }
  if (instance.slots->capacity() == 0) instance.slots->set_capacity(1);
  instance.state = InstanceState::kReady;
  if (is_news) {
    emit(RecordInstance{
        {.id = instance.id, .state = InstanceState::kReady, .detail = status.detail}});
    want_plan();
  }
  mark_dirty(t);
}

// The instance is gone, and everybody who counted on it learns so.
void Cell::end_instance(Instance& instance, InstanceState state, const std::string& detail) {
  TargetState& t = *instance.target;
  Worker& w = *instance.worker;
  emit(RecordInstance{{.id = instance.id, .state = state, .detail = detail}});
  if (state == InstanceState::kFailed && !instance.is_leaving) {
    const std::string reason = detail.empty() ? "the container ended" : detail;
    if (!instance.was_ready) {
      backoff_.setup_failed(instance.spec.version, instance.spec.sku, now(), reason);
    } else if (now() - instance.ready_at < kEarlyCrash) {
      backoff_.crashed_early(instance.spec.version, instance.spec.sku, now(), reason);
    }
  }
  for (const PredictionId id : std::set<PredictionId>(w.attempts)) {
    Prediction* p = find(id);
    if (p == nullptr || p->instance != instance.id) continue;
    if (p->phase == Phase::kAssigned && !p->is_accepted && !p->is_cancel_wanted) {
      requeue(*p, 0);
    } else if (p->phase == Phase::kAssigned || p->phase == Phase::kRunning) {
      // Its end, with the reason, is on its way to a control plane; if not, we settle it.
      p->is_instance_gone = true;
      set_phase_timer(*p, options_.end_grace);
    }
  }
  std::erase(t.instances, &instance);
  w.instances.erase(instance.id);
  instance.slots->set_capacity(0);
  instances_.erase(instance.id);
  mark_dirty(t);
  want_plan();
}

void Cell::stop_instance(Instance& instance, std::chrono::milliseconds drain) {
  if (instance.is_leaving) return;
  instance.is_leaving = true;
  instance.stop_drain = drain;
  if (instance.state >= InstanceState::kReady) {
    instance.state = InstanceState::kDraining;
    emit(RecordInstance{{.id = instance.id, .state = InstanceState::kDraining, .detail = ""}});
  }
  if (instance.is_committed) emit(SendStop{instance.worker->id, instance.id, drain});
  want_plan();
}

void Cell::instance_inserted(InstanceId id) {
  Instance* instance = find_instance(id);
  if (instance == nullptr) {  // Given up meanwhile: its row must not stay.
    emit(RecordInstance{{.id = id, .state = InstanceState::kStopped, .detail = ""}});
    return;
  }
  if (instance->is_committed) return;
  instance->is_committed = true;
  if (instance->is_leaving) {
    end_instance(*instance, InstanceState::kStopped, "");
  } else {
    emit(SendEnsure{instance->worker->id, id, instance->target->config.id, instance->release,
                    instance->spec.version, instance->gpus});
  }
  settle();
}

void Cell::instance_impossible(InstanceId id, const std::string& reason) {
  Instance* instance = find_instance(id);
  if (instance != nullptr && !instance->was_ready) {
    end_instance(*instance, InstanceState::kFailed, reason);
  }
  settle();
}

}  // namespace mimeo::scheduler
