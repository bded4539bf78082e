#include "control-plane/http/token_check.h"

#include <utility>

#include "control-plane/http/client_address.h"

namespace mimeo::control {

boost::asio::awaitable<CheckedToken> check_token(Authenticator* authenticator, RateLimiter* limiter,
                                                 std::string client, std::string token) {
  const std::string network = client_network(client);
  CheckedToken checked;
  checked.status = absl::UnauthenticatedError("too many tokens that are not valid");
  // One that was good lately is always looked at: others behind that address go on.
  if (authenticator->was_good(token) || limiter->may_look_up(network)) {
    auto owner = co_await authenticator->authenticate(std::move(token));
    if (owner.ok()) {
      checked.owner = *std::move(owner);
      checked.status = absl::OkStatus();
      co_return checked;
    }
    checked.status = owner.status();
    if (!absl::IsUnauthenticated(checked.status)) co_return checked;
  }
  checked.tries = limiter->take_bad_token(network);
  co_return checked;
}

}  // namespace mimeo::control
