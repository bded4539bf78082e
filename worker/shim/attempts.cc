#include "worker/shim/attempts.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "common/telemetry/log.h"
#include "worker/cog/container_log.h"
#include "worker/shim/attempt.h"
#include "worker/shim/frames.h"

namespace mimeo::worker {

using boost::asio::awaitable;
using std::chrono::milliseconds;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRemembered = 20'000;
constexpr std::size_t kExitLogBytes = 8 * 1024;
// A server whose container is alive answers by then; one that was killed is gone by then.
constexpr milliseconds kFirstLook{1'000};

// What the server calls the run. The plain id, so that its log lines can be found; a second attempt
// in the same container must not be taken for the first.
std::string run_id(const v1::AttemptId& id) {
  return id.attempt() <= 1 ? id.prediction_id() : attempt_key(id);
}

}  // namespace

Attempts::Attempts(AttemptsOptions options, AttemptsParts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      results_(options_.spool_dir),
      idle_since_(parts_.clock->steady()),
      exit_reason_(parts_.executor) {}

Attempts::~Attempts() = default;

Attempts::AttemptPtr Attempts::find(const v1::AttemptId& id) const {
  const auto found = attempts_.find(attempt_key(id));
  return found == attempts_.end() ? nullptr : found->second;
}

std::optional<std::string> Attempts::why_not_now() const {
  if (!closed_reason_.empty()) return closed_reason_;
  if (container_end_.has_value()) return "the container is gone";
  if (!facts_.has_value()) return "the model is not ready";
  return std::nullopt;
}

void Attempts::start(StartAttempt request) {
  if (!is_plain_id(request.id())) {
    log::error("refused an attempt with an odd id");
    return;
  }
  const std::string key = attempt_key(request.id());
  if (seen_.contains(key)) return;
  if (const auto reason = why_not_now()) {
    refuse(request.id(), *reason);
    return;
  }
  remember(key);
  // The hooks live inside of the attempt: a weak reference keeps them from keeping it.
  auto self = std::make_shared<std::weak_ptr<Attempt>>();
  Attempt::Hooks hooks{parts_.wake, [this, self](CancelReason reason) {
                         const AttemptPtr attempt = self->lock();
                         if (attempt != nullptr) cancel(attempt->id, reason);
                       }};
  const auto attempt =
      std::make_shared<Attempt>(std::move(request), options_.spool_dir, options_.spool_memory_bytes,
                                parts_.executor, *parts_.clock, std::move(hooks));
  *self = attempt;
  attempts_.emplace(key, attempt);
  ++running_;
  parts_.tasks->spawn("attempt", run(attempt));
}

awaitable<void> Attempts::run(AttemptPtr attempt) {
  cog::RunRequest request;
  request.id = run_id(attempt->id);
  request.input = std::move(*attempt->request.mutable_input());
  if (request.input.empty()) request.input = "{}";  // Old servers fail without any.
  request.traceparent = attempt->request.trace();
  request.log_path = options_.log_path;
  const std::weak_ptr<Attempt> weak = attempt;
  cog::RunParts parts;
  parts.executor = parts_.executor;
  parts.connections = parts_.connections;
  parts.pool = parts_.pool;
  parts.tasks = parts_.tasks;
  parts.clock = parts_.clock;
  parts.limits = options_.limits;
  parts.times = options_.times;
  if (parts_.gateway != nullptr) {
    attempt->webhook_url = parts_.gateway->add_webhook([weak](std::string body) {
      const AttemptPtr to = weak.lock();
      if (to != nullptr && to->run != nullptr) to->run->webhook(std::move(body));
    });
    request.webhook_url = attempt->webhook_url;
    parts.localize = [weak, gateway = parts_.gateway](cog::Json& value) {
      if (const AttemptPtr to = weak.lock()) gateway->uploads().localize(value, to->uploads);
    };
  }
  attempt->run = cog::CogRun::make(std::move(parts), *facts_, std::move(request), *attempt);
  cog::RunEnd end = co_await attempt->run->execute();
  if (parts_.gateway != nullptr) parts_.gateway->remove_webhook(attempt->webhook_url);

  std::optional<ContainerEnd> lost;
  if (end.kind == cog::RunEnd::Kind::kLost && !attempt->is_forgotten) {
    lost = co_await explain_loss();
  }
  attempt->run.reset();
  --running_;
  idle_since_ = parts_.clock->steady();
  if (attempt->is_forgotten) {
    remove(attempt);
  } else if (end.kind == cog::RunEnd::Kind::kRefused) {
    log::info("attempt refused attempt={}: {}", attempt->key, end.error);
    remove(attempt);
    seen_.erase(attempt->key);
    refuse(attempt->id, end.error);
    parts_.doubt();
  } else {
    finish(attempt, std::move(end), lost);
  }
  parts_.settle();
}

awaitable<ContainerEnd> Attempts::explain_loss() {
  const SteadyTime until = parts_.clock->steady() + options_.exit_reason_wait;
  milliseconds wait = std::min(kFirstLook, options_.exit_reason_wait);
  bool is_alive = false;
  while (!container_end_.has_value() && parts_.clock->steady() < until) {
    if (co_await exit_reason_.wait_for(wait)) break;
    is_alive = co_await parts_.is_server_alive();
    if (is_alive) break;
    wait = std::chrono::ceil<milliseconds>(until - parts_.clock->steady());
    if (wait.count() <= 0) break;
  }
  if (container_end_.has_value()) co_return *container_end_;
  ContainerEnd end;
  end.kind = is_alive ? ContainerEnd::Kind::kAlive : ContainerEnd::Kind::kUnreachable;
  if (!is_alive && !options_.log_path.empty()) {
    auto read = [path = options_.log_path] { return cog::log_tail(path, kExitLogBytes); };
    end.log_tail = co_await parts_.pool->run(std::move(read));
  }
  co_return end;
}

void Attempts::finish(const AttemptPtr& attempt, cog::RunEnd end,
                      const std::optional<ContainerEnd>& lost) {
  Ending ending = ending_of(end, attempt->cancel_reason, attempt->run_limit, lost);
  if (ending.cause == v1::FAILURE_CAUSE_UNHEALTHY && !end.error.empty()) {
    absl::StrAppend(&ending.error, end.error);
  }
  if (lost.has_value() && !lost->log_tail.empty()) {
    absl::StrAppend(&end.logs, end.logs.empty() || end.logs.back() == '\n' ? "" : "\n",
                    lost->log_tail);
  }
  attempt->finish(end, ending, options_.instance_id);
  const Status written = results_.put(attempt->key, attempt->result.result().SerializeAsString());
  // Reported all the same: memory still has it, and the daemon may live.
  if (!written.ok())
    log::error("writing a result attempt={}: {}", attempt->key, written.ToString());
  parts_.wake();
}

void Attempts::refuse(const v1::AttemptId& id, const std::string& reason) {
  FromShim message;
  *message.mutable_refused()->mutable_id() = id;
  message.mutable_refused()->set_reason(reason);
  append_message_frame(refusals_, message);
  parts_.wake();
}

void Attempts::cancel(const v1::AttemptId& id, CancelReason reason) {
  const AttemptPtr attempt = find(id);
  if (attempt == nullptr || attempt->is_finished) return;
  if (attempt->cancel_reason == CancelReason::kNone) attempt->cancel_reason = reason;
  if (attempt->run != nullptr) parts_.tasks->spawn("cancel", cancel_run(attempt->run));
}

// A parameter keeps the run alive.
awaitable<void> Attempts::cancel_run(std::shared_ptr<cog::CogRun> run) { co_await run->cancel(); }

void Attempts::forget(const v1::AttemptId& id) {
  const AttemptPtr attempt = find(id);
  if (attempt == nullptr) return;
  if (attempt->is_finished) {
    remove(attempt);
    parts_.settle();
    return;
  }
  attempt->is_forgotten = true;  // It keeps its slot until the server is done with it.
  cancel(id, CancelReason::kUser);
}

void Attempts::stored(const v1::AttemptId& id) {
  const AttemptPtr attempt = find(id);
  if (attempt == nullptr || !attempt->is_finished) return;
  remove(attempt);
  parts_.settle();
}

void Attempts::events_stored(const v1::AttemptId& id, std::uint64_t seq) {
  if (const AttemptPtr attempt = find(id)) attempt->spool.drop_through(seq);
}

void Attempts::replay(const v1::AttemptId& id, std::uint64_t after_seq) {
  const AttemptPtr attempt = find(id);
  if (attempt == nullptr) return;
  attempt->sent_seq = std::min(attempt->sent_seq, after_seq);
  parts_.wake();
}

void Attempts::container_exited(std::string reason, std::string log_tail) {
  if (container_end_.has_value()) return;
  container_end_ =
      ContainerEnd{ContainerEnd::Kind::kExited, std::move(reason), cog::to_valid_utf8(log_tail)};
  exit_reason_.set();
  abandon_all();
}

void Attempts::container_gone() {
  if (!container_end_.has_value()) parts_.tasks->spawn("exit reason", wait_for_exit_reason());
}

awaitable<void> Attempts::wait_for_exit_reason() {
  const bool is_known = co_await exit_reason_.wait_for(options_.exit_reason_wait);
  if (!is_known) container_exited("", "");
}

void Attempts::abandon_all() {
  for (const auto& [key, attempt] : attempts_) {
    if (attempt->run != nullptr) attempt->run->abandon();
  }
}

void Attempts::remove(const AttemptPtr& attempt) {
  attempts_.erase(attempt->key);
  if (attempt->is_finished) results_.drop(attempt->key);
  if (attempt->has_input_files) {
    parts_.pool->post([directory = absl::StrCat(options_.spool_dir, "/in/", attempt->key)] {
      std::error_code left_behind;  // Goes with the whole spool.
      fs::remove_all(directory, left_behind);
    });
  }
  if (parts_.gateway == nullptr) return;
  for (const std::string& path : attempt->uploads) parts_.gateway->uploads().remove(path);
  // Files that no output names (the model failed after an upload) have no owner.
  if (attempts_.empty()) parts_.gateway->uploads().remove_all();
}

void Attempts::remember(const std::string& key) {
  seen_.insert(key);
  seen_order_.push_back(key);
  if (seen_order_.size() <= kRemembered) return;
  seen_.erase(seen_order_.front());
  seen_order_.pop_front();
}

void Attempts::rewind() {
  for (const auto& [key, attempt] : attempts_) {
    attempt->sent_seq = 0;
    attempt->is_result_sent = false;
  }
}

void Attempts::collect(std::string& out, std::size_t limit) {
  out.append(refusals_);
  refusals_.clear();
  for (const auto& [key, attempt] : attempts_) {
    if (out.size() >= limit) return;
    attempt->collect(out, limit);
  }
}

void Attempts::describe(ShimState* state) const {
  for (const auto& [key, attempt] : attempts_) {
    if (!attempt->is_forgotten) attempt->describe(state->add_attempts());
  }
}

}  // namespace mimeo::worker
