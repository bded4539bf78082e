// The PredictionStore and MaintenanceStore parts of MemoryStore.

#include <algorithm>

#include "common/store/first_start.h"
#include "common/store/memory/memory_store.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

using std::chrono::days;
using std::chrono::floor;

constexpr std::uint8_t bit(WebhookEvent event) { return static_cast<std::uint8_t>(event); }

std::uint8_t wanted_events(const NewPrediction& p) {
  return p.webhook.empty() ? 0 : p.webhook_events;
}

void sanitize(NewPrediction& p) {
  for (std::string* text : {&p.input, &p.public_input, &p.webhook, &p.destination}) {
    *text = sanitize_text(*text);
  }
}

void sanitize(Finish& f) {
  for (std::string* text : {&f.error, &f.output, &f.logs, &f.metrics}) *text = sanitize_text(*text);
}

}  // namespace

bool MemoryStore::fence_holds(const Fence& fence) const {
  const auto cell = cells_.find(fence.cell);
  return cell != cells_.end() && cell->second.lease.epoch == fence.epoch;
}

Created MemoryStore::create_one(const NewPrediction& item) {
  if (predictions_.contains(item.id)) return {CreateOutcome::kAlreadyExists, {}};
  if (!item.idempotency_key.empty()) {
    const auto key = std::pair(item.account, item.idempotency_key);
    if (const auto found = idempotency_.find(key); found != idempotency_.end()) {
      const auto holder = predictions_.find(found->second);
      const auto today = floor<days>(item.created_at);
      if (holder != predictions_.end() &&
          floor<days>(holder->second.created_at) >= today - days{1}) {
        return {CreateOutcome::kDuplicate, found->second};
      }
    }
    idempotency_[key] = item.id;
  }
  const bool granted = item.grant.has_value() && fence_holds(item.grant->fence);
  Active active;
  ActiveRow& row = active.row;
  row.id = item.id;
  row.cell = item.cell;
  row.target = item.target;
  row.account = item.account;
  row.priority = item.priority;
  row.created_at = item.created_at;
  row.deadline_at = item.deadline_at;
  row.run_limit = item.run_limit;
  row.retry = item.retry;
  active.version = item.version;
  if (granted) {
    row.state = ActiveState::kAssigned;
    row.attempt = 1;
    row.instance = item.grant->instance;
    row.worker = item.grant->worker;
    row.incarnation = item.grant->incarnation;
    row.assigned_at = clock_.now();
    active.version = item.grant->version;
    active.release = item.grant->release;
  }
  active_.emplace(item.id, active);
  NewPrediction stored = item;
  sanitize(stored);
  predictions_.emplace(item.id, std::move(stored));
  return {granted ? CreateOutcome::kAssigned : CreateOutcome::kQueued, {}};
}

Result<std::vector<Created>> MemoryStore::create(std::span<const NewPrediction> batch) {
  const std::scoped_lock lock(mutex_);
  std::vector<Created> answers;
  answers.reserve(batch.size());
  for (const NewPrediction& item : batch) answers.push_back(create_one(item));
  return answers;
}

Assigned MemoryStore::assign_one(const Assignment& item) {
  const auto found = active_.find(item.id);
  if (found == active_.end()) return {};
  ActiveRow& row = found->second.row;
  const bool is_repeated = row.state == ActiveState::kAssigned &&
                           row.attempt == item.expected_attempt + 1 &&
                           row.instance == item.instance && row.worker == item.worker &&
                           row.incarnation == item.incarnation;
  const bool is_free = row.state == ActiveState::kQueued && row.attempt == item.expected_attempt &&
                       !row.cancel_at.has_value();
  if (!is_repeated && !is_free) return {};
  if (is_free) {
    row.state = ActiveState::kAssigned;
    ++row.attempt;
    row.instance = item.instance;
    row.worker = item.worker;
    row.incarnation = item.incarnation;
    row.assigned_at = clock_.now();
    found->second.version = item.version;
    found->second.release = item.release;
  }
  const NewPrediction& p = predictions_.at(item.id);
  return {.assigned = true,
          .attempt = row.attempt,
          .input = p.input,
          .run_limit = p.run_limit,
          .deadline_at = p.deadline_at,
          .webhook_events = wanted_events(p),
          .is_training = p.is_training};
}

Result<std::vector<Assigned>> MemoryStore::assign(const Fence& fence,
                                                  std::span<const Assignment> batch) {
  const std::scoped_lock lock(mutex_);
  if (!fence_holds(fence)) return absl::AbortedError("another scheduler owns the cell");
  std::vector<Assigned> answers;
  answers.reserve(batch.size());
  for (const Assignment& item : batch) answers.push_back(assign_one(item));
  return answers;
}

void MemoryStore::add_delivery(PredictionId id, WebhookEvent event) {
  OutboxRecord record;
  record.delivery.id = ++last_id_;
  record.delivery.prediction = id;
  record.delivery.event = event;
  record.delivery.created_at = clock_.now();
  record.due_at = clock_.now();
  outbox_.emplace(last_id_, record);
}

Result<std::vector<bool>> MemoryStore::mark_started(std::span<const Started> batch) {
  const std::scoped_lock lock(mutex_);
  std::vector<bool> answers;
  for (const Started& item : batch) {
    const auto found = active_.find(item.id);
    const bool changes = found != active_.end() &&
                         found->second.row.state == ActiveState::kAssigned &&
                         found->second.row.attempt == item.attempt;
    answers.push_back(changes);
    if (!changes) continue;
    ActiveRow& row = found->second.row;
    row.state = ActiveState::kProcessing;
    if (row.started_at.has_value()) continue;
    row.started_at = item.started_at;
    if ((wanted_events(predictions_.at(item.id)) & bit(WebhookEvent::kStart)) != 0) {
      add_delivery(item.id, WebhookEvent::kStart);
    }
  }
  return answers;
}

FinishOutcome MemoryStore::why_not_finished(const Finish& item) const {
  if (const auto result = results_.find(item.id); result != results_.end()) {
    const bool same_attempt = !item.attempt.has_value() || *item.attempt == result->second.attempt;
    return same_attempt && item.status == result->second.finish.status ? FinishOutcome::kAlreadySame
                                                                       : FinishOutcome::kSuperseded;
  }
  return predictions_.contains(item.id) ? FinishOutcome::kSuperseded : FinishOutcome::kUnknown;
}

// How long an attempt ran that ends with `item`.
std::chrono::milliseconds MemoryStore::ran(const ActiveRow& row, const Finish& item) {
  if (item.billed.has_value()) return *item.billed;
  std::optional<WallTime> started = item.started_at;
  if (!started && row.state == ActiveState::kProcessing) started = row.started_at;
  if (item.status != PredictionStatus::kCanceled || row.state == ActiveState::kQueued || !started) {
    return {};
  }
  const WallTime begin = std::max(*started, row.assigned_at.value_or(*started));
  return std::max(std::chrono::milliseconds{0},
                  floor<std::chrono::milliseconds>(item.completed_at - begin));
}

// What is owed because it ended with `item`.
void MemoryStore::add_deliveries(const Active& active, const Finish& item) {
  const std::uint8_t events = wanted_events(predictions_.at(item.id));
  const auto wants = [events](WebhookEvent event) { return (events & bit(event)) != 0; };
  const bool starts_here = !active.row.started_at && item.started_at;
  if (starts_here && wants(WebhookEvent::kStart)) add_delivery(item.id, WebhookEvent::kStart);
  if (wants(WebhookEvent::kCompleted)) {
    add_delivery(item.id, WebhookEvent::kCompleted);
  } else if (wants(WebhookEvent::kOutput) && !item.output.empty() && item.output != "null") {
    add_delivery(item.id, WebhookEvent::kOutput);
  } else if (wants(WebhookEvent::kLogs) && !item.logs.empty()) {
    add_delivery(item.id, WebhookEvent::kLogs);
  }
}

FinishOutcome MemoryStore::finish_one(const Finish& item) {
  const auto found = active_.find(item.id);
  if (found == active_.end()) return why_not_finished(item);
  const Active& active = found->second;
  if (!item.expected.contains(active.row.state)) return FinishOutcome::kSuperseded;
  if (item.attempt.has_value() && *item.attempt != active.row.attempt) {
    return FinishOutcome::kSuperseded;
  }
  if (active.row.attempt > 0) ++run_counts_[predictions_.at(item.id).model];
  Outcome outcome{item, active.row.attempt, active.version};
  outcome.finish.billed = ran(active.row, item);
  if (!outcome.finish.instance && !active.row.instance.is_nil()) {
    outcome.finish.instance = active.row.instance;
  }
  sanitize(outcome.finish);
  outcome.finish.started_at =
      first_start(active.row.started_at, item.started_at, item.completed_at);
  results_.emplace(item.id, std::move(outcome));
  add_deliveries(active, item);
  active_.erase(found);
  return FinishOutcome::kCommitted;
}

Result<std::vector<FinishOutcome>> MemoryStore::finish(std::span<const Finish> batch) {
  const std::scoped_lock lock(mutex_);
  std::vector<FinishOutcome> answers;
  answers.reserve(batch.size());
  for (const Finish& item : batch) answers.push_back(finish_one(item));
  return answers;
}

Result<std::vector<bool>> MemoryStore::requeue(const Fence& fence, std::span<const Requeue> batch) {
  const std::scoped_lock lock(mutex_);
  if (!fence_holds(fence)) return absl::AbortedError("another scheduler owns the cell");
  std::vector<bool> answers;
  for (const Requeue& item : batch) {
    const auto found = active_.find(item.id);
    const bool changes =
        found != active_.end() && found->second.row.state != ActiveState::kQueued &&
        found->second.row.attempt == item.attempt && found->second.row.worker == item.worker &&
        found->second.row.incarnation == item.incarnation;
    answers.push_back(changes);
    if (!changes) continue;
    ActiveRow& row = found->second.row;
    row.state = ActiveState::kQueued;
    row.instance = {};
    row.worker = {};
    row.incarnation = 0;
    row.assigned_at.reset();
    row.infra_failures += item.infra_failures;
  }
  return answers;
}

Result<Canceled> MemoryStore::cancel(PredictionId id, AccountId account, WallTime now) {
  const std::scoped_lock lock(mutex_);
  const auto prediction = predictions_.find(id);
  if (prediction == predictions_.end() || (account != 0 && prediction->second.account != account)) {
    return Canceled{.outcome = CancelOutcome::kUnknown};
  }
  const TargetId target = prediction->second.target;
  const auto found = active_.find(id);
  if (found == active_.end()) return Canceled{CancelOutcome::kTerminal, target, 0};
  if (found->second.row.state == ActiveState::kQueued) {
    Finish finish;
    finish.id = id;
    finish.status = PredictionStatus::kCanceled;
    finish.completed_at = now;
    finish_one(finish);
    return Canceled{CancelOutcome::kCanceled, target, 0};
  }
  ActiveRow& row = found->second.row;
  if (!row.cancel_at.has_value()) row.cancel_at = now;
  return Canceled{CancelOutcome::kRequested, target, row.attempt};
}

Status MemoryStore::mark_output_seen(std::span<const PredictionId> ids) {
  const std::scoped_lock lock(mutex_);
  for (const PredictionId id : ids) {
    if (const auto found = active_.find(id); found != active_.end()) {
      found->second.row.output_seen = true;
    }
  }
  return absl::OkStatus();
}

PredictionView MemoryStore::view_of(const NewPrediction& p) const {
  PredictionView view;
  view.id = p.id;
  view.account = p.account;
  view.target = p.target;
  if (const auto model = models_.find(p.model); model != models_.end()) {
    view.model_owner = model->second.model.owner;
    view.model_name = model->second.model.name;
  }
  view.version = p.version;
  if (p.deployment.has_value()) {
    if (const auto d = deployments_.find(*p.deployment); d != deployments_.end()) {
      view.deployment = d->second.deployment.owner + "/" + d->second.deployment.name;
    }
  }
  view.source = p.source;
  view.is_training = p.is_training;
  view.destination = p.destination;
  view.created_at = p.created_at;
  view.deadline_at = p.deadline_at;
  view.webhook = p.webhook;
  view.webhook_events = p.webhook_events;
  view.stream_token = p.stream_token;
  view.data_removed = without_content_.contains(p.id);
  if (!view.data_removed) view.input = p.public_input.empty() ? p.input : p.public_input;
  if (const auto active = active_.find(p.id); active != active_.end()) {
    const ActiveRow& row = active->second.row;
    view.version = active->second.version;
    view.status = public_status(row.state, row.started_at.has_value());
    view.started_at = row.started_at;
    view.attempt = row.attempt;
  } else if (const auto result = results_.find(p.id); result != results_.end()) {
    const Outcome& outcome = result->second;
    view.version = outcome.version;
    view.status = outcome.finish.status;
    view.started_at = outcome.finish.started_at;
    view.completed_at = outcome.finish.completed_at;
    view.error = outcome.finish.error;
    view.metrics = outcome.finish.metrics;
    view.attempt = outcome.attempt;
    if (!view.data_removed) {
      view.output = outcome.finish.output;
      view.logs = outcome.finish.logs;
    }
  }
  const bool is_by_model = !p.deployment.has_value() && !p.is_training;
  if (is_by_model && official_models_.contains(p.model)) view.version = {};
  return view;
}

Result<PredictionView> MemoryStore::get(PredictionId id, AccountId account) {
  const std::scoped_lock lock(mutex_);
  const auto found = predictions_.find(id);
  if (found == predictions_.end() || (account != 0 && found->second.account != account)) {
    return absl::NotFoundError("no such prediction");
  }
  return view_of(found->second);
}

Result<PredictionView> MemoryStore::get_by_stream_token(PredictionId id, std::string_view token) {
  const std::scoped_lock lock(mutex_);
  const auto found = predictions_.find(id);
  if (found == predictions_.end() || token.empty() || found->second.stream_token != token) {
    return absl::NotFoundError("no such stream");
  }
  return view_of(found->second);
}

Result<std::string> MemoryStore::get_input(PredictionId id) {
  const std::scoped_lock lock(mutex_);
  const auto found = predictions_.find(id);
  if (found == predictions_.end() || without_content_.contains(id)) {
    return absl::NotFoundError("no such prediction, or its input was removed");
  }
  return found->second.input;
}

bool MemoryStore::matches(const PredictionFilter& filter, const NewPrediction& p) const {
  return p.account == filter.account && p.is_training == filter.trainings &&
         (!filter.created_after || p.created_at >= *filter.created_after) &&
         (!filter.created_before || p.created_at < *filter.created_before) &&
         (!filter.source || p.source == *filter.source) &&
         (!filter.deployment || p.deployment == filter.deployment);
}

Result<std::vector<PredictionView>> MemoryStore::list(const PredictionFilter& filter) {
  const std::scoped_lock lock(mutex_);
  std::vector<PredictionView> page;
  if (!filter.after.is_nil()) {
    for (auto it = predictions_.upper_bound(filter.after);
         it != predictions_.end() && page.size() < filter.limit; ++it) {
      if (matches(filter, it->second)) page.push_back(view_of(it->second));
    }
    std::reverse(page.begin(), page.end());
    return page;
  }
  auto it = filter.before.is_nil() ? predictions_.end() : predictions_.lower_bound(filter.before);
  while (it != predictions_.begin() && page.size() < filter.limit) {
    --it;
    if (matches(filter, it->second)) page.push_back(view_of(it->second));
  }
  return page;
}

Result<std::vector<PredictionId>> MemoryStore::which_are_terminal(
    std::span<const PredictionId> ids) {
  const std::scoped_lock lock(mutex_);
  std::vector<PredictionId> terminal;
  for (const PredictionId id : ids) {
    if (results_.contains(id)) terminal.push_back(id);
  }
  return terminal;
}

Result<std::vector<ActiveRow>> MemoryStore::scan_active(CellId cell, PredictionId after,
                                                        std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<ActiveRow> rows;
  for (auto it = active_.upper_bound(after); it != active_.end() && rows.size() < limit; ++it) {
    if (it->second.row.cell == cell) rows.push_back(it->second.row);
  }
  return rows;
}

Result<std::int64_t> MemoryStore::count_active(AccountId account) {
  const std::scoped_lock lock(mutex_);
  return std::count_if(active_.begin(), active_.end(), [account](const auto& entry) {
    return entry.second.row.account == account;
  });
}

Status MemoryStore::make_partitions(WallTime, std::chrono::hours) { return absl::OkStatus(); }

Status MemoryStore::ping() { return absl::OkStatus(); }

Result<WallTime> MemoryStore::now() { return clock_.now(); }

// One "partition" per prediction.
std::int32_t MemoryStore::drop_old(WallTime now, const Retention& keep,
                                   std::vector<PredictionId>& without_content) {
  const std::scoped_lock lock(mutex_);
  std::int32_t dropped = 0;
  for (auto it = predictions_.begin(); it != predictions_.end();) {
    const auto [id, created] = std::pair(it->first, it->first.created_at());
    if (active_.contains(id) || kept_.contains(id)) {
      ++it;
      continue;
    }
    if (created < now - keep.content && without_content_.insert(id).second) {
      forget_attempts(id);
      without_content.push_back(id);
      ++dropped;
    }
    if (created < now - keep.records) {
      results_.erase(id);
      without_content_.erase(id);
      it = predictions_.erase(it);
      ++dropped;
    } else {
      ++it;
    }
  }
  return dropped;
}

Result<std::int32_t> MemoryStore::drop_expired(WallTime now, const Retention& keep) {
  std::vector<PredictionId> without_content;
  const std::int32_t dropped = drop_old(now, keep, without_content);
  // Without the lock: it looks into other stores, which look into this one.
  for (const PredictionId id : without_content) on_dropped_(id);
  return dropped;
}

std::vector<PredictionView> MemoryStore::ended_with_data() {
  const std::scoped_lock lock(mutex_);
  std::vector<PredictionView> views;
  for (const auto& [id, prediction] : predictions_) {
    if (results_.contains(id) && !without_content_.contains(id)) {
      views.push_back(view_of(prediction));
    }
  }
  return views;
}

bool MemoryStore::has_data(PredictionId id) {
  const std::scoped_lock lock(mutex_);
  return predictions_.contains(id) && !without_content_.contains(id);
}

void MemoryStore::remove_content(PredictionId id) {
  const std::scoped_lock lock(mutex_);
  without_content_.insert(id);
  forget_attempts(id);
}

void MemoryStore::set_on_dropped(std::function<void(PredictionId)> on_dropped) {
  on_dropped_ = std::move(on_dropped);
}

void MemoryStore::keep(PredictionId id) {
  const std::scoped_lock lock(mutex_);
  kept_.insert(id);
}

void MemoryStore::release(PredictionId id) {
  const std::scoped_lock lock(mutex_);
  if (!examples_.contains(id)) kept_.erase(id);
}

bool MemoryStore::is_kept(PredictionId id) {
  const std::scoped_lock lock(mutex_);
  return kept_.contains(id);
}

}  // namespace mimeo::store
