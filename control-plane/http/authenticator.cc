#include "control-plane/http/authenticator.h"

#include <utility>

#include "common/crypto/crypto.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

// Together a second: nothing is used that was read longer ago.
constexpr std::chrono::milliseconds kLifetime{800};
constexpr std::chrono::milliseconds kGrace{100};  // Twice.
constexpr std::size_t kCapacity = 10'000;
constexpr std::chrono::minutes kGoodFor{10};
constexpr std::size_t kLongestToken = 512;
constexpr std::chrono::minutes kUseResolution{1};  // last_used_at is written at most this often.

Status bad_token() { return absl::UnauthenticatedError("the token is not valid"); }

}  // namespace

std::optional<std::string_view> token_in(std::string_view authorization) {
  authorization = trimmed(authorization);
  for (const std::string_view scheme : {"bearer ", "token "}) {
    if (starts_with_ignoring_case(authorization, scheme)) {
      const std::string_view token = trimmed(authorization.substr(scheme.size()));
      if (token.empty()) return std::nullopt;
      return token;
    }
  }
  return std::nullopt;
}

Authenticator::Authenticator(store::CatalogStore& catalog, BlockingPool& pool, const Clock& clock)
    : catalog_(catalog),
      pool_(pool),
      clock_(clock),
      owners_(clock, kLifetime, kCapacity, kGrace),
      good_(clock, kGoodFor, kCapacity) {}

boost::asio::awaitable<Result<Authenticator::Owner>> Authenticator::authenticate(
    std::string token) {
  if (token.size() > kLongestToken) co_return bad_token();
  std::string hash = crypto::sha256(token);
  Owner owner;
  if (const auto hit = owners_.find(hash)) {
    owner = *hit;
  } else {
    MIMEO_CO_ASSIGN_OR_RETURN(owner, co_await load(std::move(hash)));
  }
  if (owner == nullptr || !owner->is_valid(clock_.now())) co_return bad_token();
  co_return owner;
}

boost::asio::awaitable<Result<Authenticator::Owner>> Authenticator::load(std::string hash) {
  const std::uint64_t changes = changes_;
  const SteadyTime read_at = clock_.steady();
  auto read = [catalog = &catalog_, hash] { return catalog->get_token_owner(hash); };
  Result<store::TokenOwner> found = co_await pool_.run(std::move(read));
  if (!found.ok() && !absl::IsNotFound(found.status())) co_return found.status();
  Owner owner;
  if (found.ok()) owner = std::make_shared<const store::TokenOwner>(*std::move(found));
  // What was read before a change may be old already.
  if (changes == changes_) owners_.put(hash, std::make_shared<const Owner>(owner), read_at);
  if (owner != nullptr) {
    good_.put(hash, std::make_shared<const bool>(true));
    note_use(owner->token);
  }
  co_return owner;
}

bool Authenticator::was_good(std::string_view token) {
  if (token.size() > kLongestToken) return false;
  return good_.find(crypto::sha256(token)) != nullptr;
}

void Authenticator::forget(std::optional<AccountId> account) {
  ++changes_;
  owners_.erase_if([account](const Owner& owner) {
    if (!account) return true;
    return owner != nullptr &&
           (owner->account.id == *account || owner->token.created_by == *account);
  });
}

void Authenticator::note_use(const store::Token& token) {
  const WallTime now = clock_.now();
  if (token.last_used_at && now - *token.last_used_at < kUseResolution) return;
  // Nobody waits for it, and a lost update costs a minute of resolution.
  pool_.post([catalog = &catalog_, id = token.id, now] { (void)catalog->touch_token(id, now); });
}

}  // namespace mimeo::control
