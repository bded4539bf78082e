// What happens to every request around its handler: request id, route, token, scope, rate limit,
// body, the catch-all for exceptions, the audit log, one log line, metrics. Handlers are in ../api.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/http/server.h"
#include "common/telemetry/metrics.h"
#include "control-plane/http/audit_trail.h"
#include "control-plane/http/authenticator.h"
#include "control-plane/http/call.h"
#include "control-plane/http/rate_limiter.h"
#include "control-plane/http/router.h"
#include "control-plane/http/token_check.h"

namespace mimeo::control {

// Lives on the HTTP thread, longer than the http::Server that calls serve().
class Middleware {
 public:
  struct Parts {
    const Router& router;
    Authenticator& authenticator;
    RateLimiter& limiter;
    const Clock& clock;
    Random& random;
    Metrics& metrics;
    AuditTrail& audit;
    std::vector<std::string> trusted_proxies = {};  // Addresses whose X-Forwarded-For counts.
  };
  explicit Middleware(Parts parts) : parts_(std::move(parts)) {}

  // The handler to give to http::Server.
  boost::asio::awaitable<void> serve(http::Exchange& exchange);

 private:
  struct RouteMetrics {
    prometheus::Histogram* seconds = nullptr;
    std::unordered_map<int, prometheus::Counter*> by_status;
  };
  struct Outcome;

  boost::asio::awaitable<void> answer(http::Exchange& exchange, Call& call, Outcome& outcome);
  // nullopt: the handler has answered by itself.
  boost::asio::awaitable<Result<std::optional<http::Response>>> checked(http::Exchange& exchange,
                                                                        Call& call,
                                                                        Outcome& outcome);
  // A response when the caller must not go on, else nullopt with call.caller filled.
  boost::asio::awaitable<std::optional<http::Response>> refuse(Call& call, Outcome& outcome);
  // The same for nobody on a route that is open to anybody.
  std::optional<http::Response> refuse_open_call(const Call& call, Outcome& outcome);
  static http::Response refuse_token(const CheckedToken& checked, const Call& call,
                                     Outcome& outcome);
  static void add_headers(http::Response& response, const Call& call, const Outcome& outcome);
  void record(const Call& call, const Outcome& outcome, SteadyTime begin);

  Parts parts_;
  std::unordered_map<const Route*, RouteMetrics> metrics_;  // Null = no route.
};

}  // namespace mimeo::control
