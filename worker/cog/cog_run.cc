#include "worker/cog/cog_run.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

namespace mimeo::worker::cog {

using boost::asio::awaitable;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kBusyRetry{1};
// Once the start was reported, a refusal is a surprise: worth waiting longer before undoing it.
constexpr milliseconds kBusyPatienceAfterStart{1000};
constexpr milliseconds kControlTimeout{10'000};
constexpr milliseconds kLongestCancelPause{1000};

std::unique_ptr<RunEnd> boxed(RunEnd end) { return std::make_unique<RunEnd>(std::move(end)); }

}  // namespace

std::shared_ptr<CogRun> CogRun::make(RunParts parts, ServerFacts facts, RunRequest request,
                                     RunEvents& events) {
  switch (facts.generation) {
    case Generation::kPython:
    case Generation::kGo:
      return make_webhook_run(std::move(parts), std::move(facts), std::move(request), events);
    case Generation::kLegacy:
      return make_legacy_run(std::move(parts), std::move(facts), std::move(request), events);
    case Generation::kCoglet:
    case Generation::kUnknown:  // Not asked yet: the newest protocol is the best guess.
      break;
  }
  return make_coglet_run(std::move(parts), std::move(facts), std::move(request), events);
}

CogRun::CogRun(RunParts parts, ServerFacts facts, RunRequest request, RunEvents& events)
    : parts_(std::move(parts)),
      facts_(std::move(facts)),
      request_(std::move(request)),
      events_(events),
      transcript_(facts_.schema.output, parts_.limits, parts_.localize, events),
      started_timer_(parts_.executor) {
  request_.input = without_unknown(std::move(request_.input), facts_.schema);
}

awaitable<RunEnd> CogRun::execute() {
  RunEnd end = co_await drive();
  is_over_ = true;
  started_timer_.cancel();
  parts_.connections->give_back(std::move(connection_));
  co_return end;
}

std::string CogRun::base_path() const {
  const bool is_training = facts_.kind == RunKind::kTraining && !posts_to_predictions_;
  return is_training ? "/trainings" : "/predictions";
}

http::ClientRequest CogRun::put_request(std::string body) const {
  http::ClientRequest request;
  request.method = "PUT";
  request.target = absl::StrCat(base_path(), "/", request_.id);
  request.headers.add("Content-Type", "application/json");  // Exactly: Go refuses a charset.
  if (!request_.traceparent.empty()) request.headers.add("traceparent", request_.traceparent);
  request.body = std::move(body);
  request.timeout = milliseconds{0};  // The run limit is the attempt's business.
  request.max_body = Bytes{2 * parts_.limits.output_bytes + parts_.limits.log_bytes};
  return request;
}

std::string CogRun::body_with(std::string_view webhook_events) const {
  // Joined as text: the input is the user's JSON as it came, of any size.
  std::string body = absl::StrCat(R"({"id":")", request_.id, R"(","input":)", request_.input);
  if (!webhook_events.empty() && !request_.webhook_url.empty()) {
    absl::StrAppend(&body, R"(,"webhook":)", dump(Json(request_.webhook_url)),
                    R"(,"webhook_events_filter":)");
    body.append(webhook_events);
  }
  body.push_back('}');
  return body;
}

void CogRun::report_started() {
  started_timer_.cancel();
  if (is_started_ || is_over_) return;
  is_started_ = true;
  events_.on_started(
      std::chrono::duration_cast<std::chrono::microseconds>(parts_.clock->steady() - sent_at_));
}

void CogRun::arm_started() {
  started_timer_.expires_after(parts_.times.assume_started);
  started_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->is_over_) return;
    self->report_started();
    self->on_still_running();
  });
}

awaitable<Result<http::Response>> CogRun::send_once(http::ClientRequest request, Reading reading) {
  // Python servers close idle connections after 5 s, at the worst moment: never reuse theirs here.
  const bool reuses = facts_.generation == Generation::kCoglet;
  for (Freshness freshness = reuses ? Freshness::kAny : Freshness::kFresh;;
       freshness = Freshness::kFresh) {
    if (connection_ == nullptr || !connection_->http->is_open()) {
      MIMEO_CO_ASSIGN_OR_RETURN(connection_, co_await parts_.connections->take(freshness));
    }
    if (is_abandoned_) co_return absl::CancelledError("given up");
    const bool may_be_stale = connection_->was_used;
    http::ClientRequest copy = request;
    sent_at_ = parts_.clock->steady();
    may_have_arrived_ = true;
    arm_started();
    Result<http::Response> response = absl::UnknownError("");
    if (reading == Reading::kWhole) {
      response = co_await connection_->http->request(std::move(copy));
    } else {
      response = co_await connection_->http->request_head(std::move(copy));
    }
    if (response.ok()) {
      connection_->was_used = true;
      co_return response;
    }
    // An idle connection that died before the request went out; once, and never after giving up.
    if (!may_be_stale || is_abandoned_ || !absl::IsUnavailable(response.status())) {
      co_return response;
    }
    connection_.reset();
  }
}

awaitable<CogRun::Answer> CogRun::send(http::ClientRequest request, Reading reading) {
  const SteadyTime first = parts_.clock->steady();
  for (;;) {
    http::ClientRequest copy = request;
    Result<http::Response> response = co_await send_once(std::move(copy), reading);
    Answer answer;
    if (!response.ok()) {
      if (absl::IsResourceExhausted(response.status())) {
        answer.end = boxed(transcript_.finish_without(
            RunEnd::Kind::kFinished, "the answer of the model server is too large"));
      } else {
        answer.end = boxed(transcript_.finish_without(
            may_have_arrived_ ? RunEnd::Kind::kLost : RunEnd::Kind::kRefused,
            std::string(response.status().message())));
      }
      co_return answer;
    }
    if (response->status != 409) {
      answer.response = *std::move(response);
      co_return answer;
    }
    may_have_arrived_ = false;
    started_timer_.cancel();
    if (reading == Reading::kHeadOnly) connection_.reset();  // Its body was not read.
    if (is_cancel_wanted_) {
      RunEnd end = transcript_.finish_without(RunEnd::Kind::kFinished, "");
      end.status = RunStatus::kCanceled;
      answer.end = boxed(std::move(end));
      co_return answer;
    }
    const milliseconds patience =
        is_started_ ? std::max(kBusyPatienceAfterStart, parts_.times.busy_patience)
                    : parts_.times.busy_patience;
    if (is_abandoned_ || parts_.clock->steady() - first >= patience) {
      answer.end = boxed(transcript_.finish_without(RunEnd::Kind::kRefused,
                                                    "the model server says that it is busy"));
      co_return answer;
    }
    if (!co_await sleep_for(kBusyRetry)) {
      answer.end = boxed(transcript_.finish_without(RunEnd::Kind::kRefused, "shutting down"));
      co_return answer;
    }
  }
}

RunEnd CogRun::settle(const http::Response& response) {
  const Json body = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  const bool has_status = body.is_object() && body.contains("status");
  if (response.status < 300 || (response.status == 422 && has_status)) {
    if (has_status) {
      report_started();
      return transcript_.finish(body);
    }
    return transcript_.finish_without(RunEnd::Kind::kFinished,
                                      "the model server answered something unreadable");
  }
  const std::string text = rejection_text(response.status, response.body);
  // Go answers 500 for everything, also when it merely is not ready.
  const bool is_not_ready =
      response.status == 503 ||
      (response.status == 500 && !is_started_ && facts_.generation == Generation::kGo &&
       absl::StrContains(response.body, "not ready"));
  if (is_not_ready) return transcript_.finish_without(RunEnd::Kind::kRefused, text);
  report_started();
  return transcript_.finish_without(RunEnd::Kind::kFinished, text);
}

awaitable<void> CogRun::cancel() {
  is_cancel_wanted_ = true;
  if (facts_.generation == Generation::kLegacy) co_return;  // Knows no cancel: it is killed.
  const auto self = shared_from_this();
  milliseconds pause{20};
  while (!is_over_ && !is_abandoned_) {
    http::ClientRequest request;
    request.method = "POST";
    request.target = absl::StrCat(base_path(), "/", request_.id, "/cancel");
    request.timeout = kControlTimeout;
    const Result<http::Response> response =
        co_await parts_.connections->exchange(std::move(request));
    // 404: not registered yet (the request is under way), or already over.
    if (response.ok() && response->status == 200) co_return;
    if (!co_await sleep_for(pause)) co_return;
    pause = std::min(2 * pause, kLongestCancelPause);
  }
}

void CogRun::webhook(std::string body) {
  if (is_over_) return;
  const Json parsed = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_object()) on_webhook(parsed);
}

void CogRun::abandon() {
  is_abandoned_ = true;
  if (connection_ != nullptr) connection_->http->close();
  on_abandon();
}

}  // namespace mimeo::worker::cog
