#include "worker/cog/fake_cog_server.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/http/client.h"
#include "common/http/server.h"

namespace mimeo::worker::cog {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

struct Run {
  explicit Run(asio::any_io_executor executor) : changed(std::move(executor)) {}
  std::string id;
  Json input;
  std::string webhook;
  std::set<std::string> events{"start", "output", "logs", "completed"};
  std::string logs;
  Json outputs = Json::array();
  Json output;
  std::string error;
  std::string status = "processing";
  bool is_cancelled = false;
  SignalEvent changed;
  std::vector<std::pair<std::string, Json>> history;  // SSE events so far.
  std::vector<Json> sent_hooks;

  [[nodiscard]] bool is_over() const { return status != "processing"; }
};
using RunPtr = std::shared_ptr<Run>;

std::string text_of(const Json& object, const char* key, const char* otherwise = "") {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

struct Url {
  std::string host;
  std::uint16_t port = 80;
  std::string target;
};

Url parse_url(const std::string& url) {
  const std::size_t host = url.find("://") + 3;
  const std::size_t path = std::min(url.find('/', host), url.size());
  const std::size_t colon = url.rfind(':', path);
  return {url.substr(host, colon - host),
          static_cast<std::uint16_t>(std::stoi(url.substr(colon + 1, path - colon - 1))),
          url.substr(path)};
}

awaitable<Result<http::Response>> call(std::string method, std::string url, std::string body) {
  Url parsed = parse_url(url);
  milliseconds timeout{5'000};
  MIMEO_CO_ASSIGN_OR_RETURN(auto connection, co_await http::ClientConnection::connect_tcp(
                                                 std::move(parsed.host), parsed.port, timeout));
  http::ClientRequest request;
  request.method = std::move(method);
  request.target = parsed.target;
  request.headers.add("Content-Type", "application/json");
  request.body = std::move(body);
  Result<http::Response> response = co_await connection->request(std::move(request));
  co_return response;
}

http::Response json_response(int status, const Json& body) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = body.dump();
  return response;
}

http::Response text_response(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain");
  response.body = std::move(body);
  return response;
}

}  // namespace

struct FakeCogServer::State {
  explicit State(FakeCogOptions options_in)
      : options(std::move(options_in)), released(io.get_executor()), tasks(io.get_executor()) {
    http::ServerOptions server_options;
    server_options.inherited_fd = options.listening_fd;
    server = std::make_unique<http::Server>(
        io.get_executor(), std::move(server_options),
        [this](http::Exchange& exchange) { return handle(exchange); });
    const Status started = server->start();
    if (!started.ok()) throw std::runtime_error(started.ToString());
    port = server->port();
    thread = std::thread([this] { io.run(); });
  }

  ~State() {
    asio::post(io, [this] {
      tasks.cancel();
      server.reset();
      work.reset();
    });
    // What still waits for a release, or for a client, is not waited for.
    asio::post(io, [this] { io.stop(); });
    thread.join();
  }

  bool is(Generation generation) const { return options.generation == generation; }

  // --- HTTP ---
  awaitable<void> handle(http::Exchange& exchange) {
    Result<std::string> body = co_await exchange.read_body(Bytes{100U << 20U});
    if (!body.ok()) co_return;
    const http::RequestHead& head = exchange.head();
    {
      const std::lock_guard lock(mutex);
      seen.push_back({head.method, head.target, *body, std::string(head.headers.get("Prefer")),
                      std::string(head.headers.get("Accept")),
                      std::string(head.headers.get("traceparent"))});
    }
    http::Response response = text_response(404, "not found");
    const bool is_training = !head.segments.empty() && head.segments[0] == "trainings";
    if (is_training && options.trainings != FakeTrainings::kWork) {
      if (options.trainings == FakeTrainings::kBroken) response = text_response(500, "coroutine");
    } else if (head.path == "/health-check") {
      response = health_response();
    } else if (head.path == "/openapi.json") {
      response = options.openapi.empty() ? text_response(503, R"({"error":"not available"})")
                                         : text_response(200, options.openapi);
    } else if (head.method == "POST" && head.segments.size() == 3 && head.segments[2] == "cancel" &&
               !is(Generation::kLegacy)) {
      response = cancel(head.segments[1]);
    } else if (head.segments.size() == 2 && head.method == "PUT" && !is(Generation::kLegacy)) {
      std::string id = head.segments[1];
      co_return co_await create(exchange, std::move(id), *std::move(body));
    } else if (head.segments.size() == 1 && head.method == "POST") {
      std::string id = absl::StrCat("pred_", runs.load());
      co_return co_await create(exchange, std::move(id), *std::move(body));
    }
    (void)co_await exchange.respond(std::move(response));
  }

  http::Response health_response() {
    if (is(Generation::kLegacy)) return text_response(404, "not found");
    std::string word;
    {
      const std::lock_guard lock(mutex);
      word = health;
    }
    const int busy = static_cast<int>(active.size());
    if (word == "READY" && busy >= options.slots) word = "BUSY";
    const bool is_over = word != "STARTING";
    Json setup = Json::object();
    if (is_over) {
      setup = {{"started_at", "2026-01-01T00:00:00+00:00"},
               {"completed_at", "2026-01-01T00:00:01+00:00"},
               {"status", word == "SETUP_FAILED" ? "failed" : "succeeded"},
               {"logs", options.setup_logs}};
    }
    Json body = {{"status", word}, {"setup", setup}};
    if (is(Generation::kCoglet)) body["version"] = {{"coglet", options.version}};
    if (is(Generation::kGo)) body["concurrency"] = {{"max", options.slots}};
    if (word == "UNHEALTHY") body["user_healthcheck_error"] = "Healthcheck failed: it said so";
    return json_response(200, body);
  }

  http::Response cancel(const std::string& id) {
    const auto found = active.find(id);
    if (found == active.end()) return json_response(404, Json::object());
    found->second->is_cancelled = true;
    released.set();  // Everybody looks; who is neither cancelled nor released waits on.
    released.reset();
    return json_response(200, Json::object());
  }

  awaitable<void> create(http::Exchange& exchange, std::string id, std::string text) {
    const Json body = Json::parse(text, nullptr, false);
    const std::string prefer(exchange.head().headers.get("Prefer"));
    const bool wants_events = exchange.head().headers.get("Accept") == "text/event-stream";
    if (auto refusal = why_refused(id, body, prefer, wants_events)) {
      if (const auto running = active.find(id); running != active.end() && wants_events) {
        const RunPtr run = running->second;
        co_await stream(exchange, run);
        co_return;
      }
      (void)co_await exchange.respond(*std::move(refusal));
      co_return;
    }
    auto run = std::make_shared<Run>(io.get_executor());
    run->id = id;
    run->input = body.value("input", Json::object());
    run->webhook = text_of(body, "webhook");
    if (body.contains("webhook_events_filter")) {
      run->events = body["webhook_events_filter"].get<std::set<std::string>>();
    }
    active[id] = run;
    runs += 1;
    tasks.spawn("model", model(run));
    if (is(Generation::kCoglet) && wants_events) {
      co_await stream(exchange, run);
    } else if (prefer == "respond-async") {
      const Json accepted = {{"id", id}, {"status", "starting"}};
      http::Response response = json_response(202, accepted);
      (void)co_await exchange.respond(std::move(response));
    } else {
      while (!run->is_over()) {
        run->changed.reset();
        (void)co_await run->changed.wait();
      }
      http::Response response = json_response(200, final_body(*run));
      (void)co_await exchange.respond(std::move(response));
    }
  }

  // As coglet checks an input: where it has a schema, against that, and nothing else is allowed.
  [[nodiscard]] std::optional<http::Response> why_input_refused(const Json& input) const {
    if (options.openapi.empty()) return std::nullopt;
    const auto refusal = [](const std::string& where, const std::string& what) {
      return json_response(422, {{"detail", Json::array({{{"loc", {"body", "input", where}},
                                                          {"msg", what},
                                                          {"type", "value_error"}}})}});
    };
    if (!input.is_object()) return refusal("__root__", "0 is not of type \"object\"");
    const Json schema = Json::parse(options.openapi);
    const Json known = schema.value("/components/schemas/Input/properties"_json_pointer, Json());
    for (const auto& [name, value] : input.items()) {
      if (known.is_object() && !known.contains(name)) return refusal(name, "Unexpected field");
    }
    return std::nullopt;
  }

  std::optional<http::Response> why_refused(const std::string& id, const Json& body,
                                            const std::string& prefer, bool wants_events) {
    if (!body.is_object()) return text_response(400, "bad JSON");
    const bool has_webhook = !text_of(body, "webhook").empty();
    if (is(Generation::kGo) && (prefer == "respond-async") != has_webhook) {
      return text_response(400, "Prefer: respond-async and webhook mismatch");
    }
    if (is(Generation::kCoglet)) {
      if (const auto running = active.find(id); running != active.end()) {
        return json_response(202, snapshot(*running->second));
      }
      const bool streams = options.openapi.find("x-cog-streaming") != std::string::npos;
      if (wants_events && !streams) {
        return json_response(406, {{"error", "This model does not support streaming responses."}});
      }
      if (auto refusal = why_input_refused(body.value("input", Json::object()))) return refusal;
    }
    std::string word;
    {
      const std::lock_guard lock(mutex);
      word = health;
    }
    if (is(Generation::kCoglet) && (word == "STARTING" || word == "SETUP_FAILED")) {
      return json_response(503, {{"error", "Setup has not finished yet."}, {"status", "failed"}});
    }
    if (refusals > 0 || static_cast<int>(active.size()) >= options.slots || word == "BUSY") {
      if (refusals > 0) --refusals;
      return json_response(
          409, {{"error", "At capacity - all prediction slots busy"}, {"status", "failed"}});
    }
    return std::nullopt;
  }

  awaitable<void> stream(http::Exchange& exchange, RunPtr run) {
    http::Response head;
    head.headers.add("Content-Type", "text/event-stream");
    Status sent = co_await exchange.start_stream(std::move(head));
    for (std::size_t at = 0; sent.ok();) {
      while (at < run->history.size() && sent.ok()) {
        const auto& [name, data] = run->history[at++];
        std::string text = absl::StrCat("event: ", name, "\ndata: ", data.dump(), "\n\n");
        sent = co_await exchange.write(std::move(text));
        if (cut_streams_at > 0 && static_cast<int>(at) == cut_streams_at) {
          cut_streams_at = 0;
          std::string lost = "event: error\ndata: {\"error\":\"lagged\",\"skipped\":1}\n\n";
          (void)co_await exchange.write(std::move(lost));
          (void)co_await exchange.end_stream();
          co_return;
        }
      }
      if (run->is_over() && at == run->history.size()) break;
      run->changed.reset();
      (void)co_await run->changed.wait();
    }
    if (sent.ok()) (void)co_await exchange.end_stream();
  }

  // --- Bodies ---
  Json snapshot(const Run& run) const {
    Json body = {{"id", run.id}, {"status", run.status}, {"logs", run.logs}};
    if (!run.output.is_null()) {
      body["output"] = run.output;
    } else if (!run.outputs.empty()) {
      body["output"] = run.outputs;
    }
    if (!run.error.empty()) body["error"] = run.error;
    body["metrics"] = Json::object();
    if (run.is_over()) body["metrics"]["predict_time"] = 0.5;
    return body;
  }

  Json final_body(const Run& run) const {
    Json body = snapshot(run);
    // coglet drops the logs of whatever did not succeed.
    if (is(Generation::kCoglet) && run.status != "succeeded") body["logs"] = "";
    if (is(Generation::kLegacy) && run.status == "succeeded") body["status"] = "success";
    return body;
  }

  // --- The model ---
  awaitable<void> model(RunPtr run) {
    Json start = {{"id", run->id}, {"status", "processing"}};
    co_await tell(run, "start", std::move(start));
    const std::string what = text_of(run->input, "do", "echo");
    if (what == "echo") {
      run->output = text_of(run->input, "text", "hello");
    } else if (what == "say") {
      std::string text = text_of(run->input, "text");
      co_await print(run, std::move(text));
      run->output = "said";
    } else if (what == "fail") {
      co_await print(run, "before\n");
      run->error = is(Generation::kCoglet)
                       ? "Prediction failed: Prediction failed: ValueError: boom"
                       : "boom";
    } else if (what == "wait" || what == "stubborn") {
      co_await print(run, "waiting\n");
      co_await wait(run, what == "wait");
      run->output = "released";
    } else if (what == "yield") {
      co_await yield(run);
    } else if (what == "upload") {
      co_await upload(run);
    } else if (what == "fetch") {
      std::string url = text_of(run->input, "url");
      Result<http::Response> got = co_await call("GET", std::move(url), "");
      run->output = got.ok() ? absl::StrCat(got->status, " ", got->body) : got.status().ToString();
    } else if (what == "large") {
      run->output = std::string(run->input["bytes"].get<std::size_t>(), 'x');
    } else if (what == "die") {
      stop_listening();
      co_return;
    }
    co_await finish(run);
  }

  awaitable<void> wait(RunPtr run, bool minds_cancel) {
    while (releases == 0 && !(run->is_cancelled && minds_cancel)) {
      (void)co_await released.wait();
    }
    if (releases > 0) --releases;
  }

  awaitable<void> yield(RunPtr run) {
    const Json items = run->input["items"];
    for (const Json& item : items) {
      Json data = {{"chunk", item}, {"index", run->outputs.size()}};
      run->outputs.push_back(item);
      co_await tell(run, "output", std::move(data));
    }
    co_await wait(run, true);
    run->output = run->outputs;
  }

  awaitable<void> upload(RunPtr run) {
    std::string url = options.upload_url + text_of(run->input, "name");
    std::string content = text_of(run->input, "text");
    Result<http::Response> answer = co_await call("PUT", std::move(url), std::move(content));
    if (!answer.ok() || answer->status / 100 != 2) {
      run->error = answer.ok() ? absl::StrCat("upload: ", answer->status) : "upload failed";
    } else {
      run->output = std::string(answer->headers.get("Location"));
    }
  }

  awaitable<void> print(RunPtr run, std::string text) {
    run->logs += text;
    Json data = {{"source", "stdout"}, {"data", text}};
    co_await tell(run, "log", std::move(data));
  }

  awaitable<void> tell(RunPtr run, std::string event, Json data) {
    run->history.emplace_back(event, std::move(data));
    run->changed.set();
    const std::string hook = event == "log" ? "logs" : event;
    if (run->webhook.empty() || !run->events.contains(hook)) co_return;
    run->changed.reset();
    Json body = snapshot(*run);
    run->sent_hooks.push_back(body);
    std::string text = body.dump();
    (void)co_await call("POST", run->webhook, std::move(text));
  }

  awaitable<void> finish(RunPtr run) {
    run->status = run->is_cancelled && run->output != "released" ? "canceled"
                  : run->error.empty()                           ? "succeeded"
                                                                 : "failed";
    if (run->is_cancelled && text_of(run->input, "do") == "wait") run->status = "canceled";
    if (run->status == "canceled") {
      run->output = Json();
      cancelled += 1;
    }
    run->history.emplace_back("completed", snapshot(*run));
    active.erase(run->id);
    run->changed.set();
    if (run->webhook.empty()) co_return;
    const std::string last = snapshot(*run).dump();
    if (run->events.contains("completed")) {
      (void)co_await call("POST", run->webhook, last);
      // As unordered, repeated deliveries look: older states, then the end again.
      for (std::size_t i = run->sent_hooks.size(); i > 0; --i) {
        std::string text = run->sent_hooks[i - 1].dump();
        (void)co_await call("POST", run->webhook, std::move(text));
      }
      (void)co_await call("POST", run->webhook, last);
    }
  }

  void stop_listening() {
    if (server == nullptr) return;
    tasks.spawn("die", stop_server());
  }
  awaitable<void> stop_server() { co_await server->stop(milliseconds{0}); }

  const FakeCogOptions options;
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work{asio::make_work_guard(io)};
  std::uint16_t port = 0;

  mutable std::mutex mutex;
  std::string health = options.health;  // Guarded by mutex.
  std::vector<SeenRequest> seen;        // Guarded by mutex.
  std::atomic<int> runs = 0;
  std::atomic<int> cancelled = 0;
  std::atomic<int> refusals = 0;
  std::atomic<int> cut_streams_at = 0;

  // On the server's thread only.
  std::map<std::string, RunPtr> active;
  int releases = 0;
  SignalEvent released;
  std::unique_ptr<http::Server> server;
  TaskGroup tasks;
  std::thread thread;
};

FakeCogServer::FakeCogServer(FakeCogOptions options)
    : state_(std::make_shared<State>(std::move(options))) {}

FakeCogServer::~FakeCogServer() = default;

std::uint16_t FakeCogServer::port() const { return state_->port; }

void FakeCogServer::set_health(const std::string& word) {
  const std::lock_guard lock(state_->mutex);
  state_->health = word;
}

void FakeCogServer::refuse_next(int count) { state_->refusals = count; }

void FakeCogServer::break_stream_after(int events) { state_->cut_streams_at = events; }

void FakeCogServer::release() {
  asio::post(state_->io, [state = state_.get()] {
    state->releases += 1;
    state->released.set();
    state->released.reset();
  });
}

void FakeCogServer::die() {
  asio::post(state_->io, [state = state_.get()] { state->stop_listening(); });
}

std::vector<SeenRequest> FakeCogServer::requests() const {
  const std::lock_guard lock(state_->mutex);
  return state_->seen;
}

int FakeCogServer::count(const std::string& method_and_target) const {
  const std::lock_guard lock(state_->mutex);
  return static_cast<int>(
      std::count_if(state_->seen.begin(), state_->seen.end(), [&](const SeenRequest& request) {
        return absl::StrCat(request.method, " ", request.target).starts_with(method_and_target);
      }));
}

int FakeCogServer::runs() const { return state_->runs; }

int FakeCogServer::cancels() const { return state_->cancelled; }

std::string fake_openapi(const std::string& output, bool has_events) {
  Json document = {{"openapi", "3.0.2"},
                   {"paths", {{"/predictions", {{"post", Json::object()}}}}},
                   {"components",
                    {{"schemas",
                      {{"Input",
                        {{"type", "object"},
                         {"properties",
                          {{"do", {{"type", "string"}}},
                           {"text", {{"type", "string"}}},
                           {"items", {{"type", "array"}}},
                           {"name", {{"type", "string"}}},
                           {"url", {{"type", "string"}}},
                           {"bytes", {{"type", "integer"}}},
                           {"seed", {{"type", "integer"}, {"nullable", true}}}}}}},
                       {"Output", Json::parse(output)}}}}}};
  if (has_events) document["paths"]["/predictions"]["post"]["x-cog-streaming"] = true;
  return document.dump();
}

}  // namespace mimeo::worker::cog
