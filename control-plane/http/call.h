// One authenticated API call, as handlers see it, and the kinds of handler that a route may have.
// Who fills it: middleware.h. Which handler gets it: router.h.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/domain/access.h"
#include "common/http/message.h"
#include "common/http/server.h"
#include "common/store/catalog.h"

namespace mimeo::control {

// What the audit log says of a call beyond its route and its caller; filled by handlers.
struct AuditNote {
  AccountId account = 0;    // Whose thing is changed; 0 = the caller's.
  std::string target;       // Empty = the parameters of the path.
  std::string details;      // JSON object; empty = the names of the body's fields.
  bool is_written = false;  // The store wrote the entry together with the change.
};

// Lives in the coroutine that serves the request, until its handler has ended.
struct Call {
  const http::RequestHead* head = nullptr;
  std::vector<std::string> params;  // Values of the pattern's {names}, in order.
  std::string body;                 // Empty for exchange handlers: they read it themselves.
  std::shared_ptr<const store::TokenOwner> caller;  // Null when the route allows nobody.
  std::string request_id;
  std::string client;  // Its address (client_address.h).
  Scopes needed;       // Of the route: whoever acts by a role needs one of them, too.
  AuditNote audit;

  // Only where the route requires a token.
  [[nodiscard]] const store::Account& account() const { return caller->account; }
  // 0 for nobody.
  [[nodiscard]] AccountId viewer() const { return caller ? caller->account.id : 0; }
  [[nodiscard]] const std::string& param(std::size_t i) const { return params.at(i); }
};

// A handler that answers with one response. A status becomes a problem body (problem.h).
using CallHandler = std::function<boost::asio::awaitable<Result<http::Response>>(Call&)>;
// A handler that reads the body itself or streams its answer. nullopt: it has answered already.
using ExchangeHandler = std::function<boost::asio::awaitable<Result<std::optional<http::Response>>>(
    Call&, http::Exchange&)>;

}  // namespace mimeo::control
