#include "common/http/health_endpoints.h"

#include <utility>

namespace mimeo::http {
namespace {

Response text_response(int status, std::string body) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.headers.add("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

boost::asio::awaitable<void> serve_health(std::shared_ptr<HealthEndpoints> endpoints,
                                          Exchange* exchange) {
  if (HealthEndpoints::handles(exchange->head())) {
    co_await endpoints->answer(*exchange);
    co_return;
  }
  Response response = text_response(404, "not found\n");
  co_await exchange->respond(std::move(response));
}

}  // namespace

bool HealthEndpoints::handles(const RequestHead& head) {
  return head.path == "/healthz" || head.path == "/readyz" || head.path == "/metrics";
}

boost::asio::awaitable<void> HealthEndpoints::answer(Exchange& exchange) {
  const RequestHead& head = exchange.head();
  Response response;
  if (head.method != "GET" && head.method != "HEAD") {
    response = text_response(405, "method not allowed\n");
    response.headers.add("Allow", "GET, HEAD");
  } else if (head.path == "/metrics") {
    response = text_response(200, metrics_.serialize());
    response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  } else if (head.path == "/readyz" && is_ready_) {
    const Status status = co_await is_ready_();
    response = status.ok() ? text_response(200, "ready\n")
                           : text_response(503, std::string(status.message()) + "\n");
  } else {
    response = text_response(200, "ok\n");
  }
  co_await exchange.respond(std::move(response));
}

Result<std::unique_ptr<Server>> start_health_server(boost::asio::any_io_executor executor,
                                                    ServerOptions options, const Metrics& metrics,
                                                    ReadyCheck is_ready) {
  auto endpoints = std::make_shared<HealthEndpoints>(metrics, std::move(is_ready));
  auto server =
      std::make_unique<Server>(std::move(executor), std::move(options),
                               [endpoints](Exchange& e) { return serve_health(endpoints, &e); });
  MIMEO_RETURN_IF_ERROR(server->start());
  return server;
}

}  // namespace mimeo::http
