// Tokens for the image registry: who may pull and push what.
//
// The registry (CNCF distribution) asks for a bearer token signed by us; clients get it here with a
// user name and an API token as the password (Docker's token authentication). Pushes become
// versions in version_maker.h, not here.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/crypto/crypto.h"
#include "common/http/server.h"
#include "common/store/catalog.h"
#include "control-plane/http/authenticator.h"
#include "control-plane/http/rate_limiter.h"
#include "control-plane/http/token_check.h"

namespace mimeo::control {

struct RegistryTokenOptions {
  std::string service = "mimeo-registry";  // "service" of the registry's configuration.
  std::string issuer = "mimeo";            // "issuer" of the registry's configuration.
  std::string account_url;                 // Where people make tokens.
  // Docker keeps a token for one push; a push of many gigabytes must not outlive it. Whether it was
  // allowed is looked at again when it is settled (version_maker.h).
  std::chrono::seconds lifetime{3600};
  std::chrono::seconds client_pull_lifetime{300};  // Of clients that only pull: nobody looks again.
  std::chrono::seconds pull_lifetime{900};  // Of workers' tokens: they start pulling at once.
};

// One "scope=repository:owner/name:pull,push" of a token request.
struct RegistryScope {
  std::string type;
  std::string name;
  std::vector<std::string> actions;
};
// nullopt when malformed. The name may contain colons (a registry's port).
[[nodiscard]] std::optional<RegistryScope> parse_scope(std::string_view text);

// User and password of "Authorization: Basic ..."; nullopt when it has another form.
[[nodiscard]] std::optional<std::pair<std::string, std::string>> parse_basic(
    std::string_view header);

// Lives on the HTTP thread, except the tokens of our own (any thread).
class RegistryTokens {
 public:
  struct Parts {
    store::CatalogStore& catalog;
    BlockingPool& pool;
    Authenticator& authenticator;
    RateLimiter& limiter;
    const crypto::TokenSigner& signer;
    const Clock& clock;
    Random& random;
    std::vector<std::string> trusted_proxies = {};  // As for the API (client_address.h).
  };
  // All outlive the service.
  RegistryTokens(Parts parts, RegistryTokenOptions options);

  // API tokens are looked up, counted and limited as those of API calls are: 401 or 404 for one
  // that is no good, 429 after too many of these, 503 when we cannot tell.
  //
  // GET and POST /registry/token. A push needs the scope "models", a pull that or "read"
  // (common/domain/access.h). Without credentials: a token that allows nothing. Scopes that the
  // caller may not have are narrowed to no actions, as the protocol wants it; wrong credentials are
  // 401.
  boost::asio::awaitable<void> handle_token(http::Exchange& exchange);
  // GET /cog/v1/display-token-url and POST /cog/v1/verify-token: where people make tokens, and
  // whose a token is. `cog login` asks this of one other registry (docs/adr/0008).
  boost::asio::awaitable<void> handle_display_token_url(http::Exchange& exchange);
  boost::asio::awaitable<void> handle_verify_token(http::Exchange& exchange);

  // A token of ours that pulls one repository; for workers.
  [[nodiscard]] std::string pull_token(std::string_view repository) const;
  // One that pulls and pushes one repository, and pulls another one (to mount its blobs); for
  // images of trainings.
  [[nodiscard]] std::string push_token(const std::string& repository,
                                       const std::string& from) const;
  // One that reads everything, the list of repositories too; for our own reconciling.
  [[nodiscard]] std::string reader_token(const std::vector<std::string>& repositories) const;

 private:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  boost::asio::awaitable<void> grant(http::Exchange* exchange, std::optional<std::string> password,
                                     Parameters parameters);
  boost::asio::awaitable<CheckedToken> check(const http::RequestHead* head, std::string token);
  boost::asio::awaitable<Result<crypto::RegistryAccess>> allowed(RegistryScope scope,
                                                                 store::TokenOwner caller);
  [[nodiscard]] std::string sign(std::string_view subject,
                                 const std::vector<crypto::RegistryAccess>& access,
                                 std::chrono::seconds lifetime) const;

  const Parts parts_;
  const RegistryTokenOptions options_;
};

}  // namespace mimeo::control
