// Notes, before the first time, who runs a version of somebody else's model: such a version cannot
// be deleted.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/store/version_deletion.h"
#include "control-plane/http/read_cache.h"

namespace mimeo::control {

// Lives on the HTTP thread. Remembers what it noted, so that running a version again costs nothing.
class VersionUsers {
 public:
  VersionUsers(store::VersionDeletionStore& store, BlockingPool& pool, const Clock& clock);

  // Suspends for one write the first time. An error of the store: the version must not run.
  boost::asio::awaitable<Status> note(VersionId version, AccountId owner, AccountId user);

 private:
  store::VersionDeletionStore& store_;
  BlockingPool& pool_;
  ReadCache<std::string, bool> noted_;  // By version and account.
};

}  // namespace mimeo::control
