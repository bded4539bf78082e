#include "sdk/cpp/server.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "common/base/time_format.h"
#include "sdk/cpp/files.h"

namespace mimeo::sdk {
namespace {

namespace asio = boost::asio;

constexpr const char* kProtocol = "0.23.1";  // The generation of Cog whose protocol is spoken.
constexpr Bytes kMaxBody = 100_MiB;          // As Cog.
constexpr std::chrono::milliseconds kHealthCheckTime{5'000};
constexpr std::chrono::hours kNoLimit{24};  // The platform decides when to insist.

http::ServerOptions http_options(const ServerSettings& settings) {
  http::ServerOptions options;
  options.address = settings.host;
  options.port = settings.port;
  options.max_body = kMaxBody;
  options.header_timeout = std::chrono::hours(24);  // Clients keep idle connections for long.
  return options;
}

enum class Route { kUnknown, kIndex, kSchema, kHealthCheck, kShutdown, kCreate, kCancel };

// The route of a path and its method.
std::pair<Route, std::string_view> route_of(const http::RequestHead& head) {
  const std::vector<std::string>& path = head.segments;
  if (path.empty()) return {Route::kIndex, "GET"};
  if (path[0] == "predictions" || path[0] == "trainings") {
    if (path.size() == 1) return {Route::kCreate, "POST"};
    if (path.size() == 2) return {Route::kCreate, "PUT"};
    if (path.size() == 3 && path[2] == "cancel") return {Route::kCancel, "POST"};
  }
  if (path.size() > 1) return {Route::kUnknown, ""};
  if (path[0] == "health-check") return {Route::kHealthCheck, "GET"};
  if (path[0] == "openapi.json") return {Route::kSchema, "GET"};
  if (path[0] == "shutdown") return {Route::kShutdown, "POST"};
  return {Route::kUnknown, ""};
}

bool is_method(std::string_view method, std::string_view wanted) {
  return method == wanted || (method == "HEAD" && wanted == "GET");
}

}  // namespace

Server::Server(asio::io_context& io, const Model& model, ServerSettings settings)
    : io_(io),
      model_(model),
      settings_(std::move(settings)),
      schema_(model),
      http_(std::make_unique<http::Server>(
          io.get_executor(), http_options(settings_),
          [this](http::Exchange& exchange) { return handle(exchange); })),
      run_ended_(io.get_executor()),
      models_(std::make_unique<BlockingPool>(static_cast<std::size_t>(settings_.slots))),
      setup_pool_(std::make_unique<BlockingPool>(1)),
      webhooks_(io.get_executor()),
      tasks_(io.get_executor()) {
  if (model_.healthcheck_) {
    health_check_ =
        std::make_unique<HealthCheck>(io.get_executor(), model_.healthcheck_, kHealthCheckTime);
  }
}

Server::~Server() { cancel_all(); }

Status Server::start() {
  setup_started_ = clock_.now();
  MIMEO_RETURN_IF_ERROR(http_->start());
  tasks_.spawn("setup", run_setup());
  if (settings_.setup_timeout.count() > 0) tasks_.spawn("setup timeout", give_up_setup());
  return absl::OkStatus();
}

// What COG_WEIGHTS means: usually a file in the image, else something to be fetched, which stays
// for as long as the process. Throws.
Weights Server::find_weights(const std::string& given) {
  if (given.empty()) return std::nullopt;
  const bool is_url =
      given.starts_with("http://") || given.starts_with("https://") || given.starts_with("data:");
  if (!is_url) return given;
  std::string folder = std::filesystem::temp_directory_path() / "weights-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no room for the weights");
  auto fetched = fetch_file(given, folder);
  if (!fetched.ok()) {
    throw std::runtime_error("the weights: " + std::string(fetched.status().message()));
  }
  return *fetched;
}

asio::awaitable<void> Server::run_setup() {
  auto work = [this]() -> Result<std::pair<std::string, std::string>> {  // Logs and error.
    std::pair<std::string, std::string> outcome;
    std::mutex mutex;
    try {
      if (model_.setup_) {
        const Weights weights = find_weights(settings_.weights);
        const SetupLog log = [&](std::string_view line) {
          const std::lock_guard guard(mutex);
          outcome.first += std::string(line) + "\n";
          std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
        };
        model_.setup_(log, weights);
      }
    } catch (const std::exception& e) {
      outcome.second = std::string("Setup failed: ") + e.what();
    } catch (...) {
      outcome.second = "Setup failed: an unknown exception";
    }
    return outcome;
  };
  const auto outcome = co_await setup_pool_->run(std::move(work));
  const auto& [logs, error] = *outcome;
  end_setup(error.empty() ? Setup::kSucceeded : Setup::kFailed, logs + error);
}

asio::awaitable<void> Server::give_up_setup() {
  const bool waited = co_await sleep_for(settings_.setup_timeout);
  if (waited) end_setup(Setup::kFailed, "worker setup timed out");
}

void Server::end_setup(Setup result, std::string logs) {
  if (setup_ != Setup::kStarting) return;  // It was given up meanwhile, or is done.
  setup_ = result;
  setup_completed_ = clock_.now();
  setup_logs_ = std::move(logs);
  if (result == Setup::kFailed) {
    std::fprintf(stderr, "setup failed: %s\n", setup_logs_.c_str());
  } else if (!settings_.ready_file.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(settings_.ready_file).parent_path(),
                                        ignored);
    std::ofstream touched(settings_.ready_file);
  }
}

Json Server::index() const {
  Json body = {{"cog_version", kProtocol},
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
  const auto [route, method] = route_of(head);
  http::Response response;
  if (route == Route::kUnknown || !is_method(head.method, method)) {
    response.status = route == Route::kUnknown ? 404 : 405;
    if (route != Route::kUnknown) response.headers.add("Allow", std::string(method));
    co_await exchange.respond(std::move(response));
  } else if (route == Route::kCreate) {
    const Kind kind = head.segments[0] == "trainings" ? Kind::kTraining : Kind::kPrediction;
    std::string id = head.segments.size() == 2 ? head.segments[1] : std::string();
    co_await create(exchange, kind, std::move(id));
  } else if (route == Route::kHealthCheck) {
    co_await health(exchange);
  } else {
    if (route == Route::kIndex) response = json_response(200, index());
    if (route == Route::kSchema) response = json_response(200, schema_.document());
    if (route == Route::kCancel) response = cancel(head.segments[1]);
    if (route == Route::kShutdown) response = json_response(200, Json::object());
    co_await exchange.respond(std::move(response));
    if (route == Route::kShutdown) shut_down(nullptr);
  }
}

http::Response Server::cancel(const std::string& id) {
  const auto run = running_.find(id);
  const bool is_known = run != running_.end() && !run->second->is_done();
  if (is_known) run->second->cancel();
  return json_response(is_known ? 200 : 404, Json::object());
}

asio::awaitable<void> Server::health(http::Exchange& exchange) {
  Json setup = {{"started_at", to_rfc3339(setup_started_)}};
  if (setup_ != Setup::kStarting) setup["completed_at"] = to_rfc3339(setup_completed_);
  setup["status"] = setup_ == Setup::kStarting ? "starting"
                    : setup_ == Setup::kFailed ? "failed"
                                               : "succeeded";
  if (!setup_logs_.empty()) setup["logs"] = setup_logs_;
  std::string status = setup_ == Setup::kFailed ? "SETUP_FAILED" : "STARTING";
  std::string problem;
  if (setup_ == Setup::kSucceeded) {
    if (health_check_) problem = co_await health_check_->ask();
    status = in_flight_.load() >= settings_.slots ? "BUSY" : "READY";
    if (!problem.empty()) status = "UNHEALTHY";
  }
  Json body = {{"status", status}, {"setup", std::move(setup)}};
  body["version"] = {{"coglet", kProtocol}, {"sdk", "mimeo-cpp"}};
  if (!problem.empty()) body["user_healthcheck_error"] = problem;
  http::Response response = json_response(200, body);
  co_await exchange.respond(std::move(response));
}

bool Server::is_training(Kind kind) const {
  return kind == Kind::kTraining && settings_.trains && model_.train_;
}

std::shared_ptr<Run> Server::begin(CreateRequest request, Kind kind, http::Response& refusal) {
  if (on_stopped_) {
    refusal = failure_response(503, "The server is shutting down");
    return nullptr;
  }
  if (setup_ != Setup::kSucceeded) {
    refusal = failure_response(503,
                               "Setup has not finished yet. Wait until it has finished, or GET "
                               "/health-check for status.");
    return nullptr;
  }
  CheckedInput checked = is_training(kind) ? schema_.check_training(request.run.input)
                                           : schema_.check(request.run.input);
  if (!checked.errors.empty()) {
    refusal = validation_response(checked.errors);
    return nullptr;
  }
  if (in_flight_.load() >= settings_.slots) {
    refusal = failure_response(409, "At capacity - all prediction slots busy");
    return nullptr;
  }
  ++in_flight_;
  Uploader uploader = [url = settings_.upload_url](const std::filesystem::path& path,
                                                   const std::string& id) -> Json {
    auto value = url.empty() ? data_uri(path) : upload_file(path, url, id);
    if (!value.ok()) throw std::runtime_error(std::string(value.status().message()));
    return *value;
  };
  auto run =
      std::make_shared<Run>(io_.get_executor(), std::move(request.run), std::move(checked.values),
                            std::move(uploader), [this] { return in_flight_.load(); });
  running_[run->id()] = run;
  if (!request.webhook.url.empty()) {
    webhooks_.spawn("webhooks", send_webhooks(run, std::move(request.webhook), settings_.webhooks));
  }
  execute(run, kind, std::move(checked.file_fields));
  return run;
}

Json Server::call_model(Run& run, bool trains, const std::vector<std::string>& file_fields) const {
  const auto fetched = [&run](const Json& url) -> Json {
    auto path = fetch_file(url.get<std::string>(), run.scratch());
    if (!path.ok()) {
      throw std::runtime_error("Input validation error: " + std::string(path.status().message()));
    }
    return path->string();
  };
  for (const std::string& name : file_fields) {
    Json value = run.inputs().at(name);
    if (value.is_array()) {
      for (Json& item : value) item = fetched(item);
    } else {
      value = fetched(value);
    }
    run.set_input(name, std::move(value));
    run.check_canceled();
  }
  return trains ? model_.train_(run) : model_.predict_(run);
}

void Server::execute(std::shared_ptr<Run> run, Kind kind, std::vector<std::string> file_fields) {
  models_->post([this, run = std::move(run), trains = is_training(kind),
                 file_fields = std::move(file_fields)] {
    Run::Status status = Run::Status::kSucceeded;
    std::string error;
    Json output;
    run->start();
    try {
      output = call_model(*run, trains, file_fields);
    } catch (const Canceled&) {
      status = Run::Status::kCanceled;
    } catch (const std::exception& e) {
      status = Run::Status::kFailed;
      error = e.what();
    } catch (...) {
      status = Run::Status::kFailed;
      error = "an unknown exception";
    }
    if (run->is_canceled()) status = Run::Status::kCanceled;
    run->remove_scratch();
    // The slot is free before anybody hears of the end, so that the next request never meets a 409.
    --in_flight_;
    run->finish(status, std::move(output), std::move(error), !trains && schema_.is_list_output());
    asio::post(io_, [this, run] { forget(run); });
  });
}

void Server::forget(const std::shared_ptr<Run>& run) {
  const auto it = running_.find(run->id());
  if (it != running_.end() && it->second == run) running_.erase(it);  // The id may be in use again.
  run_ended_.set();
}

asio::awaitable<void> Server::create(http::Exchange& exchange, Kind kind, std::string path_id) {
  const http::RequestHead& head = exchange.head();
  const Result<std::string> text = co_await exchange.read_body(kMaxBody);
  http::Response refusal;
  if (!text.ok()) {
    const bool is_too_large = absl::IsResourceExhausted(text.status());
    refusal = text_response(is_too_large ? 413 : 400, "Failed to buffer the request body: " +
                                                          std::string(text.status().message()));
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  auto read = read_request(head, path_id, *text);
  if (auto* refused = std::get_if<http::Response>(&read)) {
    co_await exchange.respond(std::move(*refused));
    co_return;
  }
  auto& request = std::get<CreateRequest>(read);
  Delivery delivery = Delivery::kWait;
  if (head.headers.get("Prefer") == "respond-async") delivery = Delivery::kAsync;
  if (head.headers.get("Accept") == "text/event-stream") delivery = Delivery::kStream;
  if (delivery == Delivery::kStream && (!schema_.is_streaming() || kind == Kind::kTraining)) {
    refusal = json_response(406, {{"error", "This model does not support streaming responses."}});
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  // PUT is idempotent: while it runs, the same id means the same prediction.
  const auto known = path_id.empty() ? running_.end() : running_.find(path_id);
  if (known != running_.end() && !known->second->is_done()) {
    std::shared_ptr<Run> run = known->second;
    co_await rejoin(exchange, std::move(run), delivery);
    co_return;
  }
  if (request.run.id.empty()) request.run.id = "pred_" + random_.base32(16);
  std::shared_ptr<Run> run = begin(std::move(request), kind, refusal);
  if (run) {
    co_await answer(exchange, std::move(run), delivery);
  } else {
    co_await exchange.respond(std::move(refusal));
  }
}

asio::awaitable<void> Server::rejoin(http::Exchange& exchange, std::shared_ptr<Run> run,
                                     Delivery delivery) {
  if (delivery == Delivery::kStream) {
    co_await stream(exchange, std::move(run), StreamOwner::kNo);
  } else {
    http::Response response = json_response(202, run->snapshot());
    co_await exchange.respond(std::move(response));
  }
}

asio::awaitable<void> Server::stop_when_idle() {
  co_await http_->stop(kNoLimit);
  while (!running_.empty()) {  // Those whose clients do not wait for them.
    run_ended_.reset();
    co_await run_ended_.wait();
  }
  co_await webhooks_.wait(kNoLimit);
  on_stopped_();
}

void Server::shut_down(std::function<void()> on_stopped) {
  if (on_stopped_) return;
  on_stopped_ = on_stopped ? std::move(on_stopped) : [this] { io_.stop(); };
  tasks_.spawn("shutdown", stop_when_idle());
}

void Server::cancel_all() {
  for (const auto& [id, run] : running_) run->cancel();
}

}  // namespace mimeo::sdk
