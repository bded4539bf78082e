#include "worker/shim/attempt.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "common/telemetry/log.h"
#include "worker/shim/frames.h"

namespace mimeo::worker {
namespace {

using std::chrono::milliseconds;

std::uint32_t ms(SteadyTime::duration duration) {
  // Rounded, so that 0.9 ms is not shown as nothing.
  const auto rounded = std::chrono::round<milliseconds>(duration).count();
  return static_cast<std::uint32_t>(std::max<milliseconds::rep>(0, rounded));
}

v1::Event::Kind to_proto(SpooledKind kind) {
  switch (kind) {
    case SpooledKind::kStarted:
      return v1::Event::KIND_STARTED;
    case SpooledKind::kOutput:
      return v1::Event::KIND_OUTPUT;
    case SpooledKind::kLog:
      return v1::Event::KIND_LOG;
    case SpooledKind::kMetric:
      return v1::Event::KIND_METRIC;
  }
  return v1::Event::KIND_UNSPECIFIED;
}

}  // namespace

std::string attempt_key(const v1::AttemptId& id) {
  return absl::StrCat(id.prediction_id(), "-", id.attempt());
}

bool is_plain_id(const v1::AttemptId& id) {
  const std::string& text = id.prediction_id();
  return !text.empty() && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isalnum(c); });
}

Attempt::Attempt(StartAttempt start, const std::string& spool_dir, std::size_t spool_memory,
                 boost::asio::any_io_executor executor, const Clock& clock, Hooks hooks)
    : id(start.id()),
      key(attempt_key(start.id())),
      run_limit(start.run_limit_ms()),
      received_at(clock.steady()),
      request(std::move(start)),
      has_input_files(absl::StrContains(request.input(), absl::StrCat("/in/", key, "/"))),
      spool(absl::StrCat(spool_dir, "/events/", key), spool_memory),
      clock_(clock),
      hooks_(std::move(hooks)),
      limit_timer_(std::move(executor)) {}

void Attempt::on_started(std::chrono::microseconds ago) {
  if (is_started) return;
  is_started = true;
  started_at_ = clock_.steady() - ago;
  add(SpooledKind::kStarted, "");
  if (run_limit.count() == 0) return;
  limit_timer_.expires_at(started_at_ + run_limit);
  limit_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->is_finished) return;
    self->hooks_.end_it(self->request.limit_is_deadline() ? CancelReason::kDeadline
                                                          : CancelReason::kRunLimit);
  });
}

void Attempt::on_output(std::string item_json) { add(SpooledKind::kOutput, std::move(item_json)); }

void Attempt::on_log(std::string text) { add(SpooledKind::kLog, std::move(text)); }

void Attempt::on_metric(std::string object_json) {
  add(SpooledKind::kMetric, std::move(object_json));
}

void Attempt::on_too_large() { hooks_.end_it(CancelReason::kNone); }

void Attempt::add(SpooledKind kind, std::string data) {
  // A webhook may overtake the answer that says that the run was accepted.
  if (!is_started) on_started(std::chrono::microseconds{0});
  spool.append(kind, ms(clock_.steady() - started_at_), std::move(data));
  hooks_.wake();
}

void Attempt::finish(const cog::RunEnd& end, const Ending& ending, const std::string& instance_id) {
  on_started(std::chrono::microseconds{0});  // If it ended before anybody could say so.
  limit_timer_.cancel();
  is_finished = true;
  ended_at_ = clock_.steady();
  v1::Complete& complete = *result.mutable_result()->mutable_complete();
  *complete.mutable_id() = id;
  complete.set_outcome(ending.outcome);
  complete.set_cause(ending.cause);
  complete.set_error(ending.error);
  complete.set_output(end.output);
  complete.set_metrics(end.metrics);
  complete.set_logs(end.logs);
  complete.set_last_seq(spool.last_seq());
  complete.set_queued_ms(ms(started_at_ - received_at));
  complete.set_ran_ms(ms(ended_at_ - started_at_));
  complete.set_instance_id(instance_id);
}

void Attempt::collect(std::string& out, std::size_t limit) {
  if (is_forgotten) return;
  sent_seq = std::max(sent_seq, spool.first_seq() - 1);
  FromShim message;
  while (sent_seq < spool.last_seq() && out.size() < limit) {
    Result<SpooledEvent> event = spool.read(++sent_seq);
    if (!event.ok()) {
      // The result has the whole output and log all the same.
      log::error("an event is lost attempt={} seq={}: {}", key, sent_seq,
                 event.status().ToString());
      continue;
    }
    v1::Event& body = *message.mutable_event();
    *body.mutable_id() = id;
    body.set_seq(event->seq);
    body.set_kind(to_proto(event->kind));
    body.set_data(std::move(event->data));
    body.set_since_start_ms(event->since_start_ms);
    append_message_frame(out, message);
  }
  if (!is_finished || is_result_sent || sent_seq < spool.last_seq() || out.size() >= limit) return;
  is_result_sent = true;
  result.mutable_result()->mutable_complete()->set_since_end_ms(ms(clock_.steady() - ended_at_));
  append_message_frame(out, result);
}

void Attempt::describe(AttemptState* state) const {
  *state->mutable_id() = id;
  state->set_started(is_started);
  state->set_finished(is_finished);
  state->set_last_seq(spool.last_seq());
}

}  // namespace mimeo::worker
