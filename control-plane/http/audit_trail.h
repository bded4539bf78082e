// The audit log's entries for calls of the API: what routes.cc names as an action is written here
// once its outcome is known. Handlers whose store method writes the entry together with the change
// take it from entry_of().

#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/store/accounts.h"
#include "common/telemetry/metrics.h"
#include "control-plane/http/call.h"
#include "control-plane/http/router.h"

namespace mimeo::control {

// Of a call with a caller. Without `call.audit.account` it is the caller's own account's.
[[nodiscard]] store::AuditEntry entry_of(const Call& call, std::string_view action, WallTime now);

// Lives on the HTTP thread.
class AuditTrail {
 public:
  AuditTrail(store::AccountsStore& accounts, BlockingPool& pool, const Clock& clock,
             Metrics& metrics);

  // Writes what became of the call, unless the store has done so or nothing was changed: calls that
  // were wrong (4xx) are left out, those that the caller had no right to (403) are not. Suspends
  // until it is written; a failure goes to the process's log, with everything that was to be
  // written. Both outlive the coroutine.
  boost::asio::awaitable<void> note(const Call* call, const Route* route, int status);

 private:
  store::AccountsStore& accounts_;
  BlockingPool& pool_;
  const Clock& clock_;
  prometheus::Counter& lost_;
};

}  // namespace mimeo::control
