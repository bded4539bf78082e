// Finds the route of a request: method and path against a table of patterns.
//
// The API is served under /v1, under the root and under /v1/v1, so that one REPLICATE_BASE_URL
// serves every official client. One client prepends its base to the absolute URLs of pages:
// "/v1/https://host/v1/x" is routed as "/v1/x".

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/units.h"
#include "common/domain/access.h"
#include "control-plane/http/call.h"

namespace mimeo::control {

// Who may call.
enum class Access : std::uint8_t {
  kToken,     // 401 without a valid token.
  kAnybody,   // A token is looked at if there is one; a bad one is ignored.
  kLinkOnly,  // The path is the credential: tokens are not looked at.
};
// Which bucket a call is taken from (rate_limiter.h).
enum class RateKind : std::uint8_t { kNone, kCreatePrediction, kReadPrediction, kOther };
// Whether pages of other origins may read the answer in a browser.
enum class Cors : std::uint8_t { kOff, kAnyOrigin };

struct Route {
  std::string method;  // GET also serves HEAD.
  // "/models/{owner}/{name}": each {x} is one segment; "{x:53}" one of exactly 53 characters.
  std::string pattern;
  std::variant<CallHandler, ExchangeHandler> handler;
  Access access = Access::kToken;
  RateKind rate = RateKind::kOther;
  Bytes max_body = 1_MiB;
  Cors cors = Cors::kOff;
  // A token needs one of these, else 403; empty: any valid token will do. nullopt: nobody has said,
  // so only tokens that may do everything.
  std::optional<Scopes> scopes;
  // What the audit log calls a change by this route: "model.create". Empty: not in the log.
  std::string action;
  // A token needs all of these besides.
  Scopes also = {};
};

struct Match {
  const Route* route = nullptr;     // Null: no route for this method, or none at all.
  std::vector<std::string> params;  // Of the pattern's {names}.
  std::string allow;  // Methods of this path, "GET, HEAD, POST"; empty when no such path exists.
  Cors cors = Cors::kOff;
};

// Filled before the server starts; find() is then safe from any thread. Routes added earlier win.
class Router {
 public:
  void add(Route route);
  void add(std::vector<Route> routes);
  [[nodiscard]] Match find(std::string_view method, const std::vector<std::string>& segments) const;
  // In the order of add(), for the API's description.
  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Part {
    std::string literal;     // Empty for a parameter.
    std::size_t length = 0;  // Of a parameter; 0 = any.
  };
  struct Pattern {
    std::vector<Part> parts;
    std::size_t route = 0;  // Index into routes_.
  };
  static bool matches(const Pattern& pattern, const std::vector<std::string_view>& segments);

  std::vector<Route> routes_;
  std::vector<std::vector<Pattern>> by_length_;  // By number of segments.
};

}  // namespace mimeo::control
