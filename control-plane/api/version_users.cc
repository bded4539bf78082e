#include "control-plane/api/version_users.h"

#include <memory>
#include <utility>

namespace mimeo::control {
namespace {

constexpr std::chrono::hours kRemembered{24};
constexpr std::size_t kCapacity = 50'000;

}  // namespace

VersionUsers::VersionUsers(store::VersionDeletionStore& store, BlockingPool& pool,
                           const Clock& clock)
    : store_(store), pool_(pool), noted_(clock, kRemembered, kCapacity) {}

boost::asio::awaitable<Status> VersionUsers::note(VersionId version, AccountId owner,
                                                  AccountId user) {
  if (owner == user) co_return absl::OkStatus();
  const std::string key = version.raw() + std::to_string(user);
  if (noted_.find(key) != nullptr) co_return absl::OkStatus();
  auto write = [store = &store_, version, user] { return store->note_version_user(version, user); };
  MIMEO_CO_RETURN_IF_ERROR(co_await pool_.run(std::move(write)));
  noted_.put(key, std::make_shared<const bool>(true));
  co_return absl::OkStatus();
}

}  // namespace mimeo::control
