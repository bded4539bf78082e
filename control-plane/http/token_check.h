// Looks at a token that a client shows, and keeps those who guess tokens from costing look-ups. The
// same for the API and for what the image registry asks.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/store/catalog.h"
#include "control-plane/http/authenticator.h"
#include "control-plane/http/rate_limiter.h"

namespace mimeo::control {

struct CheckedToken {
  std::shared_ptr<const store::TokenOwner> owner;  // Null: `status` says why.
  // kUnauthenticated for a token that is no good, anything else is our fault.
  Status status;
  // Of the tries that this client has; of a token that is no good only.
  RateDecision tries;
};

// `client` is its address (client_address.h). Suspends unless the token is remembered. Both objects
// outlive the coroutine.
boost::asio::awaitable<CheckedToken> check_token(Authenticator* authenticator, RateLimiter* limiter,
                                                 std::string client, std::string token);

}  // namespace mimeo::control
