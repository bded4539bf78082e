// Turns pushes into versions: at once when the registry notifies us, and by looking through its
// catalog at the start and every minute, because notifications are lost when either side restarts.
// Who may push is token_service.h's; what a version is made from is version_maker.h's.

#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <mutex>
#include <set>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/http/outbound.h"
#include "common/http/server.h"
#include "common/oci/registry_client.h"
#include "common/store/catalog.h"
#include "common/telemetry/metrics.h"
#include "control-plane/registry/token_service.h"
#include "control-plane/registry/version_maker.h"

namespace mimeo::control {

struct PushServiceOptions {
  std::string registry_url;         // "http://host:port", as reached from here.
  std::string hook_secret;          // Bearer of the notifications; empty = none are accepted.
  std::string default_sku = "cpu";  // Of models that a push makes.
  std::chrono::milliseconds reconcile_every{60'000};
  std::chrono::milliseconds retry_after{2'000};  // While the registry does not answer.
};

// Lives on the HTTP thread, except reconcile().
class PushService {
 public:
  struct Parts {
    store::CatalogStore& catalog;
    store::DiscoveryStore& discovery;
    store::AccountsStore& accounts;
    BlockingPool& pool;
    const RegistryTokens& tokens;
    const Clock& clock;
    Metrics& metrics;
  };
  // All parts outlive it.
  PushService(boost::asio::any_io_executor executor, Parts parts, PushServiceOptions options);

  // POST /registry/events. 200 when every push in it is settled, 503 when the registry should send
  // it again, 401 without our secret.
  boost::asio::awaitable<void> handle_events(http::Exchange& exchange);

  // Begins reconciling.
  void start();
  // Ends it, waits for at most `limit`.
  boost::asio::awaitable<Status> stop(std::chrono::milliseconds limit);

  // One look through the whole catalog; how many versions were made. Blocking. Goes on past what
  // fails and returns the first error at the end.
  Result<int> reconcile();

 private:
  boost::asio::awaitable<void> reconcile_forever();
  // Blocking.
  Status handle(const std::string& body);
  Status settle(const Push& push, PushOrigin origin, int& made);
  Status reconcile_repository(const std::string& repository, int& made);

  const Parts parts_;
  const PushServiceOptions options_;
  const http::Outbound outbound_;
  const oci::RegistryClient client_;
  VersionMaker maker_;
  std::mutex mutex_;
  std::set<std::string> settled_;  // Guarded by mutex_: "repository@digest" that need no look.
  std::atomic<bool> is_stopping_{false};  // Ends a look through a large catalog.
  TaskGroup tasks_;                       // Last: its tasks use everything above.
};

}  // namespace mimeo::control
