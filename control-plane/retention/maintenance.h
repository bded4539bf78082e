// Housekeeping that every control plane does by itself: partitions ahead of time, old ones dropped,
// old entries of the audit log removed, our own row in `replicas` renewed. Several processes may do
// the same at once. What single predictions and files leave is sweeper.h's.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/store/accounts.h"
#include "common/store/fleet.h"
#include "common/store/webhook_log.h"

namespace mimeo::control {

// All outlive it.
struct MaintenanceParts {
  store::MaintenanceStore& store;
  store::FleetStore& fleet;
  BlockingPool& pool;
  const Clock& clock;
  store::WebhookLogStore& webhook_log;
  store::AccountsStore& accounts;
};

// How much of the log of webhooks is kept. What they contained goes with the predictions' content.
struct WebhookRetention {
  std::chrono::hours age{7 * 24};
  std::size_t per_account = 10'000;
};

// On the HTTP thread.
class Maintenance {
 public:
  Maintenance(MaintenanceParts parts, store::Retention keep, std::chrono::hours keep_audit,
              WebhookRetention keep_webhooks)
      : parts_(parts), keep_(keep), keep_audit_(keep_audit), keep_webhooks_(keep_webhooks) {}

  // Partitions for now and the days ahead; without them nothing can be created.
  boost::asio::awaitable<Status> prepare();
  // Hourly; runs until cancelled.
  boost::asio::awaitable<void> run();
  // Keeps `replica` listed as alive; runs until cancelled. A missed renewal shows after
  // kReplicaTtl.
  boost::asio::awaitable<void> keep_listed(store::Replica replica);

 private:
  Status sweep_audit();
  Status sweep_webhooks();

  const MaintenanceParts parts_;
  const store::Retention keep_;
  const std::chrono::hours keep_audit_;
  const WebhookRetention keep_webhooks_;
};

}  // namespace mimeo::control
