// Python 0.7 to 0.16 and the Go runtime: asynchronous, reporting by webhook. Their synchronous form
// would ignore the upload URL and freeze health and cancel (Python), or forbid the webhook (Go).
#include <absl/strings/str_cat.h>

#include <utility>

#include "common/async/signal_event.h"
#include "worker/cog/cog_run.h"

namespace mimeo::worker::cog {
namespace {

using boost::asio::awaitable;

constexpr std::string_view kEvents = R"(["output","logs","completed"])";
constexpr std::chrono::milliseconds kHealthTimeout{5'000};
// So many health checks in a row must deny a run that is under way before it counts as lost.
constexpr int kDenials = 2;

bool is_terminal(const Json& body) {
  const auto status = body.find("status");
  if (status == body.end() || !status->is_string()) return false;
  const std::string& word = status->get_ref<const std::string&>();
  return word == "succeeded" || word == "failed" || word == "canceled";
}

class WebhookRun final : public CogRun {
 public:
  WebhookRun(RunParts parts, ServerFacts facts, RunRequest request, RunEvents& events)
      : CogRun(std::move(parts), std::move(facts), std::move(request), events),
        news_(parts_.executor) {}

 private:
  awaitable<RunEnd> drive() override {
    Answer answer = co_await submit();
    // The handler of /trainings in 0.9 to 0.11 cannot work; there /predictions trains.
    const int status = answer.response.status;
    if (facts_.kind == RunKind::kTraining && answer.end == nullptr &&
        (status == 404 || status == 405 || status == 500)) {
      posts_to_predictions_ = true;
      answer = co_await submit();
    }
    if (answer.end != nullptr) co_return std::move(*answer.end);
    if (answer.response.status != 202) co_return settle(answer.response);
    report_started();
    // Nothing more comes on this connection, and the server may close it when it likes.
    connection_.reset();
    co_return co_await follow();
  }

  awaitable<Answer> submit() {
    // Go wants "respond-async" if and only if there is a webhook.
    http::ClientRequest request = put_request(body_with(kEvents));
    if (!request_.webhook_url.empty()) request.headers.add("Prefer", "respond-async");
    Answer answer = co_await send(std::move(request), Reading::kWhole);
    co_return answer;
  }

  awaitable<RunEnd> follow() {
    int denials = 0;
    while (terminal_.is_null()) {
      news_.reset();
      const bool has_news = co_await news_.wait_for(parts_.times.silence);
      if (!terminal_.is_null()) break;
      if (is_abandoned_) {
        co_return transcript_.finish_without(RunEnd::Kind::kLost, "given up");
      }
      if (has_news) {
        denials = 0;
        continue;
      }
      std::string problem = co_await why_lost();
      if (!terminal_.is_null()) break;
      denials = problem.empty() ? 0 : denials + 1;
      if (denials >= kDenials) {
        co_return transcript_.finish_without(RunEnd::Kind::kLost, std::move(problem));
      }
    }
    co_return transcript_.finish(terminal_);
  }

  // Asked after a silence; empty when the run may well be under way.
  awaitable<std::string> why_lost() {
    http::ClientRequest request;
    request.target = "/health-check";
    request.timeout = kHealthTimeout;
    const Result<http::Response> response =
        co_await parts_.connections->exchange(std::move(request));
    if (!response.ok()) {
      // A server too busy to answer is not lost.
      if (!absl::IsUnavailable(response.status())) co_return std::string();
      co_return absl::StrCat("the model server is gone: ", response.status().message());
    }
    const Result<HealthReport> report = parse_health(response->status, response->body);
    if (!report.ok()) co_return std::string();
    if (report->health == ServerHealth::kDefunct) co_return "the model's process died";
    if (report->health == ServerHealth::kReady && facts_.slots == 1) {
      co_return "the model server is idle, but never reported how the run ended";
    }
    co_return std::string();
  }

  void on_webhook(const Json& body) override {
    if (!terminal_.is_null()) return;  // A repeat, or a straggler of before the end.
    if (is_terminal(body)) {
      terminal_ = body;
    } else {
      transcript_.snapshot(body);
    }
    news_.set();
  }

  // Wakes follow(), so that abandon() is noticed at once.
  void on_abandon() override { news_.set(); }

  SignalEvent news_;
  Json terminal_;  // Null until the terminal webhook came; it may overtake the answer to the PUT.
};

}  // namespace

std::shared_ptr<CogRun> make_webhook_run(RunParts parts, ServerFacts facts, RunRequest request,
                                         RunEvents& events) {
  return std::make_shared<WebhookRun>(std::move(parts), std::move(facts), std::move(request),
                                      events);
}

}  // namespace mimeo::worker::cog
