#include "control-plane/predictions/prediction_intake.h"

#include <algorithm>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "common/async/batcher.h"
#include "common/async/blocking_pool.h"
#include "common/async/retry.h"
#include "common/telemetry/log.h"
#include "common/telemetry/metrics.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/queue_limits.h"
#include "control-plane/predictions/recent_predictions.h"
#include "control-plane/predictions/result_committer.h"
#include "control-plane/predictions/result_watch.h"
#include "control-plane/scheduler_client.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using store::Created;
using store::CreateOutcome;
using store::NewPrediction;
using store::PredictionView;

const std::vector<double> kBatchBuckets{1, 2, 4, 8, 16, 32, 64, 128, 256};

double seconds_since(SteadyTime begin, SteadyTime now) {
  return std::chrono::duration<double>(now - begin).count();
}

// The time left, for the wire: at least 1 ms, because 0 means "none" there.
milliseconds left_until(WallTime deadline, WallTime now) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - now);
  return std::max(left, milliseconds(1));
}

NewPrediction row_of(const IntakeRequest& request, PredictionId id, WallTime now) {
  NewPrediction row;
  row.id = id;
  row.account = request.account.id;
  row.target = request.target.id;
  row.cell = request.target.cell;
  row.model = request.model;
  row.version = request.version;
  row.deployment = request.deployment;
  row.source = request.source;
  row.priority = request.priority;
  row.is_training = request.is_training;
  row.created_at = now;
  if (request.cancel_after) row.deadline_at = now + *request.cancel_after;
  row.run_limit = request.run_limit;
  row.input = request.input;
  row.public_input = request.public_input;
  row.webhook = request.webhook;
  row.webhook_events = request.webhook_events;
  row.destination = request.destination;
  row.idempotency_key = request.idempotency_key;
  return row;
}

// What the store would answer for a row that was just created.
PredictionView view_of(const IntakeRequest& request, const NewPrediction& row) {
  PredictionView view;
  view.id = row.id;
  view.account = row.account;
  view.target = row.target;
  view.model_owner = request.model_owner;
  view.model_name = request.model_name;
  if (!request.hides_version) view.version = row.version;
  view.deployment = request.deployment_name;
  view.source = row.source;
  view.is_training = row.is_training;
  view.destination = row.destination;
  view.created_at = row.created_at;
  view.deadline_at = row.deadline_at;
  view.input = row.public_input.empty() ? row.input : row.public_input;
  view.webhook = row.webhook;
  view.webhook_events = row.webhook_events;
  view.stream_token = row.stream_token;
  return view;
}

Dispatch dispatch_of(const NewPrediction& row, WallTime now, milliseconds progress) {
  Dispatch dispatch;
  dispatch.id = row.id;
  dispatch.cell = row.cell;
  dispatch.target = row.target;
  dispatch.account = row.account;
  dispatch.priority = row.priority;
  dispatch.run_limit = row.run_limit;
  if (row.deadline_at) dispatch.deadline_left = left_until(*row.deadline_at, now);
  dispatch.progress = progress;
  return dispatch;
}

// "[a,b,c]" of JSON values.
std::string json_array(const std::vector<std::string>& values) {
  std::string array = "[";
  for (const std::string& value : values) {
    if (array.size() > 1) array += ',';
    array += value;
  }
  return array + ']';
}

class Intake final : public PredictionIntake {
 public:
  Intake(const asio::any_io_executor& executor, IntakeParts parts, IntakeOptions options);

  asio::awaitable<Result<PredictionView>> create(IntakeRequest request) override;
  asio::awaitable<bool> wait(PredictionId id, milliseconds limit) override {
    const SteadyTime begin = parts_.clock.steady();
    waiting_.Increment();
    const bool is_done = co_await parts_.watch.wait(id, limit);
    waiting_.Decrement();
    wait_seconds_.Observe(seconds_since(begin, parts_.clock.steady()));
    co_return is_done;
  }
  asio::awaitable<Result<PredictionView>> view(PredictionId id, AccountId account) override;
  asio::awaitable<Result<PredictionView>> cancel(PredictionId id, AccountId account) override;

 private:
  asio::awaitable<std::optional<HeldSlot>> reserve(const IntakeRequest* request);
  asio::awaitable<Result<Created>> insert(const NewPrediction* row);
  asio::awaitable<Status> try_insert(const NewPrediction* row, Created* created);
  Result<std::vector<Result<Created>>> write(std::span<const NewPrediction> batch);
  void tell_scheduler(const NewPrediction& row, const std::optional<HeldSlot>& slot,
                      CreateOutcome outcome);
  asio::awaitable<Result<PredictionView>> read(PredictionId id, AccountId account);
  void overlay(PredictionView& view) const;
  asio::awaitable<void> cancel_running(PredictionId id, store::Canceled canceled);

  IntakeParts parts_;
  const IntakeOptions options_;
  IdGenerator ids_;
  prometheus::Histogram& reserve_seconds_;
  prometheus::Histogram& commit_seconds_;
  prometheus::Histogram& batch_size_;
  prometheus::Histogram& create_seconds_;
  prometheus::Histogram& wait_seconds_;
  prometheus::Gauge& waiting_;
  prometheus::Gauge& pending_;
  std::map<CreateOutcome, prometheus::Counter*> created_;
  prometheus::Counter& reserved_;
  prometheus::Counter& not_reserved_;
  Batcher<NewPrediction, Result<Created>> batcher_;  // An answer or an error for each.
};

Intake::Intake(const asio::any_io_executor& executor, IntakeParts parts, IntakeOptions options)
    : parts_(parts),
      options_(options),
      ids_(parts_.clock, parts_.random),
      reserve_seconds_(parts_.metrics.histogram("mimeo_control_plane_reserve_seconds",
                                                "Asking a scheduler for a free slot.")),
      commit_seconds_(
          parts_.metrics.histogram("mimeo_control_plane_create_commit_seconds",
                                   "One statement that commits a batch of new predictions.")),
      batch_size_(parts_.metrics.histogram("mimeo_control_plane_create_batch_size",
                                           "New predictions in one statement.", {}, kBatchBuckets)),
      create_seconds_(parts_.metrics.histogram("mimeo_control_plane_create_seconds",
                                               "From a checked request to its commit.")),
      wait_seconds_(parts_.metrics.histogram("mimeo_control_plane_wait_seconds",
                                             "How long synchronous requests waited.")),
      waiting_(parts_.metrics.gauge("mimeo_control_plane_waiting_requests",
                                    "Synchronous requests that wait now.")),
      pending_(parts_.metrics.gauge("mimeo_control_plane_create_pending",
                                    "New predictions that wait for the next statement.")),
      reserved_(parts_.metrics.counter("mimeo_control_plane_reserves_total",
                                       "Slots asked for before a commit.", {{"granted", "yes"}})),
      not_reserved_(parts_.metrics.counter("mimeo_control_plane_reserves_total",
                                           "Slots asked for before a commit.",
                                           {{"granted", "no"}})),
      batcher_(
          executor, parts_.create_pool,
          [this](std::span<const NewPrediction> batch) { return write(batch); },
          BatcherLimits{options.max_batch, BatcherLimits{}.max_pending,
                        options.batches_in_flight}) {
  parts_.watch.on_end(
      [&limits = parts_.limits](PredictionId id, PredictionStatus) { limits.ended(id); });
  const std::map<CreateOutcome, std::string> words{{CreateOutcome::kQueued, "queued"},
                                                   {CreateOutcome::kAssigned, "assigned"},
                                                   {CreateOutcome::kDuplicate, "duplicate"},
                                                   {CreateOutcome::kAlreadyExists, "repeated"}};
  for (const auto& [outcome, word] : words) {
    created_[outcome] =
        &parts_.metrics.counter("mimeo_control_plane_created_total",
                                "Predictions committed, by how they began.", {{"outcome", word}});
  }
}

asio::awaitable<Result<PredictionView>> Intake::create(IntakeRequest request) {
  const SteadyTime begin = parts_.clock.steady();
  const AccountId account = request.account.id;
  MIMEO_CO_RETURN_IF_ERROR(co_await parts_.limits.enter(account, request.account.max_queued));
  const std::optional<HeldSlot> slot = co_await reserve(&request);
  const WallTime now = parts_.clock.now();
  NewPrediction row = row_of(request, ids_.next(), now);
  row.stream_token = make_stream_token(row.id, request.stream, parts_.random);
  if (slot) row.grant = slot->grant;

  const Result<Created> created = co_await insert(&row);
  if (!created.ok()) {
    // The slot is not given back: the row may be there after all. It expires by itself.
    parts_.limits.leave(account);
    co_return created.status();
  }
  const CreateOutcome outcome = created->outcome;
  created_.at(outcome)->Increment();
  create_seconds_.Observe(seconds_since(begin, parts_.clock.steady()));
  if (outcome == CreateOutcome::kDuplicate) {
    parts_.limits.leave(account);
    if (slot) parts_.scheduler.dropped(*slot);
    Result<PredictionView> existing = co_await view(created->existing_id, account);
    co_return existing;
  }
  parts_.limits.created(row.id, account);
  tell_scheduler(row, slot, outcome);
  PredictionView view = view_of(request, row);
  Binding binding = row.deployment ? Binding::kLate : Binding::kFixed;
  if (outcome == CreateOutcome::kAssigned && slot) {
    if (!request.hides_version) view.version = slot->grant.version;
    view.attempt = 1;
    binding = Binding::kFixed;
  }
  parts_.recent.created(view, binding);
  co_return view;
}

asio::awaitable<std::optional<HeldSlot>> Intake::reserve(const IntakeRequest* request) {
  ReserveRequest wanted;
  wanted.cell = request->target.cell;
  wanted.target = request->target.id;
  wanted.account = request->account.id;
  wanted.run_limit = request->run_limit;
  const SteadyTime begin = parts_.clock.steady();
  std::optional<HeldSlot> slot =
      co_await parts_.scheduler.reserve(std::move(wanted), options_.reserve_limit);
  reserve_seconds_.Observe(seconds_since(begin, parts_.clock.steady()));
  (slot ? reserved_ : not_reserved_).Increment();
  co_return slot;
}

asio::awaitable<Status> Intake::try_insert(const NewPrediction* row, Created* created) {
  NewPrediction item = *row;
  pending_.Set(static_cast<double>(batcher_.pending()));
  Result<Result<Created>> answer = co_await batcher_.submit(std::move(item));
  if (!answer.ok()) co_return answer.status();
  if (!answer->ok()) co_return answer->status();
  *created = **answer;
  co_return absl::OkStatus();
}

asio::awaitable<Result<Created>> Intake::insert(const NewPrediction* row) {
  Created created;
  const std::function<asio::awaitable<Status>()> operation = [this, row, &created] {
    return try_insert(row, &created);
  };
  RetryPolicyOptions retries;
  retries.total = options_.create_limit;
  const Status status = co_await retry(retries, &parts_.random, operation);
  if (status.ok()) co_return created;
  // Too many waiting writes are the service's trouble, not a limit of this account.
  if (absl::IsResourceExhausted(status)) co_return absl::UnavailableError(status.message());
  co_return with_context(status, "creating a prediction");
}

// On a pool thread.
Result<std::vector<Result<Created>>> Intake::write(std::span<const NewPrediction> batch) {
  batch_size_.Observe(static_cast<double>(batch.size()));
  const auto begin = std::chrono::steady_clock::now();  // Real time: on a thread of the pool.
  Result<std::vector<Created>> created = parts_.predictions.create(batch);
  const auto end = std::chrono::steady_clock::now();  // Real time: the same.
  commit_seconds_.Observe(seconds_since(begin, end));
  std::vector<Result<Created>> answers;
  answers.reserve(batch.size());
  if (created.ok()) {
    for (const Created& one : *created) answers.emplace_back(one);
    return answers;
  }
  if (batch.size() == 1 || absl::IsUnavailable(created.status())) return created.status();
  // One of them cannot be stored; the others must not suffer.
  log::error("creating {} predictions: {}", batch.size(), created.status().ToString());
  for (const NewPrediction& row : batch) {
    Result<std::vector<Created>> alone = parts_.predictions.create(std::span(&row, 1));
    if (alone.ok()) {
      answers.emplace_back(alone->front());
    } else {
      answers.emplace_back(alone.status());
    }
  }
  return answers;
}

void Intake::tell_scheduler(const NewPrediction& row, const std::optional<HeldSlot>& slot,
                            CreateOutcome outcome) {
  // After a repeated batch we do not know whether the row is queued or assigned: the scheduler's
  // scan finds out.
  if (outcome == CreateOutcome::kAlreadyExists) return;
  const Dispatch dispatch = dispatch_of(row, parts_.clock.now(), options_.progress);
  if (outcome == CreateOutcome::kAssigned && slot) {
    parts_.scheduler.granted(*slot, dispatch, row.input);
    return;
  }
  if (slot) parts_.scheduler.dropped(*slot);  // Its fence did not hold any more.
  parts_.scheduler.queued(dispatch);
}

asio::awaitable<Result<PredictionView>> Intake::view(PredictionId id, AccountId account) {
  if (const PredictionView* known = parts_.recent.find_terminal(id); known != nullptr) {
    if (account != 0 && known->account != account) co_return absl::NotFoundError("no prediction");
    co_return *known;
  }
  Result<PredictionView> view = co_await read(id, account);
  if (!view.ok() || is_terminal(view->status)) co_return view;
  const std::optional<LiveState> live = parts_.hub.state(id);
  if (live && live->is_done) {
    // It ended between the read and now.
    Result<PredictionView> again = co_await read(id, account);
    co_return again;
  }
  overlay(*view);
  co_return view;
}

asio::awaitable<Result<PredictionView>> Intake::read(PredictionId id, AccountId account) {
  auto get = [this, id, account] { return parts_.predictions.get(id, account); };
  Result<PredictionView> view = co_await parts_.read_pool.run(std::move(get));
  co_return view;
}

// What the hub knows and the store does not yet.
void Intake::overlay(PredictionView& view) const {
  const std::optional<LiveState> live = parts_.hub.state(view.id);
  if (!live || live->attempt == 0) return;
  if (live->started_at) {
    view.status = PredictionStatus::kProcessing;
    if (!view.started_at) view.started_at = live->started_at;
  }
  view.attempt = std::max(view.attempt, live->attempt);
  if (!live->outputs.empty()) view.output = json_array(live->outputs);
  view.logs = live->logs;
}

asio::awaitable<Result<PredictionView>> Intake::cancel(PredictionId id, AccountId account) {
  auto work = [this, id, account] {
    return parts_.predictions.cancel(id, account, parts_.clock.now());
  };
  const Result<store::Canceled> canceled = co_await parts_.read_pool.run(std::move(work));
  if (!canceled.ok()) co_return with_context(canceled.status(), "canceling a prediction");
  switch (canceled->outcome) {
    case store::CancelOutcome::kUnknown:
      co_return absl::NotFoundError("no prediction");
    case store::CancelOutcome::kTerminal:
      break;
    case store::CancelOutcome::kCanceled: {
      parts_.scheduler.canceled(id, canceled->target, kOnlyQueued);
      parts_.recent.forget(id);
      parts_.watch.finished(id, PredictionStatus::kCanceled);
      break;
    }
    case store::CancelOutcome::kRequested: {
      parts_.scheduler.canceled(id, canceled->target, kDispatched);
      co_await cancel_running(id, *canceled);
      break;
    }
  }
  Result<PredictionView> result = co_await view(id, account);
  co_return result;
}

// The worker's report has the logs, the output so far and exact times; we wait for it for a moment
// and then decide by ourselves (T10). Its later report is superseded.
asio::awaitable<void> Intake::cancel_running(PredictionId id, store::Canceled canceled) {
  const bool is_done = co_await parts_.watch.wait(id, options_.cancel_grace);
  if (is_done) co_return;
  store::Finish finish;
  finish.id = id;
  finish.status = PredictionStatus::kCanceled;
  finish.completed_at = parts_.clock.now();
  if (const std::optional<LiveState> live = parts_.hub.state(id)) {
    if (!live->outputs.empty()) finish.output = json_array(live->outputs);
    finish.logs = live->logs;
    finish.started_at = live->started_at;
  }
  const Result<store::FinishOutcome> outcome = co_await parts_.committer.finish(std::move(finish));
  if (!outcome.ok()) {
    log::warn("canceling prediction={} attempt={}: {}", id.str(), canceled.attempt,
              outcome.status().ToString());
  }
}

}  // namespace

std::unique_ptr<PredictionIntake> make_prediction_intake(asio::any_io_executor executor,
                                                         IntakeParts parts, IntakeOptions options) {
  return std::make_unique<Intake>(executor, parts, options);
}

}  // namespace mimeo::control
