#include "worker/attempts/attempt_runner.h"

#include <boost/asio/steady_timer.hpp>
#include <utility>
#include <variant>

#include "common/telemetry/log.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;

constexpr std::size_t kMaxSeen = 100'000;
// The shim cancels at the run limit; a container that does not react by then is killed.
constexpr std::chrono::milliseconds kRunLimitSlack{10'000};

std::uint32_t milliseconds(SteadyTime from, SteadyTime to) {
  if (to < from) return 0;
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count());
}

v1::Outcome to_proto(AttemptOutcome outcome) {
  switch (outcome) {
    case AttemptOutcome::kSucceeded:
      return v1::OUTCOME_SUCCEEDED;
    case AttemptOutcome::kFailed:
      return v1::OUTCOME_FAILED;
    case AttemptOutcome::kCanceled:
      return v1::OUTCOME_CANCELED;
  }
  return v1::OUTCOME_FAILED;
}

std::string outcome_label(v1::Outcome outcome) {
  switch (outcome) {
    case v1::OUTCOME_SUCCEEDED:
      return "succeeded";
    case v1::OUTCOME_CANCELED:
      return "canceled";
    default:
      return "failed";
  }
}

v1::FailureCause to_proto(AttemptFault fault) {
  switch (fault) {
    case AttemptFault::kNone:
      return v1::FAILURE_CAUSE_UNSPECIFIED;
    case AttemptFault::kModel:
      return v1::FAILURE_CAUSE_MODEL;
    case AttemptFault::kContainerExit:
      return v1::FAILURE_CAUSE_CONTAINER_EXIT;
    case AttemptFault::kRunLimit:
      return v1::FAILURE_CAUSE_RUN_LIMIT;
    case AttemptFault::kInputFetch:
      return v1::FAILURE_CAUSE_INPUT_FETCH;
    case AttemptFault::kOutputStore:
      return v1::FAILURE_CAUSE_OUTPUT_STORE;
    case AttemptFault::kUnhealthy:
      return v1::FAILURE_CAUSE_UNHEALTHY;
  }
  return v1::FAILURE_CAUSE_UNSPECIFIED;
}

}  // namespace

struct AttemptRunner::Attempt {
  struct FinalResult {};  // Its place in the order of events.
  using Item = std::variant<v1::Event, FinalResult>;

  AttemptKey key;
  Instance* instance = nullptr;  // Kept alive by add_attempt().
  v1::Run run;                   // Empty when adopted after a restart.
  AttemptLife life;
  std::deque<AttemptEvent> inbox;
  bool is_obeying = false;

  std::string input;  // As the container shall see it; only until it is sent.
  std::deque<Item> queue;
  bool is_storing = false;      // The front of the queue waits for its files.
  bool are_events_cut = false;  // A file of an event could not be stored: the result will tell.

  v1::Complete result;     // Until it is offered.
  v1::AttemptEnded ended;  // As reported to the scheduler.
  SteadyTime received_at;
  SteadyTime sent_at;
  SteadyTime ended_at;
  std::unique_ptr<boost::asio::steady_timer> grace;
  std::unique_ptr<boost::asio::steady_timer> run_limit;
};

AttemptRunner::AttemptRunner(AttemptParts parts)
    : parts_(std::move(parts)),
      dispatch_seconds_(parts_.metrics.histogram(
          "mimeo_worker_dispatch_seconds", "From Run to the shim, inputs fetched", {},
          {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.1, 1, 10, 100})),
      became_idle_(parts_.executor),
      tasks_(parts_.executor) {}

AttemptRunner::~AttemptRunner() = default;

AttemptRunner::Attempt* AttemptRunner::find(AttemptKey key) {
  const auto it = attempts_.find(key);
  return it == attempts_.end() ? nullptr : it->second.get();
}

AttemptRunner::Attempt* AttemptRunner::find(const v1::AttemptId& id) {
  const auto key = AttemptKey::parse(id);
  return key.ok() ? find(*key) : nullptr;
}

AttemptRunner::Attempt& AttemptRunner::add(AttemptKey key, Instance& instance, HubRoute route) {
  auto& entry = attempts_[key];
  entry = std::make_unique<Attempt>();
  entry->key = key;
  entry->instance = &instance;
  entry->received_at = parts_.clock.steady();
  entry->sent_at = entry->received_at;
  instance.add_attempt();
  instance.take_slot();
  ++running_;
  parts_.hub.open(key, std::move(route));
  return *entry;
}

// --- From the scheduler ---

void AttemptRunner::run(v1::Run run) {
  const auto key = AttemptKey::parse(run.id());
  if (!key.ok()) {
    log::error("the scheduler sent an attempt with a bad id: {}", key.status().ToString());
    return;
  }
  if (const Attempt* known = find(*key)) {
    report_accepted(*key);
    if (known->life.is_finished()) {
      report_ended(known->ended);
    } else if (known->life.is_started()) {
      report_started(*known);
    }
    return;
  }
  if (seen_.contains(*key)) return;
  const auto reject = [&](v1::AttemptRejected::Reason reason) {
    report_rejected(*key, run.instance_id(), reason);
  };
  if (is_draining_) return reject(v1::AttemptRejected::REASON_DRAINING);
  if (!parts_.has_lease()) return reject(v1::AttemptRejected::REASON_STALE_LEASE);
  const auto instance_id = InstanceId::parse(run.instance_id());
  Instance* instance = instance_id.ok() ? parts_.supervisor.find(*instance_id) : nullptr;
  if (instance == nullptr || !instance->is_ready()) {
    return reject(v1::AttemptRejected::REASON_INSTANCE_GONE);
  }
  if (!instance->has_free_slot()) return reject(v1::AttemptRejected::REASON_BUSY);

  HubRoute route;
  route.hubs.assign(run.hub_addrs().begin(), run.hub_addrs().end());
  route.progress = std::chrono::milliseconds{run.progress_ms()};
  Attempt& attempt = add(*key, *instance, std::move(route));
  attempt.input = std::move(*run.mutable_input());
  attempt.run = std::move(run);
  report_accepted(*key);
  attempt.is_obeying = true;
  for (const auto& action : attempt.life.begin()) obey(attempt, action);
  attempt.is_obeying = false;
  settle(attempt);
}

void AttemptRunner::cancel(const v1::CancelAttempt& cancel) {
  if (Attempt* attempt = find(cancel.id())) {
    feed(*attempt, CancelAsked{std::chrono::milliseconds{cancel.grace_ms()}});
  }
}

void AttemptRunner::forget(const v1::ForgetAttempt& forget) {
  if (Attempt* attempt = find(forget.id())) feed(*attempt, ForgetAsked{});
}

// --- The state machine's hands ---

void AttemptRunner::feed(Attempt& attempt, AttemptEvent event) {
  attempt.inbox.push_back(std::move(event));
  if (!attempt.is_obeying) settle(attempt);
}

// Works off the inbox; the attempt may be gone afterwards.
void AttemptRunner::settle(Attempt& attempt) {
  attempt.is_obeying = true;
  while (!attempt.inbox.empty()) {
    const AttemptEvent event = std::move(attempt.inbox.front());
    attempt.inbox.pop_front();
    for (const auto& action : attempt.life.resume(event)) obey(attempt, action);
  }
  attempt.is_obeying = false;
  if (!attempt.life.is_done()) return;
  const AttemptKey key = attempt.key;
  Instance* instance = attempt.instance;
  parts_.hub.close(key);
  parts_.outputs.forget(key);
  attempts_.erase(key);
  instance->remove_attempt();
  if (attempts_.empty()) became_idle_.set();
}

void AttemptRunner::obey(Attempt& attempt, const AttemptAction& action) {
  switch (action.step) {
    case AttemptStep::kFetchInputs:
      return fetch_inputs(attempt);
    case AttemptStep::kStart:
      return start(attempt);
    case AttemptStep::kCancel:
      return send_cancel(attempt);
    case AttemptStep::kArmGrace:
      return arm(attempt, action.limit, GracePassed{});
    case AttemptStep::kArmRunLimit:
      if (attempt.run.run_limit_ms() == 0) return;
      return arm(attempt, std::chrono::milliseconds{attempt.run.run_limit_ms()} + kRunLimitSlack,
                 RunLimitPassed{.is_deadline = attempt.run.limit_is_deadline()});
    case AttemptStep::kKillContainer:
      return attempt.instance->kill_container(action.text);
    case AttemptStep::kReportStarted:
      return report_started(attempt);
    case AttemptStep::kReportEnded:
      note_end(attempt);
      return report_ended(attempt.ended);
    case AttemptStep::kReportRejected:
      log::info("attempt given back attempt={} reason=\"{}\"", attempt.key.str(), action.text);
      return report_rejected(attempt.key, attempt.instance->id().str(),
                             action.reject == RejectReason::kBusy
                                 ? v1::AttemptRejected::REASON_BUSY
                                 : v1::AttemptRejected::REASON_INSTANCE_GONE);
    case AttemptStep::kFreeSlot:
      --running_;
      return attempt.instance->free_slot();
    case AttemptStep::kMakeResult:
      return make_result(attempt, action);
    case AttemptStep::kStoreFiles:
      attempt.queue.emplace_back(Attempt::FinalResult{});
      return pump(attempt);
    case AttemptStep::kOffer:
      return offer(attempt);
    case AttemptStep::kDropResult:
      return attempt.instance->drop_result(attempt.key);
    case AttemptStep::kForget:
      return;  // settle() does it, when all actions are obeyed.
  }
}

void AttemptRunner::fetch_inputs(Attempt& attempt) {
  if (InputFiles::is_ready(attempt.input, *attempt.instance->fields())) {
    return feed(attempt, InputsReady{});
  }
  InputJob job;
  job.attempt = attempt.key;
  job.input = std::move(attempt.input);
  job.fields = attempt.instance->fields();
  job.spool = attempt.instance->spool();
  job.gateway = attempt.instance->gateway();
  job.hubs = parts_.hub.addresses_for(attempt.key);
  tasks_.spawn("fetch inputs", fetch(attempt.key, std::move(job)));
}

awaitable<void> AttemptRunner::fetch(AttemptKey key, InputJob job) {
  const std::filesystem::path spool = job.spool;
  auto prepared = co_await parts_.inputs.prepare(std::move(job));
  Attempt* attempt = find(key);
  if (attempt == nullptr) {  // Canceled meanwhile: nobody else deletes what was fetched.
    parts_.inputs.discard(spool, key);
    co_return;
  }
  if (!prepared.ok()) {
    feed(*attempt, InputsFailed{std::string(prepared.status().message())});
    co_return;
  }
  attempt->input = std::move(*prepared);
  feed(*attempt, InputsReady{});
}

void AttemptRunner::start(Attempt& attempt) {
  ToShim message;
  StartAttempt& start = *message.mutable_start();
  *start.mutable_id() = attempt.key.proto();
  start.set_input(attempt.input);
  start.set_run_limit_ms(attempt.run.run_limit_ms());
  start.set_limit_is_deadline(attempt.run.limit_is_deadline());
  start.set_trace(attempt.run.trace());
  attempt.sent_at = parts_.clock.steady();
  attempt.instance->send(message);
  dispatch_seconds_.Observe(
      std::chrono::duration<double>(attempt.sent_at - attempt.received_at).count());
}

void AttemptRunner::send_cancel(Attempt& attempt) {
  ToShim message;
  *message.mutable_cancel()->mutable_id() = attempt.key.proto();
  attempt.instance->send(message);
}

void AttemptRunner::arm(Attempt& attempt, std::chrono::milliseconds pause, AttemptEvent event) {
  auto timer = std::make_unique<boost::asio::steady_timer>(parts_.executor, pause);
  timer->async_wait([this, key = attempt.key, event](boost::system::error_code error) {
    if (error) return;  // Cancelled with its attempt.
    if (Attempt* live = find(key)) feed(*live, event);
  });
  auto& place = std::holds_alternative<GracePassed>(event) ? attempt.grace : attempt.run_limit;
  place = std::move(timer);
}

void AttemptRunner::make_result(Attempt& attempt, const AttemptAction& action) {
  // What the shim said so far stays: the logs of a failed upload are still the model's.
  attempt.result.clear_output();
  attempt.result.set_outcome(to_proto(action.outcome));
  attempt.result.set_cause(to_proto(action.fault));
  attempt.result.set_error(action.text);
  attempt.ended_at = parts_.clock.steady();
}

void AttemptRunner::offer(Attempt& attempt) {
  v1::Complete result = std::move(attempt.result);
  *result.mutable_id() = attempt.key.proto();
  result.set_instance_id(attempt.instance->id().str());
  result.set_is_training(attempt.instance->is_training());
  result.set_queued_ms(result.queued_ms() + milliseconds(attempt.received_at, attempt.sent_at));
  attempt.grace.reset();
  attempt.run_limit.reset();
  seen_.insert(attempt.key);
  seen_order_.push_back(attempt.key);
  if (seen_order_.size() > kMaxSeen) {
    seen_.erase(seen_order_.front());
    seen_order_.pop_front();
  }
  parts_.hub.complete(std::move(result), attempt.ended_at);
}

// --- Events and results, in order ---

void AttemptRunner::pump(Attempt& attempt) {
  while (!attempt.is_storing && !attempt.queue.empty()) {
    if (!pass_on(attempt)) return;
  }
}

// Handles the front of the queue; false when it waits for its files now.
bool AttemptRunner::pass_on(Attempt& attempt) {
  auto* event = std::get_if<v1::Event>(&attempt.queue.front());
  const bool is_output = event == nullptr || event->kind() == v1::Event::KIND_OUTPUT;
  const std::string& output = event == nullptr ? attempt.result.output() : event->data();
  if (is_output && OutputFiles::may_have_files(output)) {
    OutputJob job;
    job.attempt = attempt.key;
    job.output = output;
    job.part = event == nullptr ? OutputPart::kWhole : OutputPart::kItem;
    job.fields = attempt.instance->fields();
    job.spool = attempt.instance->spool();
    job.hubs = parts_.hub.addresses_for(attempt.key);
    attempt.is_storing = true;
    tasks_.spawn("store outputs", store_files(attempt.key, std::move(job)));
    return false;
  }
  if (event == nullptr) {
    attempt.queue.pop_front();
    feed(attempt, FilesStored{});
    return true;
  }
  v1::Event ready = std::move(*event);
  attempt.queue.pop_front();
  if (!attempt.are_events_cut) parts_.hub.publish(std::move(ready));
  return true;
}

awaitable<void> AttemptRunner::store_files(AttemptKey key, OutputJob job) {
  auto stored = co_await parts_.outputs.store(std::move(job));
  if (Attempt* attempt = find(key)) finish_front(*attempt, std::move(stored));
}

void AttemptRunner::finish_front(Attempt& attempt, Result<std::string> stored) {
  attempt.is_storing = false;
  const AttemptKey key = attempt.key;
  auto* event = std::get_if<v1::Event>(&attempt.queue.front());
  if (event == nullptr) {
    attempt.queue.pop_front();
    if (stored.ok()) {
      attempt.result.set_output(std::move(*stored));
      feed(attempt, FilesStored{});
    } else {
      feed(attempt, FilesFailed{std::string(stored.status().message())});
    }
  } else {
    v1::Event ready = std::move(*event);
    attempt.queue.pop_front();
    if (!stored.ok()) {
      log::warn("an output event is lost attempt={} error=\"{}\"", key.str(),
                stored.status().ToString());
      attempt.are_events_cut = true;
    } else if (!attempt.are_events_cut) {
      ready.set_data(std::move(*stored));
      parts_.hub.publish(std::move(ready));
    }
  }
  if (Attempt* live = find(key)) pump(*live);
}

// --- From instances ---

void AttemptRunner::on_shim_state(Instance& instance, const ShimState& state) {
  std::unordered_set<AttemptKey> listed;
  for (const auto& item : state.attempts()) {
    const auto key = AttemptKey::parse(item.id());
    if (!key.ok()) continue;
    listed.insert(*key);
    if (find(*key) != nullptr) continue;
    log::info("found an attempt attempt={} instance={}", key->str(), instance.id().str());
    Attempt& attempt = add(*key, instance, {});
    const auto actions = attempt.life.adopt(item.started() || item.finished());
    for (const auto& action : actions) obey(attempt, action);
  }
  // What was on its way to the shim when the connection broke.
  std::vector<AttemptKey> lost;
  for (auto& [key, attempt] : attempts_) {
    if (attempt->instance != &instance || listed.contains(key)) continue;
    if (!attempt->life.is_in_container()) continue;
    if (attempt->life.is_started()) {
      lost.push_back(key);
    } else {
      start(*attempt);
    }
  }
  for (const AttemptKey key : lost) {
    if (Attempt* attempt = find(key)) {
      feed(*attempt, ContainerGone{"its shim does not know it any more"});
    }
  }
}

void AttemptRunner::on_event(Instance& /*instance*/, v1::Event event) {
  Attempt* attempt = find(event.id());
  if (attempt == nullptr || attempt->life.is_finished()) return;
  const AttemptKey key = attempt->key;
  if (event.kind() == v1::Event::KIND_STARTED) feed(*attempt, ModelStarted{});
  attempt = find(key);
  if (attempt == nullptr) return;
  attempt->queue.emplace_back(std::move(event));
  pump(*attempt);
}

void AttemptRunner::on_result(Instance& instance, v1::Complete result) {
  const auto key = AttemptKey::parse(result.id());
  if (!key.ok()) return;
  Attempt* attempt = find(*key);
  if (attempt == nullptr) {
    if (seen_.contains(*key)) return instance.drop_result(*key);
    // Left behind by a shim that died without us.
    attempt = &add(*key, instance, {});
    (void)attempt->life.adopt(true);
  }
  if (!attempt->life.is_in_container()) return;
  attempt->result = std::move(result);
  attempt->ended_at =
      parts_.clock.steady() - std::chrono::milliseconds{attempt->result.since_end_ms()};
  feed(*attempt, ResultArrived{});
}

void AttemptRunner::on_refused(Instance& /*instance*/, const AttemptRefused& refused) {
  if (Attempt* attempt = find(refused.id())) feed(*attempt, Refused{refused.reason()});
}

void AttemptRunner::on_attempts_ended(Instance& instance, const std::string& reason) {
  std::vector<AttemptKey> all;
  for (const auto& [key, attempt] : attempts_) {
    if (attempt->instance == &instance) all.push_back(key);
  }
  for (const AttemptKey key : all) {
    if (Attempt* attempt = find(key)) feed(*attempt, ContainerGone{reason});
  }
}

// --- From the hub client ---

void AttemptRunner::on_completed(AttemptKey key, v1::CompleteReply::Result answer) {
  if (answer != v1::CompleteReply::RESULT_COMMITTED) {
    log::info("result answered attempt={} answer={}", key.str(),
              v1::CompleteReply::Result_Name(answer));
  }
  if (Attempt* attempt = find(key)) feed(*attempt, Acknowledged{});
}

void AttemptRunner::on_replay_wanted(AttemptKey key, std::uint64_t after_seq) {
  Attempt* attempt = find(key);
  if (attempt == nullptr) return;
  ToShim message;
  *message.mutable_replay()->mutable_id() = key.proto();
  message.mutable_replay()->set_after_seq(after_seq);
  attempt->instance->send(message);
}

// --- Reports ---

std::vector<v1::AttemptReport> AttemptRunner::reports() const {
  std::vector<v1::AttemptReport> out;
  for (const auto& [key, attempt] : attempts_) {
    v1::AttemptReport report;
    *report.mutable_id() = key.proto();
    report.set_instance_id(attempt->instance->id().str());
    report.set_started(attempt->life.is_started());
    report.set_spooled(attempt->life.is_finished());
    out.push_back(std::move(report));
  }
  return out;
}

void AttemptRunner::report_accepted(AttemptKey key) {
  v1::WorkerMessage message;
  *message.mutable_accepted()->mutable_id() = key.proto();
  parts_.report(std::move(message));
}

void AttemptRunner::report_rejected(AttemptKey key, const std::string& instance,
                                    v1::AttemptRejected::Reason reason) {
  v1::WorkerMessage message;
  *message.mutable_rejected()->mutable_id() = key.proto();
  message.mutable_rejected()->set_instance_id(instance);
  message.mutable_rejected()->set_reason(reason);
  parts_.report(std::move(message));
}

void AttemptRunner::report_started(const Attempt& attempt) {
  v1::WorkerMessage message;
  *message.mutable_started()->mutable_id() = attempt.key.proto();
  message.mutable_started()->set_instance_id(attempt.instance->id().str());
  parts_.report(std::move(message));
}

void AttemptRunner::note_end(Attempt& attempt) {
  v1::AttemptEnded& ended = attempt.ended;
  *ended.mutable_id() = attempt.key.proto();
  ended.set_instance_id(attempt.instance->id().str());
  ended.set_outcome(attempt.result.outcome());
  ended.set_ran_ms(attempt.result.ran_ms());
  ended.set_cause(attempt.result.cause());
  parts_.metrics
      .counter("mimeo_worker_attempts_total", "Attempts that ended in a container",
               {{"outcome", outcome_label(ended.outcome())}})
      .Increment();
}

void AttemptRunner::report_ended(const v1::AttemptEnded& ended) {
  v1::WorkerMessage message;
  *message.mutable_ended() = ended;
  parts_.report(std::move(message));
}

awaitable<bool> AttemptRunner::wait_idle(std::chrono::milliseconds limit) {
  became_idle_.reset();
  if (attempts_.empty()) co_return true;
  const bool is_idle = co_await became_idle_.wait_for(limit);
  co_return is_idle;
}

awaitable<void> AttemptRunner::stop() {
  tasks_.cancel();
  const Status ended = co_await tasks_.wait(std::chrono::seconds{5});
  if (!ended.ok()) log::warn("attempts: {}", ended.ToString());
}

}  // namespace mimeo::worker
