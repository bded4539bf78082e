#include "control-plane/http/middleware.h"

#include <algorithm>
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

// One of a route's scopes is enough, but all of those that it needs besides; who has said nothing
// about a route is asked for everything.
bool allows(Scopes granted, const Route& route) {
  if (!route.scopes) return granted.is_all();
  const bool has_one = route.scopes->is_empty() || !(granted & *route.scopes).is_empty();
  return has_one && granted.contains(route.also);
}

// What to name in the refusal.
Scopes missing_of(const store::TokenOwner& caller, const Route& route) {
  const Scopes wanted = route.scopes.value_or(Scopes::all());
  return (caller.scopes() & wanted).is_empty() ? wanted : route.also;
}

// For logs. The path of what is opened by a link alone is a credential, and so is one that looks as
// if it were to be one.
std::string shown_path(const http::RequestHead& head, const Route* route) {
  constexpr std::size_t kLongestShown = 40;
  if (route != nullptr) return route->access == Access::kLinkOnly ? route->pattern : head.path;
  std::string path;
  for (const std::string& segment : head.segments) {
    path.append("/").append(segment.size() > kLongestShown ? "..." : segment);
  }
  return path;
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
  call.client = client_address(*call.head, parts_.trusted_proxies);
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
  if (!token && route.access == Access::kAnybody) co_return refuse_open_call(call, outcome);
  if (!token && !header) co_return problem::no_token();  // Costs nothing.
  CheckedToken checked;
  if (token) {
    checked = co_await check_token(&parts_.authenticator, &parts_.limiter, call.client,
                                   std::string(*token));
  } else {
    checked.status = absl::UnauthenticatedError("no token of ours");
    checked.tries = parts_.limiter.take_bad_token(client_network(call.client));
  }
  if (checked.owner == nullptr && route.access == Access::kAnybody) {
    co_return refuse_open_call(call, outcome);
  }
  if (checked.owner == nullptr) co_return refuse_token(checked, call, outcome);
  const bool is_allowed = allows(checked.owner->scopes(), route);
  if (!is_allowed && route.access == Access::kAnybody) co_return refuse_open_call(call, outcome);
  call.caller = std::move(checked.owner);
  call.needed = route.scopes.value_or(Scopes::all());
  outcome.rate = parts_.limiter.take(call.caller->account.id, route.rate);
  if (!outcome.rate.is_allowed) co_return problem::throttled(outcome.rate.retry_after_s);
  if (!is_allowed) co_return problem::missing_scope(*call.caller, missing_of(*call.caller, route));
  co_return std::nullopt;
}

std::optional<http::Response> Middleware::refuse_open_call(const Call& call, Outcome& outcome) {
  outcome.rate = parts_.limiter.take_open_call(client_network(call.client));
  if (outcome.rate.is_allowed) return std::nullopt;
  return problem::throttled(outcome.rate.retry_after_s);
}

http::Response Middleware::refuse_token(const CheckedToken& checked, const Call& call,
                                        Outcome& outcome) {
  if (!absl::IsUnauthenticated(checked.status)) {
    if (problem::is_our_fault(checked.status)) outcome.error = checked.status;
    return problem::from_status(checked.status, call.request_id);
  }
  if (checked.tries.is_allowed) return problem::bad_token();
  outcome.rate = checked.tries;
  return problem::throttled(checked.tries.retry_after_s);
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
  const std::string path = shown_path(*call.head, outcome.route);
  if (!outcome.error.ok()) {
    log::error("request failed method={} path={} status={} request={} error={}", call.head->method,
               path, outcome.status, call.request_id, outcome.error.ToString());
  }
  log::debug("request method={} path={} status={} ms={:.2f} request={} peer={}", call.head->method,
             path, outcome.status, seconds * 1000, call.request_id, call.head->peer);
}

}  // namespace mimeo::control
