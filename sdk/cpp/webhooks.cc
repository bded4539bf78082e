#include "sdk/cpp/webhooks.h"

#include <algorithm>

#include "common/async/task_group.h"
#include "sdk/cpp/fetch.h"

namespace mimeo::sdk {
namespace {

constexpr int kTries = 12;
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kTryTime{30'000};

bool wants(const WebhookTarget& target, std::string_view event) {
  return target.events.empty() ||
         std::find(target.events.begin(), target.events.end(), event) != target.events.end();
}

// Whether another try may help.
bool is_transient(const Result<http::Response>& answer) {
  if (!answer.ok()) return !absl::IsInvalidArgument(answer.status());
  const int code = answer->status;
  return code == 429 || code == 500 || code == 502 || code == 503 || code == 504;
}

boost::asio::awaitable<Result<http::Response>> post(std::shared_ptr<Run> run,
                                                    const WebhookTarget* target,
                                                    const WebhookSettings* settings) {
  MIMEO_CO_ASSIGN_OR_RETURN(HttpUrl url, parse_http_url(target->url));
  http::ClientRequest request;
  request.method = "POST";
  request.headers = target->headers;
  request.headers.set("Content-Type", "application/json");
  request.headers.set("User-Agent", "mimeo-sdk");
  if (!settings->auth_token.empty()) {
    request.headers.set("Authorization", "Bearer " + settings->auth_token);
  }
  request.body = run->snapshot().dump(-1, ' ', false, Json::error_handler_t::replace);
  request.timeout = kTryTime;
  co_return co_await fetch(std::move(url), std::move(request));
}

// What the events since the last webhook ask for.
struct Due {
  bool now = false;  // Start or output: not to be delayed.
  bool logs = false;
  bool completed = false;

  void add(const StreamBatch& batch, const WebhookTarget& target) {
    if (batch.skipped > 0) now = true;
    for (const StreamEvent& event : batch.events) {
      completed = completed || event.name == "completed";
      logs = logs || (event.name == "log" && wants(target, "logs"));
      now = now || ((event.name == "start" || event.name == "output") && wants(target, event.name));
    }
  }
};

}  // namespace

boost::asio::awaitable<void> send_webhooks(std::shared_ptr<Run> run, WebhookTarget target,
                                           WebhookSettings settings) {
  std::size_t next = 0;
  Due due;
  auto last_sent = SteadyTime{};
  while (!due.completed) {
    std::chrono::milliseconds limit = std::chrono::hours(1);
    if (due.logs) {  // Held back until it is time, or something else comes along.
      const auto since = SystemClock().steady() - last_sent;
      limit = std::max(
          std::chrono::milliseconds{0},
          settings.logs_interval - std::chrono::duration_cast<std::chrono::milliseconds>(since));
    }
    const StreamBatch batch = co_await run->events(next, limit);
    next = batch.next;
    due.add(batch, target);
    const bool is_logs_time =
        due.logs && SystemClock().steady() - last_sent >= settings.logs_interval;
    if (due.completed || !(due.now || is_logs_time)) continue;
    due = Due{};
    last_sent = SystemClock().steady();
    co_await post(run, &target, &settings);  // Not tried again: the next one says more.
  }
  if (!wants(target, "completed")) co_return;
  std::chrono::milliseconds pause = kFirstPause;
  for (int i = 0; i < kTries; ++i) {
    const Result<http::Response> answer = co_await post(run, &target, &settings);
    if (!is_transient(answer)) co_return;
    const bool slept = co_await sleep_for(pause);
    if (!slept) co_return;
    pause *= 2;
  }
}

}  // namespace mimeo::sdk
