// The part of the cell that makes its books equal to the store's rows: at loading, and by scans.

#include <algorithm>
#include <utility>

#include "scheduler/core/cell.h"

namespace mimeo::scheduler {
namespace {

// A row of unknown origin may be a grant whose Granted is on its way: it gets this long.
constexpr std::chrono::milliseconds kHintGrace{1500};
constexpr std::chrono::seconds kUnsettledKept{150};

}  // namespace

void Cell::load_worker(const store::WorkerRow& row) {
  if (row.state == store::WorkerState::kGone) return;
  auto worker = std::make_unique<Worker>();
  worker->id = row.id;
  worker->incarnation = row.incarnation;
  worker->last_heard = now();  // It has the usual time to find us.
  if (row.state == store::WorkerState::kDraining) {
    worker->is_draining = true;
    worker->is_drained_by_operator = true;
  }
  if (row.state == store::WorkerState::kLost) {
    worker->is_lost = true;
    worker->lost_at = now();
  }
  workers_[row.id] = std::move(worker);
}

void Cell::load_instance(const store::InstanceRow& row) {
  if (is_terminal(row.state)) return;
  Worker* worker = find_worker(row.worker);
  if (worker == nullptr) {  // Its machine has left.
    emit(RecordInstance{{.id = row.id, .state = InstanceState::kLost, .detail = ""}});
    return;
  }
  TargetState& t = target(row.target);
  auto instance = std::make_unique<Instance>();
  instance->id = row.id;
  instance->target = &t;
  instance->worker = worker;
  instance->spec = {.target = row.target,
                    .version = row.version,
                    .sku = row.sku,
                    .resources = t.config.resources};
  instance->release = row.release;
  instance->gpus = row.gpu_indices;
  instance->state = row.state;
  instance->slots = Slots::make(0);  // Until the worker says how many.
  instance->is_committed = true;
  instance->is_leaving = row.state == InstanceState::kDraining;
  instance->stop_drain = options_.drain_limit;
  instance->was_ready = row.ready_at.has_value();
  instance->requested_at = now();
  instance->ready_at = now();
  instance->idle_since = now();
  instance->last_used = now();
  worker->instances.insert(row.id);
  t.instances.push_back(instance.get());
  instances_[row.id] = std::move(instance);
}

void Cell::load_row(const store::ActiveRow& row) {
  if (row.state == ActiveState::kQueued) {
    unknown_row(row, now());
  } else {
    adopt(row);
  }
}

void Cell::finish_loading() {
  is_loading_ = false;
  // Rows that name a machine that is not there any more, or is known to be lost.
  std::vector<PredictionId> orphans;
  for (const auto& [id, p] : predictions_) {
    if (p->phase != Phase::kAssigned && p->phase != Phase::kRunning) continue;
    const Worker* worker = find_worker(p->worker);
    if (worker == nullptr || worker->is_lost) orphans.push_back(id);
  }
  for (const PredictionId id : orphans) lose(*find(id), LossKind::kWorkerLost);
  for (const auto& [id, t] : targets_) mark_dirty(*t);
  want_plan();
  settle();
}

void Cell::fill(Prediction& p, const store::ActiveRow& row) {
  p.priority = row.priority;
  p.attempt = row.attempt;
  p.infra_failures = row.infra_failures;
  p.retry = row.retry;
  p.output_seen = row.output_seen;
  p.run_limit = row.run_limit;
  if (row.deadline_at && !p.deadline) {
    p.deadline = now() + (*row.deadline_at - clock_.now());
    p.deadline_timer = timers_.schedule(*p.deadline, {.kind = TimerKind::kDeadline, .id = p.id});
  }
}

// A row that somebody dispatched: an earlier owner of the cell, or a control plane whose Granted
// was lost.
void Cell::adopt(const store::ActiveRow& row) {
  Prediction& p = add(row.id, target(row.target), row.account);
  fill(p, row);
  bind(p, row.instance, row.worker, row.incarnation);
  const bool is_running = row.state == ActiveState::kProcessing;
  p.phase = is_running ? Phase::kRunning : Phase::kAssigned;
  Worker* worker = find_worker(row.worker);
  Instance* instance = find_instance(row.instance);
  const bool is_there = worker != nullptr && instance != nullptr && instance->worker == worker;
  if (is_there) {
    // At loading this is a fact, whatever the count says. Later on an assigned row can only be a
    // grant that was never sent: without a free place it goes back to the queue.
    p.slot = is_loading_ || is_running ? instance->slots->adopt() : instance->slots->try_hold();
    if (p.slot.is_held()) take_place(*p.target, p.account);
  }
  if (is_running) enter_running(p);
  if (is_loading_) {
    // The worker's Hello, or its silence, decides.
    if (!is_running) set_phase_timer(p, p.run_limit + options_.start_within);
    if (row.cancel_at) request_cancel(p);
    return;
  }
  if (!is_there || worker->is_lost) {
    lose(p, LossKind::kWorkerLost);
  } else if (row.cancel_at) {
    request_cancel(p);
  } else if (!is_running && (!p.slot.is_held() || instance->is_leaving)) {
    requeue(p, 0);
  } else if (!is_running) {
    send_run(p, std::nullopt, kUnknownProgress);
  }
}

void Cell::unknown_row(const store::ActiveRow& row, SteadyTime read_at) {
  if (row.state == ActiveState::kQueued) {
    Prediction& p = add(row.id, target(row.target), row.account);
    fill(p, row);
    enqueue(p, FairQueue::Position::kBack);
    if (row.cancel_at) request_cancel(p);
    return;
  }
  const auto [it, is_new] = unsettled_.try_emplace(row.id, read_at);
  if (is_new || read_at - it->second < kHintGrace) return;
  adopt(row);
}

void Cell::known_row(Prediction& p, const store::ActiveRow& row) {
  p.output_seen = p.output_seen || row.output_seen;
  p.retry = row.retry;
  switch (p.phase) {
    case Phase::kAssigning:
    case Phase::kChecking:
    case Phase::kRequeuing:
    case Phase::kFinishing:
      return;  // The answer that is on its way is newer.
    default:
      break;
  }
  const bool row_waits = row.state == ActiveState::kQueued;
  if (p.attempt != row.attempt || (p.phase == Phase::kQueued) != row_waits) {
    // We were wrong, for instance after a commit whose answer was lost. The row wins.
    if (p.phase == Phase::kAssigned || p.phase == Phase::kRunning) {
      emit(SendForget{p.worker, p.id, p.attempt});
    }
    erase(p);
    unknown_row(row, now());
    return;
  }
  // A control plane has heard of the start, whatever became of the word to us.
  if (p.phase == Phase::kAssigned && row.state == ActiveState::kProcessing) enter_running(p);
  if (row.cancel_at) request_cancel(p);
}

// There is no row for it any more: it is terminal.
void Cell::vanished(Prediction& p) {
  switch (p.phase) {
    case Phase::kQueued:
    case Phase::kEnded:
      erase(p);
      return;
    case Phase::kAssigned:
    case Phase::kRunning:
      // Its end is on its way to us, or somebody canceled it and the worker is busy stopping it.
      if (p.is_row_gone) return;
      p.is_row_gone = true;
      clear_overdue(p);
      set_phase_timer(p, options_.gone_grace);
      return;
    default:
      return;
  }
}

void Cell::scanned(const ScanPage& page, std::span<const store::ActiveRow> rows) {
  std::vector<PredictionId> missing;
  auto row = rows.begin();
  for (auto it = predictions_.upper_bound(page.after);
       it != predictions_.end() && it->first <= page.upto; ++it) {
    while (row != rows.end() && row->id < it->first) ++row;
    const bool is_there = row != rows.end() && row->id == it->first;
    if (!is_there && it->second->touched < page.read_at) missing.push_back(it->first);
  }
  for (const PredictionId id : missing) {
    if (Prediction* p = find(id)) vanished(*p);
  }
  for (const store::ActiveRow& r : rows) {
    if (r.cell != id_) continue;
    Prediction* p = find(r.id);
    if (p == nullptr) {
      unknown_row(r, page.read_at);
    } else if (p->touched < page.read_at) {
      known_row(*p, r);
    }
  }
  std::erase_if(unsettled_,
                [&](const auto& entry) { return page.read_at - entry.second > kUnsettledKept; });
  settle();
}

}  // namespace mimeo::scheduler
