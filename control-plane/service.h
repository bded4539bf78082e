// The control plane as a whole: builds its parts in the order of their dependencies, connects them,
// starts, drains and stops them. Names no database and no file system: main.cc does.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/blobs/blob_store.h"
#include "common/crypto/crypto.h"
#include "common/store/access_feed.h"
#include "common/store/account_limits.h"
#include "common/store/accounts.h"
#include "common/store/catalog.h"
#include "common/store/discovery.h"
#include "common/store/files.h"
#include "common/store/fleet.h"
#include "common/store/outbox.h"
#include "common/store/predictions.h"
#include "common/store/retention.h"
#include "common/store/trainings.h"
#include "common/store/usage.h"
#include "common/store/version_deletion.h"
#include "common/telemetry/metrics.h"
#include "control-plane/config.h"

namespace mimeo::control {

// What main chooses; all outlive the service.
struct ServiceParts {
  boost::asio::any_io_executor executor;  // Of one thread, the HTTP thread.
  const Clock& clock;
  Random& random;
  Metrics& metrics;
  store::PredictionStore& predictions;
  store::CatalogStore& catalog;
  store::FilesStore& files;
  store::DiscoveryStore& discovery;
  store::VersionDeletionStore& deletions;
  store::AccountLimitsStore& limits;
  store::FleetStore& fleet;
  store::OutboxStore& outbox;
  store::MaintenanceStore& maintenance;
  blobs::BlobStore& blobs;
  store::AccountsStore& accounts;
  store::RetentionStore& retention;
  store::WebhookLogStore& webhook_log;
  store::UsageStore& usage;
  const crypto::TokenSigner* signer = nullptr;  // Null = no registry.
  store::AccessFeed* access_feed = nullptr;     // Null = changes elsewhere show after a second.
  store::TrainingStore* trainings = nullptr;    // Null = no trainings.
};

// How many threads call the stores at once, at most: the size of a connection pool.
[[nodiscard]] std::size_t store_threads(const ControlPlaneConfig& config);

// On the HTTP thread.
class Service {
 public:
  Service(ServiceParts parts, ControlPlaneConfig config);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Suspends until requests are taken. An error is one that an operator must repair: the database
  // does not answer or lacks its schema, a port is taken.
  boost::asio::awaitable<Status> start();
  // Not ready; no new connections; open requests get the drain timeout; workers go elsewhere; then
  // everything ends. Also after a start that failed.
  boost::asio::awaitable<void> stop();

  [[nodiscard]] std::uint16_t http_port() const;
  [[nodiscard]] std::string grpc_address() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mimeo::control
