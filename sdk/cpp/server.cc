#include "sdk/cpp/server.h"

#include <boost/asio/co_spawn.hpp>
#include <mutex>

#include "common/base/time_format.h"
#include "sdk/cpp/files.h"

namespace mimeo::sdk {
namespace {

namespace asio = boost::asio;

constexpr const char* kServerVersion = "0.23.1";  // The generation of the protocol that is spoken.
constexpr Bytes kMaxBody = 100_MiB;               // As Cog.

http::Response json(int status, const Json& body) {
  http::Response response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

http::Response plain(int status, std::string text) {
  http::Response response;
  response.status = status;
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(text);
  return response;
}

Json failed(std::string_view error) { return {{"error", error}, {"status", "failed"}}; }

Json validation_detail(const std::vector<InputError>& errors) {
  Json detail = Json::array();
  for (const InputError& e : errors) {
    Json loc = {"body", "input", e.field.empty() ? "__root__" : e.field};
    detail.push_back({{"loc", loc}, {"msg", e.message}, {"type", e.type}});
  }
  return {{"detail", detail}};
}

}  // namespace

Server::Server(asio::io_context& io, const Model& model, ServerSettings settings)
    : io_(io),
      model_(model),
      settings_(std::move(settings)),
      schema_(model),
      models_(std::make_unique<BlockingPool>(static_cast<std::size_t>(settings_.slots))),
      service_(std::make_unique<BlockingPool>(2)),
      tasks_(io.get_executor()) {
  http::ServerOptions options;
  options.address = settings_.host;
  options.port = settings_.port;
  options.max_body = kMaxBody;
  options.header_timeout = std::chrono::hours(24);  // Clients keep idle connections for long.
  http_ = std::make_unique<http::Server>(
      io.get_executor(), options, [this](http::Exchange& exchange) { return handle(exchange); });
}

Server::~Server() {
  for (auto& [id, run] : running_) run->cancel();
}

Status Server::start() {
  setup_started_ = clock_.now();
  MIMEO_RETURN_IF_ERROR(http_->start());
  tasks_.spawn("setup", run_setup());
  if (settings_.setup_timeout.count() > 0) tasks_.spawn("setup timeout", give_up_setup());
  return absl::OkStatus();
}

asio::awaitable<void> Server::run_setup() {
  struct Outcome {
    std::string logs, error;
  };
  auto work = [this]() -> Result<Outcome> {
    Outcome outcome;
    std::mutex mutex;
    try {
      if (model_.setup_) {
        model_.setup_([&](std::string_view line) {
          std::lock_guard lock(mutex);
          outcome.logs += std::string(line) + "\n";
          std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
        });
      }
    } catch (const std::exception& e) {
      outcome.error = e.what();
      if (outcome.error.empty()) outcome.error = "setup failed";
    }
    return outcome;
  };
  auto outcome = co_await service_->run(std::move(work));
  if (setup_ != Setup::kStarting) co_return;  // Timed out meanwhile.
  setup_completed_ = clock_.now();
  setup_logs_ = outcome->logs + outcome->error;
  setup_ = outcome->error.empty() ? Setup::kSucceeded : Setup::kFailed;
}

asio::awaitable<void> Server::give_up_setup() {
  const bool waited = co_await sleep_for(settings_.setup_timeout);
  if (!waited || setup_ != Setup::kStarting) co_return;
  setup_ = Setup::kFailed;
  setup_completed_ = clock_.now();
  setup_logs_ = "worker setup timed out";
}

Json Server::index() const {
  Json body = {{"cog_version", kServerVersion},
               {"docs_url", "/docs"},
               {"openapi_url", "/openapi.json"},
               {"shutdown_url", "/shutdown"},
               {"healthcheck_url", "/health-check"},
               {"predictions_url", "/predictions"},
               {"predictions_idempotent_url", "/predictions/{prediction_id}"},
               {"predictions_cancel_url", "/predictions/{prediction_id}/cancel"}};
  if (model_.train_) {
    body["trainings_url"] = "/trainings";
    body["trainings_idempotent_url"] = "/trainings/{training_id}";
    body["trainings_cancel_url"] = "/trainings/{training_id}/cancel";
  }
  return body;
}

asio::awaitable<void> Server::handle(http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  const std::vector<std::string>& path = head.segments;
  const bool is_post = head.method == "POST";
  http::Response response = json(404, {{"detail", "Not Found"}});
  if (path.empty() && head.method == "GET") {
    response = json(200, index());
  } else if (head.path == "/openapi.json" && head.method == "GET") {
    response = json(200, schema_.document());
  } else if (head.path == "/health-check" && head.method == "GET") {
    co_await health(exchange);
    co_return;
  } else if (head.path == "/shutdown" && is_post) {
    response = json(200, Json::object());
    co_await exchange.respond(std::move(response));
    shut_down();
    co_return;
  } else if (!path.empty() && (path[0] == "predictions" || path[0] == "trainings")) {
    const Kind kind = path[0] == "trainings" ? Kind::kTraining : Kind::kPrediction;
    if ((path.size() == 1 && is_post) || (path.size() == 2 && head.method == "PUT")) {
      std::string id = path.size() == 2 ? path[1] : std::string();
      co_await create(exchange, kind, std::move(id));
      co_return;
    }
    if (path.size() == 3 && path[2] == "cancel" && is_post) {
      const auto it = running_.find(path[1]);
      if (it != running_.end()) it->second->cancel();
      response = json(it != running_.end() ? 200 : 404, Json::object());
    } else {
      response = json(405, {{"detail", "Method Not Allowed"}});
    }
  }
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> Server::health(http::Exchange& exchange) {
  Json body;
  Json setup = {{"started_at", to_rfc3339(setup_started_)}};
  if (setup_ != Setup::kStarting) setup["completed_at"] = to_rfc3339(setup_completed_);
  setup["status"] = setup_ == Setup::kStarting ? "starting"
                    : setup_ == Setup::kFailed ? "failed"
                                               : "succeeded";
  if (!setup_logs_.empty()) setup["logs"] = setup_logs_;
  std::string status = "STARTING";
  std::string problem;
  if (setup_ == Setup::kFailed) status = "SETUP_FAILED";
  if (setup_ == Setup::kSucceeded) {
    status = in_flight_.load() >= settings_.slots ? "BUSY" : "READY";
    if (model_.healthcheck_) {
      auto work = [this]() -> std::string {
        try {
          return model_.healthcheck_()
                     ? ""
                     : "Healthcheck failed: user-defined healthcheck returned False";
        } catch (const std::exception& e) {
          return std::string("Healthcheck failed: ") + e.what();
        }
      };
      problem = co_await service_->run(std::move(work));
      if (!problem.empty()) status = "UNHEALTHY";
    }
  }
  body["status"] = status;
  body["setup"] = std::move(setup);
  body["version"] = {{"coglet", kServerVersion}, {"sdk", "mimeo-cpp"}};
  if (!problem.empty()) body["user_healthcheck_error"] = problem;
  http::Response response = json(200, body);
  co_await exchange.respond(std::move(response));
}

std::shared_ptr<Run> Server::begin(const Creation& creation, http::Response& refusal) {
  if (setup_ != Setup::kSucceeded) {
    refusal = json(503, failed("Setup has not finished yet. Wait until it has finished, or GET "
                               "/health-check for status."));
    return nullptr;
  }
  const bool trains = creation.kind == Kind::kTraining && settings_.trains && model_.train_;
  const Json input = creation.body.value("input", Json::object());
  CheckedInput checked = trains ? schema_.check_training(input.is_null() ? Json::object() : input)
                                : schema_.check(input.is_null() ? Json::object() : input);
  if (!checked.errors.empty()) {
    refusal = json(422, validation_detail(checked.errors));
    return nullptr;
  }
  if (is_shutting_down_ || in_flight_.load() >= settings_.slots) {
    refusal = json(409, failed("At capacity - all prediction slots busy"));
    return nullptr;
  }
  ++in_flight_;
  Uploader uploader = [url = settings_.upload_url](const std::filesystem::path& path) -> Json {
    auto value = url.empty() ? data_uri(path) : upload_file(path, url);
    if (!value.ok()) throw std::runtime_error(std::string(value.status().message()));
    return *value;
  };
  auto run =
      std::make_shared<Run>(io_.get_executor(), creation.id, input, std::move(checked.values),
                            std::move(uploader), [this] { return in_flight_.load(); });
  running_[creation.id] = run;
  execute(run, creation.kind, std::move(checked.file_fields));
  return run;
}

void Server::execute(const std::shared_ptr<Run>& run, Kind kind,
                     std::vector<std::string> file_fields) {
  models_->post([this, run, kind, file_fields = std::move(file_fields)] {
    Run::Status status = Run::Status::kSucceeded;
    std::string error;
    Json output;
    const bool trains = kind == Kind::kTraining && settings_.trains && model_.train_;
    try {
      run->start();
      for (const std::string& name : file_fields) {
        Json value = run->inputs().at(name);
        const auto fetch = [&run](const Json& url) -> Json {
          auto path = fetch_file(url.get<std::string>(), run->scratch());
          if (!path.ok()) throw std::runtime_error(std::string(path.status().message()));
          return path->string();
        };
        if (value.is_array()) {
          for (Json& item : value) item = fetch(item);
        } else {
          value = fetch(value);
        }
        run->set_input(name, std::move(value));
      }
      output = trains ? model_.train_(*run) : model_.predict_(*run);
      if (run->is_canceled()) status = Run::Status::kCanceled;
    } catch (const Canceled&) {
      status = Run::Status::kCanceled;
    } catch (const std::exception& e) {
      status = run->is_canceled() ? Run::Status::kCanceled : Run::Status::kFailed;
      error = e.what();
    }
    // The slot is free before anybody hears of the end, so that the next request never meets a 409.
    --in_flight_;
    run->finish(status, std::move(output), std::move(error), !trains && schema_.is_list_output());
    asio::post(io_, [this, id = run->id()] { running_.erase(id); });
  });
}

asio::awaitable<void> Server::create(http::Exchange& exchange, Kind kind, std::string path_id) {
  const http::RequestHead& head = exchange.head();
  auto text = co_await exchange.read_body(kMaxBody);
  http::Response refusal;
  if (!text.ok()) {
    const bool too_large = text.status().code() == absl::StatusCode::kResourceExhausted;
    refusal = plain(too_large ? 413 : 400, std::string(text.status().message()));
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  Creation creation;
  creation.kind = kind;
  creation.body = text->empty() ? Json::object() : Json::parse(*text, nullptr, false);
  if (creation.body.is_discarded() || !creation.body.is_object()) {
    refusal = plain(creation.body.is_discarded() ? 400 : 422, "the body is not a JSON object");
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  const Json body_id = creation.body.value("id", Json());
  creation.id = !path_id.empty() ? path_id : body_id.is_string() ? body_id.get<std::string>() : "";
  if (!path_id.empty() && body_id.is_string() && body_id != path_id) {
    Json detail = Json::array();
    detail.push_back({{"loc", {"body", "id"}},
                      {"msg", "prediction ID must match the ID supplied in the URL"},
                      {"type", "value_error"}});
    refusal = json(422, {{"detail", detail}});
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  const bool wants_stream = head.headers.get("Accept") == "text/event-stream";
  if (wants_stream && (!schema_.is_streaming() || kind == Kind::kTraining)) {
    refusal = json(406, {{"error", "This model does not support streaming responses."}});
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  const auto known = path_id.empty() ? running_.end() : running_.find(path_id);
  if (known != running_.end()) {  // Idempotent: the same prediction again.
    std::shared_ptr<Run> run = known->second;
    if (wants_stream) {
      co_await stream(exchange, std::move(run));
    } else {
      http::Response response = json(202, run->snapshot());
      co_await exchange.respond(std::move(response));
    }
    co_return;
  }
  if (creation.id.empty()) creation.id = "pred_" + random_.base32(16);
  std::shared_ptr<Run> run = begin(creation, refusal);
  if (!run) {
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  const Json webhook = creation.body.value("webhook", Json());
  if (webhook.is_string()) {
    Json filter = creation.body.value("webhook_events_filter", Json());
    tasks_.spawn("webhooks", send_webhooks(run, webhook.get<std::string>(), std::move(filter)));
  }
  if (wants_stream) {
    co_await stream(exchange, std::move(run));
  } else {
    const bool is_async = head.headers.get("Prefer") == "respond-async";
    co_await answer(exchange, std::move(run), is_async);
  }
}

asio::awaitable<void> Server::answer(http::Exchange& exchange, std::shared_ptr<Run> run,
                                     bool is_async) {
  http::Response response;
  if (is_async) {
    response = json(202, {{"id", run->id()}, {"status", "starting"}});
  } else {
    // A client that goes away cancels its prediction. The watcher ends with the exchange.
    tasks_.spawn("watch", cancel_on_disconnect(&exchange, run));
    co_await run->wait();
    response = json(200, run->result());
  }
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> Server::cancel_on_disconnect(http::Exchange* exchange,
                                                   std::shared_ptr<Run> run) {
  co_await exchange->wait_for_disconnect();
  if (!run->is_done()) run->cancel();
}

asio::awaitable<void> Server::stream(http::Exchange& exchange, std::shared_ptr<Run> run) {
  http::Response head;
  head.headers.set("Content-Type", "text/event-stream");
  head.headers.set("Cache-Control", "no-cache");
  Status sent = co_await exchange.start_stream(std::move(head));
  std::size_t next = 0;
  while (sent.ok()) {
    std::vector<StreamEvent> events = co_await run->events(next, std::chrono::seconds(15));
    next += events.size();
    std::string chunk;
    for (const StreamEvent& event : events) {
      chunk += "event: " + event.name + "\ndata: ";
      chunk += event.data.dump(-1, ' ', false, Json::error_handler_t::replace);
      chunk += "\n\n";
    }
    const bool is_last = !events.empty() && events.back().name == "completed";
    if (events.empty()) chunk = ":keep-alive\n\n";
    sent = co_await exchange.write(std::move(chunk));
    if (is_last) {
      co_await exchange.end_stream();
      co_return;
    }
  }
  run->cancel();  // The reader is gone.
}

void Server::shut_down() {
  if (is_shutting_down_) return;
  is_shutting_down_ = true;
  tasks_.spawn("shutdown", stop_when_idle());
}

asio::awaitable<void> Server::stop_when_idle() {
  // Open exchanges may finish, however long they take: the platform decides when to insist.
  co_await http_->stop(std::chrono::hours(24));
  io_.stop();
}

}  // namespace mimeo::sdk
