// The part of the cell that moves predictions through their phases.

#include <algorithm>
#include <utility>

#include "scheduler/core/cell.h"
#include "scheduler/core/retry_rules.h"

namespace mimeo::scheduler {
namespace {

// Losing two machines this soon after they started the same prediction makes it suspect.
constexpr std::chrono::seconds kQuickLoss{60};
constexpr std::chrono::milliseconds kRejectPause{250};
constexpr std::chrono::milliseconds kLongestRejectPause{5000};
constexpr std::string_view kNeverStarted = "The machine did not start this prediction in time.";
constexpr std::string_view kRunLimit = "The prediction ran longer than its limit.";

// What clients see of one that is not running at its deadline: "aborted" means never started.
PredictionStatus status_at_deadline(const Prediction& p) {
  return p.infra_failures > 0 ? PredictionStatus::kCanceled : PredictionStatus::kAborted;
}

}  // namespace

// --- Existence and queue ------------------------------------------------------------------------

Prediction& Cell::add(PredictionId id, TargetState& target, AccountId account_id) {
  auto p = std::make_unique<Prediction>();
  p->id = id;
  p->target = &target;
  p->account = account_id;
  p->touched = now();
  account(account_id);  // Its policy is asked for at first sight.
  Prediction& added = *p;
  predictions_[id] = std::move(p);
  unsettled_.erase(id);
  return added;
}

void Cell::erase(Prediction& p) {
  if (p.phase == Phase::kQueued) dequeue(p);
  release_slot(p);
  unbind(p);
  timers_.cancel(p.deadline_timer);
  timers_.cancel(p.phase_timer);
  predictions_.erase(p.id);
}

void Cell::enqueue(Prediction& p, FairQueue::Position position) {
  TargetState& t = *p.target;
  p.phase = Phase::kQueued;
  p.touched = now();
  if (t.queue.is_empty()) t.waiting_since = now();
  const double weight = account(p.account).policy.weight;
  p.ticket = t.queue.push(p.account, p.priority, p.id, position);
  if (weight != 1) t.queue.set_weight(p.account, weight);
  mark_dirty(t);
  if (t.instances.empty()) want_plan();  // First demand: not at the next tick, now.
}

void Cell::dequeue(Prediction& p) {
  p.target->queue.erase(p.ticket);
  p.ticket = {};
}

void Cell::queued(const QueuedPrediction& q) {
  if (find(q.id) != nullptr) return;
  TargetState& t = target(q.target);
  Prediction& p = add(q.id, t, q.account);
  p.priority = q.priority;
  p.run_limit = q.run_limit;
  p.hub = q.hub;
  if (q.deadline_in) {
    p.deadline = now() + *q.deadline_in;
    p.deadline_timer = timers_.schedule(*p.deadline, {.kind = TimerKind::kDeadline, .id = p.id});
  }
  t.scaler.arrived(now());
  enqueue(p, FairQueue::Position::kBack);
  settle();
}

void Cell::fail_queue(TargetState& t, const std::string& error) {
  std::vector<PredictionId> waiting;
  t.queue.for_each([&](const FairQueue::Item& item) { waiting.push_back(item.id); });
  for (const PredictionId id : waiting) {
    finish(*find(id), PredictionStatus::kFailed, error, kOnlyQueued);
  }
}

// --- Dispatch -----------------------------------------------------------------------------------

// Newest release first; then away from where it was lost; then the emptiest, so that concurrent
// predictions spread; then the one used last, so that the others can idle out.
Instance* Cell::pick_instance(TargetState& t, WorkerId avoid) {
  const SteadyTime at = now();
  const auto is_better = [&](const Instance& a, const Instance& b) {
    if (a.release != b.release) return a.release > b.release;
    const bool a_avoided = a.worker->id == avoid;
    const bool b_avoided = b.worker->id == avoid;
    if (a_avoided != b_avoided) return b_avoided;
    if (a.slots->used() != b.slots->used()) return a.slots->used() < b.slots->used();
    if (a.last_used != b.last_used) return a.last_used > b.last_used;
    return a.id < b.id;
  };
  Instance* best = nullptr;
  for (Instance* instance : t.instances) {
    if (!is_dispatchable(instance->state) || instance->is_leaving || !instance->worker->is_good() ||
        instance->slots->free() == 0 || instance->paused_until > at) {
      continue;
    }
    if (best == nullptr || is_better(*instance, *best)) best = instance;
  }
  return best;
}

void Cell::dispatch(TargetState& t) {
  if (is_paused_ || !t.is_known || t.queue.is_empty()) return;
  while (!t.queue.is_empty()) {
    Instance* instance = pick_instance(t, {});
    if (instance == nullptr) return;
    const double cost = t.scaler.service_seconds() * t.units;
    const auto item = t.queue.pop([&](AccountId id) { return may_run(id, t); }, cost);
    if (!item) return;
    Prediction& p = *find(item->id);
    p.ticket = {};
    p.cost = cost;
    if (!p.avoid.is_nil()) instance = pick_instance(t, p.avoid);
    t.waiting_since = now();
    assign(p, *instance);
  }
}

void Cell::assign(Prediction& p, Instance& instance) {
  p.phase = Phase::kAssigning;
  p.touched = now();
  bind(p, instance.id, instance.worker->id, instance.worker->incarnation);
  p.slot = instance.slots->try_hold();
  take_place(*p.target, p.account);
  instance.last_used = now();
  emit(AssignPrediction{{.id = p.id,
                         .expected_attempt = p.attempt,
                         .instance = instance.id,
                         .worker = instance.worker->id,
                         .incarnation = instance.worker->incarnation,
                         .version = instance.spec.version,
                         .release = instance.release}});
}

void Cell::bind(Prediction& p, InstanceId instance, WorkerId worker, std::uint64_t incarnation) {
  p.instance = instance;
  p.worker = worker;
  p.incarnation = incarnation;
  p.is_accepted = false;
  p.was_started = false;
  p.is_instance_gone = false;
  if (Worker* w = find_worker(worker)) w->attempts.insert(p.id);
}

void Cell::unbind(Prediction& p) {
  clear_overdue(p);
  if (Worker* w = find_worker(p.worker)) w->attempts.erase(p.id);
}

void Cell::release_slot(Prediction& p) {
  if (!p.slot.is_held()) return;
  p.slot.release();
  give_place(*p.target, p.account, p.instance);
}

void Cell::assigned(PredictionId id, store::Assigned answer) {
  Prediction* p = find(id);
  if (p == nullptr || p->phase != Phase::kAssigning) return;
  if (!answer.assigned) {  // Canceled, finished, or not what we thought: the scan knows.
    p->target->queue.correct(p->account, -p->cost);
    erase(*p);
    settle();
    return;
  }
  p->attempt = answer.attempt;
  p->phase = Phase::kAssigned;
  p->touched = now();
  if (answer.run_limit.count() > 0) p->run_limit = answer.run_limit;
  const Instance* instance = find_instance(p->instance);
  if (p->verdict == Verdict::kCancel) {
    finish(*p, PredictionStatus::kCanceled, "", kDispatched);
  } else if (p->verdict == Verdict::kDeadline) {
    finish(*p, PredictionStatus::kAborted, "", kNotStarted);
  } else if (instance == nullptr || instance->is_leaving || instance->worker->is_lost) {
    requeue(*p, 0);
  } else {
    constexpr std::uint8_t kOutputOrLogs = 2 | 4;
    const bool has_watcher = (answer.webhook_events & kOutputOrLogs) != 0;
    send_run(*p, std::move(answer.input), std::chrono::milliseconds{has_watcher ? 500 : 0});
  }
  settle();
}

std::chrono::milliseconds Cell::time_to_run(const Prediction& p) const {
  auto limit = p.run_limit;
  if (p.deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*p.deadline - now());
    limit = limit.count() > 0 ? std::min(limit, left) : left;
    limit = std::max(limit, std::chrono::milliseconds{1});
  }
  return limit;
}

bool Cell::ends_at_deadline(const Prediction& p) const {
  return p.deadline && (p.run_limit.count() == 0 || *p.deadline - now() < p.run_limit);
}

void Cell::send_run(Prediction& p, std::optional<std::string> input,
                    std::chrono::milliseconds progress) {
  set_phase_timer(p, options_.accept_within);
  const Worker* worker = find_worker(p.worker);
  if (worker == nullptr || !worker->is_connected) return;  // Its Hello will ask.
  emit(SendRun{.worker = p.worker,
               .id = p.id,
               .attempt = p.attempt,
               .instance = p.instance,
               .input = std::move(input),
               .run_limit = time_to_run(p),
               .limit_is_deadline = ends_at_deadline(p),
               .progress = progress,
               .hub = p.hub,
               .is_training = p.target->config.kind == store::TargetKind::kTraining});
}

// --- What workers say of attempts ---------------------------------------------------------------

// The prediction, if this very attempt on this worker is its current one.
Prediction* Cell::current(WorkerId worker, const AttemptKey& key) {
  Prediction* p = find(key.id);
  if (p == nullptr || p->worker != worker || p->attempt != key.attempt) return nullptr;
  switch (p->phase) {
    case Phase::kAssigned:
    case Phase::kRunning:
    case Phase::kEnded:
    case Phase::kFinishing:
      return p;
    default:
      return nullptr;
  }
}

void Cell::clear_overdue(Prediction& p) {
  if (!p.is_overdue) return;
  p.is_overdue = false;
  if (Worker* worker = find_worker(p.worker)) {
    if (--worker->overdue == 0) mark_worker_dirty(*worker);
  }
}

void Cell::accepted(WorkerId worker, const AttemptKey& key) {
  heard(worker);
  Prediction* p = current(worker, key);
  if (p != nullptr && p->phase == Phase::kAssigned && !p->is_accepted) {
    p->is_accepted = true;
    clear_overdue(*p);
    if (!p->is_cancel_wanted && !p->is_row_gone) {
      set_phase_timer(*p, p->run_limit + options_.start_within);
    }
  }
  settle();
}

void Cell::rejected(WorkerId worker, const AttemptKey& key, InstanceId instance_id,
                    RejectReason reason) {
  heard(worker);
  Instance* instance = find_instance(instance_id);
  if (instance != nullptr) {
    // Whatever the reason: not again at once, or a wrong count would spin.
    const auto pause = kRejectPause * (1U << std::min(instance->rejections, 5U));
    ++instance->rejections;
    instance->paused_until =
        now() + std::min<std::chrono::milliseconds>(pause, kLongestRejectPause);
    want_plan();
  }
  if (reason == RejectReason::kDraining) {
    if (Worker* w = find_worker(worker)) w->is_draining = true;
  }
  Prediction* p = current(worker, key);
  if (p != nullptr && p->phase == Phase::kAssigned) {
    if (p->is_cancel_wanted) {
      finish(*p, PredictionStatus::kCanceled, "", kDispatched);
    } else {
      requeue(*p, 0);
    }
  }
  settle();
}

void Cell::enter_running(Prediction& p) {
  clear_overdue(p);
  p.phase = Phase::kRunning;
  p.is_accepted = true;
  p.was_started = true;
  p.started_at = now();
  p.touched = now();
  if (p.is_cancel_wanted || p.is_row_gone) return;  // Their timer is the shorter one.
  const auto limit = time_to_run(p);
  if (limit.count() > 0) {
    set_phase_timer(p, limit + options_.backstop);
  } else {
    timers_.cancel(p.phase_timer);
  }
}

void Cell::started(WorkerId worker, const AttemptKey& key) {
  heard(worker);
  Prediction* p = current(worker, key);
  if (p != nullptr && p->phase == Phase::kAssigned) {
    enter_running(*p);
    if (Instance* instance = find_instance(p->instance)) instance->rejections = 0;
  } else if (p != nullptr && p->phase == Phase::kFinishing) {
    p->was_started = true;
  }
  settle();
}

void Cell::ended(WorkerId worker, const AttemptEnd& end) {
  heard(worker);
  Prediction* p = current(worker, end.key);
  if (Instance* instance = find_instance(end.instance)) {
    if (instance->strays.erase({end.key.id, end.key.attempt}) > 0) mark_dirty(*instance->target);
  }
  if (p == nullptr) {
    settle();
    return;
  }
  TargetState& t = *p->target;
  if (p->slot.is_held()) {
    const double seconds = std::chrono::duration<double>(end.ran).count();
    t.queue.correct(p->account, seconds * t.units - p->cost);
    if (end.is_service_time) t.scaler.served(seconds);
    release_slot(*p);
  }
  clear_overdue(*p);
  if (p->phase == Phase::kAssigned || p->phase == Phase::kRunning) {
    p->phase = Phase::kEnded;
    p->touched = now();
    timers_.cancel(p->phase_timer);
    timers_.cancel(p->deadline_timer);
    if (p->is_row_gone) erase(*p);
  }
  settle();
}

// --- Cancel and time limits ---------------------------------------------------------------------

void Cell::cancel(PredictionId id, CancelCase what) {
  Prediction* p = find(id);
  if (p == nullptr) return;  // The scan will show cancel_at.
  if (what == CancelCase::kRequested) {
    request_cancel(*p);
  } else if (p->phase == Phase::kQueued) {
    erase(*p);
  }  // Else a commit is on its way that will find the row gone.
  settle();
}

void Cell::request_cancel(Prediction& p) {
  if (p.is_cancel_wanted) return;
  p.is_cancel_wanted = true;
  switch (p.phase) {
    case Phase::kQueued:
      finish(p, PredictionStatus::kCanceled, "", kAnyActive);
      return;
    case Phase::kAssigning:
    case Phase::kChecking:
    case Phase::kRequeuing:
      p.verdict = Verdict::kCancel;
      return;
    case Phase::kAssigned:
    case Phase::kRunning:
      emit(SendCancel{p.worker, p.id, p.attempt, options_.cancel_grace});
      set_phase_timer(p, options_.cancel_sweep);
      return;
    case Phase::kEnded:
    case Phase::kFinishing:
      return;
  }
}

void Cell::deadline_passed(Prediction& p) {
  switch (p.phase) {
    case Phase::kQueued:
    case Phase::kAssigned:
      finish(p, status_at_deadline(p), "", kNotStarted);
      return;
    case Phase::kAssigning:
    case Phase::kChecking:
    case Phase::kRequeuing:
      if (p.verdict == Verdict::kNone) p.verdict = Verdict::kDeadline;
      return;
    default:
      return;  // The worker's own timer, then the backstop.
  }
}

// The phase timer fired.
void Cell::phase_overdue(Prediction& p) {
  if (p.phase != Phase::kAssigned && p.phase != Phase::kRunning) return;
  if (p.is_row_gone) {
    forget_and_erase(p);
  } else if (p.is_cancel_wanted) {
    finish(p, PredictionStatus::kCanceled, "", kDispatched);
  } else if (p.is_instance_gone) {
    lose(p, LossKind::kInstanceGone);
  } else if (p.phase == Phase::kRunning) {
    const bool is_deadline = p.deadline && *p.deadline <= now();
    finish(p, is_deadline ? PredictionStatus::kCanceled : PredictionStatus::kFailed,
           is_deadline ? std::string() : std::string(kRunLimit), kDispatched);
  } else if (!p.is_accepted && now() - p.touched < p.run_limit + options_.start_within) {
    // The attempt stays there until the worker says no or is lost; nothing more goes there, and it
    // is told again: a worker runs an attempt once, however often it hears of it.
    const bool is_first = !std::exchange(p.is_overdue, true);
    Worker* worker = find_worker(p.worker);
    if (worker != nullptr && is_first) ++worker->overdue;
    if (!is_first) send_run(p, std::nullopt, kUnknownProgress);
    set_phase_timer(p, options_.tell_again_every);
  } else {
    finish(p, PredictionStatus::kFailed, std::string(kNeverStarted), kDispatched);
  }
}

void Cell::set_phase_timer(Prediction& p, std::chrono::milliseconds in) {
  timers_.cancel(p.phase_timer);
  p.phase_timer = timers_.schedule(now() + in, {.kind = TimerKind::kPhase, .id = p.id});
}

void Cell::forget_and_erase(Prediction& p) {
  emit(SendForget{p.worker, p.id, p.attempt});
  erase(p);
}

// --- Commits of our own -------------------------------------------------------------------------

void Cell::finish(Prediction& p, PredictionStatus status, std::string error,
                  ActiveStates expected) {
  if (p.phase == Phase::kQueued) dequeue(p);
  p.phase_before = p.phase;
  p.phase = Phase::kFinishing;
  p.touched = now();
  timers_.cancel(p.phase_timer);
  timers_.cancel(p.deadline_timer);
  store::Finish f;
  f.id = p.id;
  f.attempt = p.attempt;
  f.expected = expected;
  f.status = status;
  f.error = std::move(error);
  f.completed_at = clock_.now();
  if (!p.instance.is_nil()) f.instance = p.instance;
  emit(FinishPrediction{std::move(f)});
}

void Cell::finished(PredictionId id, store::FinishOutcome outcome) {
  Prediction* p = find(id);
  if (p == nullptr || p->phase != Phase::kFinishing) return;
  const bool was_dispatched =
      p->phase_before == Phase::kAssigned || p->phase_before == Phase::kRunning;
  if (outcome == store::FinishOutcome::kSuperseded && was_dispatched && p->slot.is_held()) {
    // The worker was faster: it started what we wanted to abort, or its result is committed. The
    // scan tells which; until then the attempt keeps its place.
    p->phase = p->was_started ? Phase::kRunning : p->phase_before;
    p->touched = now();
    set_phase_timer(*p, time_to_run(*p) + options_.backstop);
    settle();
    return;
  }
  if (was_dispatched && p->slot.is_held()) {
    forget_and_erase(*p);  // Whatever still runs there runs for nothing.
  } else {
    erase(*p);
  }
  settle();
}

void Cell::requeue(Prediction& p, std::uint32_t count) {
  release_slot(p);
  unbind(p);
  timers_.cancel(p.phase_timer);
  if (count == 0) p.target->queue.correct(p.account, -p.cost);
  p.phase = Phase::kRequeuing;
  p.counting = count;
  p.touched = now();
  emit(RequeuePrediction{{.id = p.id,
                          .attempt = p.attempt,
                          .worker = p.worker,
                          .incarnation = p.incarnation,
                          .infra_failures = count}});
}

void Cell::requeued(PredictionId id, bool has_changed) {
  Prediction* p = find(id);
  if (p == nullptr || p->phase != Phase::kRequeuing) return;
  if (!has_changed) {  // Its result came in between.
    erase(*p);
    settle();
    return;
  }
  p->infra_failures += p->counting;
  p->avoid = p->worker;
  p->instance = {};
  p->worker = {};
  p->is_row_gone = false;
  enqueue(*p, FairQueue::Position::kFront);
  const Verdict verdict = std::exchange(p->verdict, Verdict::kNone);
  if (verdict == Verdict::kCancel) {
    finish(*p, PredictionStatus::kCanceled, "", kAnyActive);
  } else if (verdict == Verdict::kDeadline) {
    finish(*p, status_at_deadline(*p), "", kNotStarted);
  }
  settle();
}

// Its worker or instance is gone. What the row says now decides: output may have been delivered, or
// the start reported, without our knowing.
void Cell::lose(Prediction& p, LossKind kind) {
  release_slot(p);
  unbind(p);
  timers_.cancel(p.phase_timer);
  p.is_instance_gone = kind == LossKind::kInstanceGone;
  p.phase = Phase::kChecking;
  p.touched = now();
  emit(ReadPrediction{p.id});
}

void Cell::row_read(PredictionId id, const std::optional<store::ActiveRow>& row) {
  Prediction* p = find(id);
  if (p == nullptr || p->phase != Phase::kChecking) return;
  if (!row || row->attempt != p->attempt || row->state == ActiveState::kQueued) {
    erase(*p);
    if (row) unknown_row(*row, now());
    settle();
    return;
  }
  const bool was_started = p->was_started || row->state == ActiveState::kProcessing;
  if (was_started && p->worker != p->avoid && now() - p->started_at < kQuickLoss) ++p->quick_losses;
  const Loss loss{.kind = p->is_instance_gone ? LossKind::kInstanceGone : LossKind::kWorkerLost,
                  .was_started = was_started,
                  .output_seen = row->output_seen,
                  .retry = row->retry,
                  .infra_failures = row->infra_failures,
                  .quick_losses = p->quick_losses};
  p->infra_failures = row->infra_failures;
  p->output_seen = row->output_seen;
  const RetryDecision decision = decide_retry(loss, options_.max_infra_retries);
  if (p->verdict == Verdict::kCancel || row->cancel_at) {
    finish(*p, PredictionStatus::kCanceled, "", kDispatched);
  } else if (decision.kind == RetryDecision::Kind::kFail) {
    finish(*p, PredictionStatus::kFailed, decision.error, kDispatched);
  } else {
    requeue(*p, decision.count);
  }
  settle();
}

}  // namespace mimeo::scheduler
