// Server-sent events of one prediction: what it outputs, as it outputs it. The token in the path is
// the credential.
//
// The number in an event's id is the position of the output, so a client that comes back with
// Last-Event-ID goes on behind it, whether its events now come from the hub or from the stored row.
// `done` has the number behind the last output (and behind `error`).

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/http/event_stream.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/event_position.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

// Some clients give up after 30 s without a byte.
constexpr std::chrono::milliseconds kKeepAlive{15'000};
// When the hub's ring was dropped before the prediction's end was seen.
constexpr std::chrono::milliseconds kLookAgain{1'000};
// Between `done` and the end of the body: Go's client drops the events that it has not taken yet
// when the body ends, and most clients leave at `done` by themselves.
constexpr std::chrono::milliseconds kLetRead{100};

std::int64_t unix_seconds(WallTime at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

http::Headers stream_headers() {
  http::Headers headers;
  headers.add("Access-Control-Allow-Origin", "*");
  return headers;
}

// Strings as they are, all else as JSON.
std::string event_data(const json& output) {
  if (output.is_string()) return output.get<std::string>();
  return output.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Formats the events of one stream, in order, leaving out what the client has.
class StreamText {
 public:
  explicit StreamText(std::uint64_t wanted) : wanted_(wanted) {}

  // The `position`-th output. Outputs come in order, but may come twice: from the hub and the row.
  void output(std::uint64_t position, const json& value, WallTime at) {
    if (position < next_) return;
    next_ = position + 1;
    add(position, "output", event_data(value), at);
  }

  // What is left when the prediction has ended.
  void end(const store::PredictionView& view) {
    const WallTime at = view.completed_at.value_or(view.created_at);
    const json outputs = json::parse(view.output, nullptr, false);
    if (outputs.is_array()) {
      for (std::uint64_t i = next_; i < outputs.size(); ++i) output(i, outputs[i], at);
    } else if (!outputs.is_null() && !outputs.is_discarded()) {
      output(0, outputs, at);
    }
    std::string reason = "{}";
    if (view.status == PredictionStatus::kFailed) {
      JsonWriter error;
      error.begin_object().key("detail").string(view.error).end_object();
      add(next_++, "error", error.take(), at);
      reason = R"({"reason":"error"})";
    } else if (view.status != PredictionStatus::kSucceeded) {
      reason = R"({"reason":"canceled"})";
    }
    add(next_, "done", std::move(reason), at);
  }

  // True when the client has seen `done` already.
  [[nodiscard]] bool is_behind_the_end() const { return wanted_ > next_; }
  [[nodiscard]] std::string take() { return std::exchange(text_, {}); }

 private:
  void add(std::uint64_t number, std::string name, std::string data, WallTime at) {
    if (number < wanted_) return;
    http::Event event;
    event.id = concat(unix_seconds(at), ":", number);
    event.name = std::move(name);
    event.data = std::move(data);
    text_.append(http::format_event(event));
  }

  const std::uint64_t wanted_;
  std::uint64_t next_ = 0;  // Position of the next output.
  std::string text_;
};

// Follows the hub until the prediction has ended or the client is gone.
class StreamSession {
 public:
  StreamSession(Api& api, http::Exchange& exchange, PredictionId id, std::uint64_t wanted)
      : api_(api), events_(exchange), id_(id), text_(wanted) {}

  boost::asio::awaitable<void> run() {
    http::Headers headers = stream_headers();
    Status status = co_await events_.start(std::move(headers));
    if (status.ok()) {
      std::string hello = ": hi\n\n";
      status = co_await events_.send_raw(std::move(hello));
    }
    while (status.ok()) {
      status = co_await follow();
      if (!status.ok()) break;
      // The prediction has ended, or its ring is gone: the row knows.
      Result<store::PredictionView> view = co_await api_.parts.intake.view(id_, 0);
      if (view.ok() && is_terminal(view->status)) {
        text_.end(*view);
        status = co_await flush();
        break;
      }
      if (absl::IsNotFound(view.status())) break;
      status = co_await events_.ping();
      if (!co_await sleep_for(kLookAgain)) co_return;
    }
    if (!status.ok() || !co_await sleep_for(kLetRead)) co_return;
    (void)co_await events_.end();
  }

 private:
  // OK when there is something to read in the row; another status when the client is gone.
  boost::asio::awaitable<Status> follow() {
    const auto subscription = api_.parts.hub.subscribe(id_, 0, 0);
    std::uint32_t attempt = 0;
    std::uint64_t position = 0;  // Of the next output of this attempt.
    while (true) {
      const auto events = co_await subscription->next(kKeepAlive);
      if (!events) co_return absl::OkStatus();
      if (events->empty()) {
        MIMEO_CO_RETURN_IF_ERROR(co_await events_.ping());
        continue;
      }
      bool is_done = false;
      for (const HubEvent& event : *events) {
        if (event.kind == EventKind::kDone) is_done = true;
        if (event.kind != EventKind::kOutput) continue;
        if (event.attempt != attempt) {  // A retry begins again.
          attempt = event.attempt;
          position = 0;
        }
        const json value = json::parse(event.data, nullptr, false);
        if (!value.is_discarded()) text_.output(position, value, event.at);
        ++position;
      }
      MIMEO_CO_RETURN_IF_ERROR(co_await flush());
      if (is_done) co_return absl::OkStatus();
    }
  }

  boost::asio::awaitable<Status> flush() {
    std::string text = text_.take();
    if (text.empty()) co_return absl::OkStatus();
    co_return co_await events_.send_raw(std::move(text));
  }

  Api& api_;
  http::EventStream events_;
  const PredictionId id_;
  StreamText text_;
};

// Of a prediction that has ended: all of it at once. 204 tells a browser that comes back after
// `done` not to come again.
ExchangeAnswer replay(const store::PredictionView& view, http::Exchange& exchange,
                      std::uint64_t wanted) {
  StreamText text(wanted);
  text.end(view);
  if (text.is_behind_the_end()) co_return empty_response(204);
  http::EventStream events(exchange);
  http::Headers headers = stream_headers();
  Status status = co_await events.start(std::move(headers));
  std::string all = ": hi\n\n" + text.take();
  if (status.ok()) status = co_await events.send_raw(std::move(all));
  if (!status.ok() || !co_await sleep_for(kLetRead)) co_return std::nullopt;
  (void)co_await events.end();
  co_return std::nullopt;
}

}  // namespace

ExchangeAnswer stream_prediction(Api& api, Call& call, http::Exchange& exchange) {
  const std::optional<StreamToken> token = parse_stream_token(call.param(0));
  if (!token) co_return problem::not_found();
  const bool is_files_path = call.head->path.find("/files/") != std::string::npos;
  if (is_files_path != (token->kind == StreamKind::kFiles)) co_return problem::not_found();
  auto read = [store = &api.parts.predictions, id = token->prediction, text = call.param(0)] {
    return store->get_by_stream_token(id, text);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const store::PredictionView view,
                            co_await api.parts.pool.run(std::move(read)));
  if (view.data_removed) co_return problem::not_found();
  const std::uint64_t wanted = first_wanted_event(call.head->headers.get("Last-Event-ID"));
  if (is_terminal(view.status)) co_return co_await replay(view, exchange, wanted);
  StreamSession session(api, exchange, token->prediction, wanted);
  co_await session.run();
  co_return std::nullopt;
}

}  // namespace mimeo::control
