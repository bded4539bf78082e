// coglet (0.17 and later). See cog_run.h for the three ways and why.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "common/async/signal_event.h"
#include "worker/cog/cog_run.h"
#include "worker/cog/container_log.h"
#include "worker/cog/sse_parser.h"

namespace mimeo::worker::cog {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

constexpr std::string_view kEvents = R"(["output","logs","completed"])";
constexpr milliseconds kProbeTimeout{10'000};
constexpr milliseconds kLongestProbePause{1'000};
// The container's log is written by somebody else, a moment later.
constexpr int kLogTries = 5;
constexpr milliseconds kLogPause{20};
constexpr milliseconds kLastWebhookWait{250};
constexpr int kMaxReattachments = 3;

class CogletRun final : public CogRun {
 public:
  CogletRun(RunParts parts, ServerFacts facts, RunRequest request, RunEvents& events)
      : CogRun(std::move(parts), std::move(facts), std::move(request), events),
        can_probe_(facts_.has_validation && is_at_least(facts_.version, 0, 21)),
        completed_(parts_.executor) {}

 private:
  enum class StreamEnd : std::uint8_t { kCompleted, kBroken };

  awaitable<RunEnd> drive() override {
    request_.input = without_nulls(std::move(request_.input), facts_.schema);
    if (facts_.schema.has_events && facts_.kind == RunKind::kPrediction) {
      std::unique_ptr<RunEnd> end = co_await stream();
      if (end != nullptr) co_return std::move(*end);
      // 406: the image's schema promises more than the server keeps.
    }
    http::ClientRequest request = put_request(body_with(can_probe_ ? "" : kEvents));
    Answer answer = co_await send(std::move(request), Reading::kWhole);
    if (answer.end != nullptr) co_return std::move(*answer.end);
    if (answer.response.status == 202) {
      co_return transcript_.finish_without(RunEnd::Kind::kLost,
                                           "the model server already runs this prediction");
    }
    if (loses_logs(answer.response)) co_await fetch_logs();
    co_return settle(answer.response);
  }

  // Of a run that failed or was canceled: coglet's synchronous answer then has no logs.
  [[nodiscard]] static bool loses_logs(const http::Response& response) {
    if (response.status != 200 || response.body.size() > 64 * 1024) return false;
    return absl::StrContains(response.body, R"("logs":"")") &&
           !absl::StrContains(response.body, R"("status":"succeeded")");
  }

  awaitable<void> fetch_logs() {
    report_started();
    if (!can_probe_) {
      co_await completed_.wait_for(kLastWebhookWait);  // Its snapshot has them.
      co_return;
    }
    if (request_.log_path.empty()) co_return;
    for (int i = 0; i < kLogTries; ++i) {
      auto read = [path = request_.log_path, id = request_.id] { return prediction_log(path, id); };
      const std::optional<std::string> log = co_await parts_.pool->run(std::move(read));
      if (log.has_value()) {
        transcript_.log_again(*log);
        co_return;
      }
      if (!co_await sleep_for(kLogPause)) co_return;
    }
  }

  // Null when the server refuses to stream.
  awaitable<std::unique_ptr<RunEnd>> stream() {
    http::ClientRequest request = put_request(body_with(""));
    request.headers.add("Accept", "text/event-stream");
    for (int reattached = 0;; ++reattached) {
      Answer answer = co_await send(std::move(request), Reading::kHeadOnly);
      if (answer.end != nullptr) co_return std::move(answer.end);
      http::Response head = std::move(answer.response);
      const bool is_stream =
          head.status == 200 && head.headers.get("Content-Type").starts_with("text/event-stream");
      if (!is_stream) {
        co_await read_rest(&head);
        if (head.status == 406) co_return nullptr;
        if (reattached > 0) break;  // 422: over meanwhile, and nobody heard how.
        co_return std::make_unique<RunEnd>(settle(head));
      }
      report_started();
      const StreamEnd ended = co_await read_stream();
      if (ended == StreamEnd::kCompleted) {
        co_return std::make_unique<RunEnd>(transcript_.finish(completed_body_));
      }
      connection_.reset();
      if (is_abandoned_ || !facts_.has_validation || reattached >= kMaxReattachments) break;
      // The run goes on in the server while somebody listens. A probe that accepts events replays
      // them from the start, and cannot start the model again.
      request = put_request(probe_body());
      request.headers.add("Accept", "text/event-stream");
      transcript_.rewind();
    }
    co_return std::make_unique<RunEnd>(
        transcript_.finish_without(RunEnd::Kind::kLost, "lost the stream of the model server"));
  }

  awaitable<void> read_rest(http::Response* response) {
    for (;;) {
      const Result<std::string> piece = co_await connection_->http->read_some();
      if (!piece.ok() || piece->empty()) co_return;
      response->body.append(*piece);
    }
  }

  awaitable<StreamEnd> read_stream() {
    SseParser parser;
    for (;;) {
      const Result<std::string> piece = co_await connection_->http->read_some();
      if (!piece.ok() || piece->empty()) co_return StreamEnd::kBroken;
      for (const SseEvent& event : parser.feed(*piece)) {
        if (event.name == "error") co_return StreamEnd::kBroken;  // It lost events.
        if (!take(event)) continue;
        connection_
            .reset();  // A new one costs 50 us; waiting for the end of the body, a round trip.
        co_return StreamEnd::kCompleted;
      }
    }
  }

  // True when this was the last one.
  bool take(const SseEvent& event) {
    Json data = Json::parse(event.data, nullptr, /*allow_exceptions=*/false);
    if (!data.is_object()) return false;
    if (event.name == "completed") {
      completed_body_ = std::move(data);
      return true;
    }
    if (event.name == "output" && data.contains("chunk")) {
      const Json index = data.value("index", Json());
      if (index.is_number_unsigned()) {
        transcript_.item(index.get<std::size_t>(), std::move(data["chunk"]));
      }
    } else if (event.name == "log" && data.contains("data") && data["data"].is_string()) {
      transcript_.log(data["data"].get_ref<const std::string&>());
    } else if (event.name == "metric" && data.contains("name") && data["name"].is_string()) {
      const Json mode = data.value("mode", Json("replace"));
      transcript_.metric(data["name"].get_ref<const std::string&>(), data.value("value", Json()),
                         mode.is_string() ? mode.get_ref<const std::string&>() : "replace");
    }
    return false;
  }

  void on_still_running() override {
    if (!can_probe_ || facts_.schema.has_events) return;
    parts_.tasks->spawn("probe", probe(std::static_pointer_cast<CogletRun>(shared_from_this())));
  }

  [[nodiscard]] std::string probe_body() const {
    return absl::StrCat(R"({"id":")", request_.id, R"(","input":0})");
  }

  // Shows what the run has said so far, until it is over. A parameter keeps the run alive.
  static awaitable<void> probe(std::shared_ptr<CogletRun> run) {
    const bool yields = run->facts_.schema.output == OutputShape::kIterator;
    milliseconds pause = yields ? run->parts_.times.probe_output : run->parts_.times.probe_logs;
    while (co_await sleep_for(pause)) {
      if (run->is_over_ || run->is_abandoned_) co_return;
      http::ClientRequest request = run->put_request(run->probe_body());
      request.timeout = kProbeTimeout;
      const Result<http::Response> response =
          co_await run->parts_.connections->exchange(std::move(request));
      if (run->is_over_ || run->is_abandoned_) co_return;
      if (response.ok() && response->status == 422) co_return;  // Just over.
      if (response.ok() && response->status == 202) {
        run->transcript_.snapshot(Json::parse(response->body, nullptr, false));
      }
      if (!yields) pause = std::min(pause * 3 / 2, kLongestProbePause);
    }
  }

  void on_webhook(const Json& body) override {
    transcript_.snapshot(body);
    const Json status = body.value("status", Json());
    if (status == "failed" || status == "canceled" || status == "succeeded") completed_.set();
  }

  const bool can_probe_;
  SignalEvent completed_;  // The terminal webhook came, where there is one.
  Json completed_body_;
};

}  // namespace

std::shared_ptr<CogRun> make_coglet_run(RunParts parts, ServerFacts facts, RunRequest request,
                                        RunEvents& events) {
  return std::make_shared<CogletRun>(std::move(parts), std::move(facts), std::move(request),
                                     events);
}

}  // namespace mimeo::worker::cog
