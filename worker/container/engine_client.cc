#include "worker/container/engine_client.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;

// What this code was written against: everything it asks for exists since 1.41 (Docker 20.10), and
// nothing that it reads changed until this one.
constexpr int kNewestMinor = 47;
constexpr std::chrono::milliseconds kConnectLimit{5'000};
constexpr std::size_t kMaxIdle = 8;

std::string message_of(const http::Response& response) {
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  if (json.is_object() && json.contains("message") && json["message"].is_string()) {
    return json["message"].get<std::string>();
  }
  return "Docker answered " + std::to_string(response.status);
}

http::ClientRequest to_http(const EngineCall& call, const std::string& version) {
  http::ClientRequest request;
  request.method = call.method;
  request.target = version.empty() ? call.path : "/v" + version + call.path;
  request.headers = call.headers;
  request.headers.set("Host", "docker");
  request.body = call.body;
  if (!request.body.empty() && !request.headers.find("Content-Type")) {
    request.headers.set("Content-Type", "application/json");
  }
  request.timeout = call.timeout;
  return request;
}

}  // namespace

Status engine_status(const http::Response& response) {
  if (response.status / 100 == 2 || response.status == 304) return absl::OkStatus();
  const std::string message = message_of(response);
  switch (response.status) {
    case 400:
      return absl::InvalidArgumentError(message);
    case 401:
    case 403:
      return absl::PermissionDeniedError(message);
    case 404:
      return absl::NotFoundError(message);
    case 409:
      return absl::FailedPreconditionError(message);
    case 503:
      return absl::UnavailableError(message);
    default:
      break;
  }
  // The Engine answers 500 when a registry refuses its credentials.
  if (absl::StrContains(message, "unauthorized") || absl::StrContains(message, "denied")) {
    return absl::PermissionDeniedError(message);
  }
  return absl::InternalError(message);
}

EngineClient::EngineClient(boost::asio::any_io_executor executor, std::string socket_path)
    : executor_(std::move(executor)), socket_path_(std::move(socket_path)) {}

EngineClient::~EngineClient() = default;

awaitable<Result<EngineClient::Connection>> EngineClient::connect() {
  auto connection = co_await http::ClientConnection::connect_unix(socket_path_, kConnectLimit);
  if (!connection.ok()) {
    co_return absl::UnavailableError("no Docker Engine answers at " + socket_path_ + ": " +
                                     std::string(connection.status().message()));
  }
  co_return connection;
}

awaitable<Result<http::Response>> EngineClient::send(http::ClientRequest request) {
  // An idle connection may have been closed by the Engine: then once more on a fresh one. All calls
  // of ours may be repeated: a second create answers "name in use", which create() understands.
  while (!idle_.empty()) {
    Connection connection = std::move(idle_.back());
    idle_.pop_back();
    http::ClientRequest copy = request;
    auto response = co_await connection->request(std::move(copy));
    if (response.ok()) {
      if (connection->is_open() && idle_.size() < kMaxIdle) idle_.push_back(std::move(connection));
      co_return response;
    }
    if (!absl::IsUnavailable(response.status())) co_return response;
  }
  MIMEO_CO_ASSIGN_OR_RETURN(Connection connection, co_await connect());
  auto response = co_await connection->request(std::move(request));
  if (response.ok() && connection->is_open() && idle_.size() < kMaxIdle) {
    idle_.push_back(std::move(connection));
  }
  co_return response;
}

awaitable<Status> EngineClient::negotiate() {
  if (!version_.empty()) co_return absl::OkStatus();
  http::ClientRequest ping;
  ping.target = "/_ping";
  ping.headers.set("Host", "docker");
  ping.timeout = kConnectLimit;
  auto response = co_await send(std::move(ping));
  if (!response.ok()) co_return response.status();
  MIMEO_CO_RETURN_IF_ERROR(engine_status(*response));
  const std::string offered(response->headers.get("Api-Version"));
  const std::vector<std::string> parts = absl::StrSplit(offered, '.');
  int minor = 0;
  if (parts.size() != 2 || parts[0] != "1" || !absl::SimpleAtoi(parts[1], &minor)) {
    co_return absl::FailedPreconditionError("not a Docker Engine: Api-Version is '" + offered +
                                            "'");
  }
  if (minor < 41) {
    co_return absl::FailedPreconditionError(
        "Docker Engine 20.10 or newer is needed; this one has API " + offered);
  }
  version_ = "1." + std::to_string(std::min(minor, kNewestMinor));
  co_return absl::OkStatus();
}

awaitable<Result<http::Response>> EngineClient::call(EngineCall request) {
  MIMEO_CO_RETURN_IF_ERROR(co_await negotiate());
  http::ClientRequest converted = to_http(request, version_);
  auto response = co_await send(std::move(converted));
  if (!response.ok()) {
    // Another Engine may be there when it comes back.
    if (absl::IsUnavailable(response.status())) version_.clear();
    co_return response.status();
  }
  MIMEO_CO_RETURN_IF_ERROR(engine_status(*response));
  co_return response;
}

awaitable<Result<std::unique_ptr<http::ClientConnection>>> EngineClient::open_stream(
    EngineCall request) {
  MIMEO_CO_RETURN_IF_ERROR(co_await negotiate());
  MIMEO_CO_ASSIGN_OR_RETURN(Connection connection, co_await connect());
  http::ClientRequest converted = to_http(request, version_);
  auto head = co_await connection->request_head(std::move(converted));
  if (!head.ok()) co_return head.status();
  if (head->status / 100 == 2) co_return connection;
  for (;;) {
    auto piece = co_await connection->read_some();
    if (!piece.ok() || piece->empty()) break;
    head->body += *piece;
  }
  co_return engine_status(*head);
}

}  // namespace mimeo::worker
