#include "control-plane/http/middleware.h"

#include <exception>
#include <optional>
#include <utility>

#include "common/telemetry/log.h"
#include "control-plane/http/client_address.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kLongestRequestId = 64;

// The caller's own id when it is harmless, so that both sides' logs can be joined.
std::string request_id_of(const http::RequestHead& head, Random& random) {
  const std::string_view given = head.headers.get("X-Request-Id");
  const auto is_harmless = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!given.empty() && given.size() <= kLongestRequestId &&
      std::all_of(given.begin(), given.end(), is_harmless)) {
    return std::string(given);
  }
  return random.base32(20);
}

http::Response preflight(const Match& match) {
  http::Response response;
  response.status = 204;
  response.headers.add("Allow", match.allow.empty() ? "OPTIONS" : match.allow + ", OPTIONS");
  if (match.cors == Cors::kAnyOrigin) {
    response.headers.add("Access-Control-Allow-Methods", match.allow);
    response.headers.add("Access-Control-Allow-Headers", "*, Authorization");
    response.headers.add("Access-Control-Max-Age", "86400");
  }
  return response;
}

}  // namespace

// What the log line and the metrics need, gathered on the way.
struct Middleware::Outcome {
  const Route* route = nullptr;
  Cors cors = Cors::kOff;
  RateDecision rate;
  int status = 0;  // 0: the handler streamed by itself.
  Status error;    // Of our own fault.
};

boost::asio::awaitable<void> Middleware::serve(http::Exchange& exchange) {
  const SteadyTime begin = parts_.clock.steady();
  Call call;
  call.head = &exchange.head();
  call.request_id = request_id_of(*call.head, parts_.random);
  Outcome outcome;
  std::string failure;
  try {
    co_await answer(exchange, call, outcome);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  if (!failure.empty()) {
    // A bug of ours. If the head went out already, respond() fails and the connection is cut.
    outcome.error = absl::InternalError(failure);
    outcome.status = 500;
    if (outcome.route != nullptr) co_await parts_.audit.note(&call, outcome.route, 500);
    http::Response response = problem::internal(call.request_id);
    add_headers(response, call, outcome);
    (void)co_await exchange.respond(std::move(response));
  }
  record(call, outcome, begin);
}

boost::asio::awaitable<void> Middleware::answer(http::Exchange& exchange, Call& call,
                                                Outcome& outcome) {
  Result<std::optional<http::Response>> result = co_await checked(exchange, call, outcome);
  if (result.ok() && !result->has_value()) co_return;
  http::Response response;
  if (result.ok()) {
    response = **std::move(result);
  } else {
    if (problem::is_our_fault(result.status())) outcome.error = result.status();
    response = problem::from_status(result.status(), call.request_id);
  }
  outcome.status = response.status;
  // Before the answer: who reads the log next finds it there.
  if (outcome.route != nullptr) {
    co_await parts_.audit.note(&call, outcome.route, response.status);
  }
  add_headers(response, call, outcome);
  (void)co_await exchange.respond(std::move(response));  // A client that is gone needs no answer.
}

void Middleware::add_headers(http::Response& response, const Call& call, const Outcome& outcome) {
  response.headers.set("X-Request-Id", call.request_id);
  if (outcome.rate.is_limited) {
    response.headers.add("ratelimit-remaining", std::to_string(outcome.rate.remaining));
    response.headers.add("ratelimit-reset", std::to_string(outcome.rate.reset_s));
  }
  if (outcome.cors == Cors::kAnyOrigin) {
    response.headers.set("Access-Control-Allow-Origin", "*");
  }
}

boost::asio::awaitable<Result<std::optional<http::Response>>> Middleware::checked(
    http::Exchange& exchange, Call& call, Outcome& outcome) {
  Match match = parts_.router.find(call.head->method, call.head->segments);
  outcome.route = match.route;
  outcome.cors = match.cors;
  if (match.route == nullptr) {
    if (match.allow.empty()) co_return problem::not_found();
    if (call.head->method == "OPTIONS") co_return preflight(match);
    co_return problem::method_not_allowed(call.head->method, match.allow);
  }
  call.params = std::move(match.params);
  std::optional<http::Response> refusal = co_await refuse(call, outcome);
  if (refusal) co_return refusal;

  if (const auto* streams = std::get_if<ExchangeHandler>(&match.route->handler)) {
    co_return co_await (*streams)(call, exchange);
  }
  Result<std::string> body = co_await exchange.read_body(match.route->max_body);
  if (!body.ok()) {
    if (absl::IsResourceExhausted(body.status())) {
      co_return problem::body_too_large(match.route->max_body.count);
    }
    if (absl::IsInvalidArgument(body.status())) co_return body.status();  // Malformed chunks.
    co_return problem::request_timeout();
  }
  call.body = *std::move(body);
  Result<http::Response> answered = co_await std::get<CallHandler>(match.route->handler)(call);
  if (!answered.ok()) co_return answered.status();
  co_return *std::move(answered);
}

boost::asio::awaitable<std::optional<http::Response>> Middleware::refuse(Call& call,
                                                                         Outcome& outcome) {
  const Route& route = *outcome.route;
  if (route.access == Access::kLinkOnly) co_return std::nullopt;
  const std::optional<std::string_view> header = call.head->headers.find("Authorization");
  const std::optional<std::string_view> token = token_in(header.value_or(""));
  if (!token) co_return refuse_anonymous(call, outcome, header.has_value());
  std::string secret(*token);
  if (parts_.limiter.is_exhausted(client_address(*call.head, parts_.trusted_proxies)) &&
      !parts_.authenticator.was_good(secret)) {
    // Whoever guesses tokens costs no look-ups any more; others behind that address go on.
    co_return refuse_anonymous(call, outcome, true);
  }
  auto owner = co_await parts_.authenticator.authenticate(std::move(secret));
  if (!owner.ok() && problem::is_our_fault(owner.status()) && route.access == Access::kToken) {
    outcome.error = owner.status();
    co_return problem::from_status(owner.status(), call.request_id);
  }
  if (!owner.ok()) co_return refuse_anonymous(call, outcome, true);
  // One scope is enough; who has said nothing about a route is asked for all.
  const Scopes granted = (*owner)->scopes();
  const bool is_allowed = !route.scopes              ? granted.is_all()
                          : route.scopes->is_empty() ? true
                                                     : !(granted & *route.scopes).is_empty();
  if (!is_allowed && route.access == Access::kAnybody) {
    co_return refuse_anonymous(call, outcome, false);
  }
  call.caller = *std::move(owner);
  outcome.rate = parts_.limiter.take(call.caller->account.id, route.rate);
  if (!outcome.rate.is_allowed) co_return problem::throttled(outcome.rate.retry_after_s);
  if (!is_allowed) {
    co_return problem::missing_scope(*call.caller, route.scopes.value_or(Scopes::all()));
  }
  co_return std::nullopt;
}

std::optional<http::Response> Middleware::refuse_anonymous(const Call& call, Outcome& outcome,
                                                           bool is_bad) {
  const bool is_open = outcome.route->access == Access::kAnybody;
  if (!is_open && !is_bad) return problem::no_token();  // Costs nothing.
  const RateDecision decision =
      parts_.limiter.take_anonymous(client_address(*call.head, parts_.trusted_proxies));
  if (is_open || !decision.is_allowed) outcome.rate = decision;
  if (!decision.is_allowed) return problem::throttled(decision.retry_after_s);
  if (is_open) return std::nullopt;
  return problem::bad_token();
}

void Middleware::record(const Call& call, const Outcome& outcome, SteadyTime begin) {
  const double seconds = std::chrono::duration<double>(parts_.clock.steady() - begin).count();
  const std::string route = outcome.route == nullptr
                                ? "none"
                                : concat(outcome.route->method, " ", outcome.route->pattern);
  RouteMetrics& metrics = metrics_[outcome.route];
  if (metrics.seconds == nullptr) {
    metrics.seconds = &parts_.metrics.histogram("mimeo_http_request_duration_seconds",
                                                "From a request's head to the end of its answer",
                                                {{"route", route}});
  }
  prometheus::Counter*& count = metrics.by_status[outcome.status];
  if (count == nullptr) {
    count = &parts_.metrics.counter("mimeo_http_requests_total",
                                    "Requests by route and status (0 = streamed)",
                                    {{"route", route}, {"status", std::to_string(outcome.status)}});
  }
  metrics.seconds->Observe(seconds);
  count->Increment();
  if (!outcome.error.ok()) {
    log::error("request failed method={} path={} status={} request={} error={}", call.head->method,
               call.head->path, outcome.status, call.request_id, outcome.error.ToString());
  }
  log::debug("request method={} path={} status={} ms={:.2f} request={} peer={}", call.head->method,
             call.head->path, outcome.status, seconds * 1000, call.request_id, call.head->peer);
}

}  // namespace mimeo::control
