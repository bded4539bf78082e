// Webhooks of one prediction, as Cog's server sends them: cumulative snapshots, `completed`
// retried.

#include <boost/asio/awaitable.hpp>

#include "sdk/cpp/files.h"
#include "sdk/cpp/server.h"

namespace mimeo::sdk {
namespace {

constexpr int kTries = 12;
constexpr std::chrono::milliseconds kFirstPause{100};

bool wants(const Json& filter, std::string_view event) {
  if (!filter.is_array()) return true;
  for (const Json& item : filter) {
    if (item == event) return true;
  }
  return false;
}

// What a stream event is called in the filter.
std::string_view webhook_event(const std::string& event) {
  if (event == "log") return "logs";
  return event;
}

}  // namespace

boost::asio::awaitable<void> Server::send_webhooks(std::shared_ptr<Run> run, std::string url,
                                                   Json filter) {
  std::size_t next = 0;
  bool done = false;
  while (!done) {
    const std::vector<StreamEvent> events = co_await run->events(next, std::chrono::hours(1));
    next += events.size();
    bool due = false;
    for (const StreamEvent& event : events) {
      due = due || wants(filter, webhook_event(event.name));
      done = done || event.name == "completed";
    }
    if (done && !wants(filter, "completed")) co_return;
    if (!due) continue;
    const std::string body = run->snapshot().dump(-1, ' ', false, Json::error_handler_t::replace);
    std::chrono::milliseconds pause = kFirstPause;
    for (int i = 0; i < (done ? kTries : 1); ++i) {
      auto work = [url, body] { return post_json(url, body); };
      const Result<int> code = co_await service_->run(std::move(work));
      if (code.ok() && *code < 500 && *code != 429) break;
      const bool slept = co_await sleep_for(pause);
      if (!slept) co_return;
      pause *= 2;
    }
  }
}

}  // namespace mimeo::sdk
