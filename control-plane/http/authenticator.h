// Who calls: from the Authorization header to the token's owner.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/store/catalog.h"
#include "control-plane/http/read_cache.h"

namespace mimeo::control {

// The token in "Bearer x" or "Token x"; nullopt when the header has another form.
[[nodiscard]] std::optional<std::string_view> token_in(std::string_view authorization);

// Lives on the HTTP thread. Remembers answers, also "unknown", for a second at most, counted from
// when they were asked for: whoever changes what an account's tokens may do calls forget(), and
// other processes are heard of through an AccessFeed; should both be missed, a token that was
// disabled is refused within that second.
class Authenticator {
 public:
  Authenticator(store::CatalogStore& catalog, BlockingPool& pool, const Clock& clock);
  Authenticator(const Authenticator&) = delete;
  Authenticator& operator=(const Authenticator&) = delete;

  // kUnauthenticated for a token that is unknown, disabled or expired, or whose account is
  // disabled; kUnavailable when the store does not answer.
  boost::asio::awaitable<Result<std::shared_ptr<const store::TokenOwner>>> authenticate(
      std::string token);
  // Whether the token was good lately. Asks nobody, and does not say that it still is.
  [[nodiscard]] bool was_good(std::string_view token);

  // From now on the store is asked again about the tokens of this account and those that this user
  // made; nullopt: about all. Reads under way are not remembered.
  void forget(std::optional<AccountId> account);

 private:
  using Owner = std::shared_ptr<const store::TokenOwner>;
  boost::asio::awaitable<Result<Owner>> load(std::string hash);
  void note_use(const store::Token& token);

  store::CatalogStore& catalog_;
  BlockingPool& pool_;
  const Clock& clock_;
  ReadCache<std::string, Owner> owners_;  // By hash; a null owner = unknown token.
  std::uint64_t changes_ = 0;             // How often forget() was called.
  ReadCache<std::string, bool> good_;     // By hash.
};

}  // namespace mimeo::control
