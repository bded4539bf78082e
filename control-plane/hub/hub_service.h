// Implements proto/event_hub.proto: events and results from workers, their input and output files,
// registry tokens; and the events of our hub for other control planes.
//
// Only translates: what an event means is event_hub.h's, what a result means result_committer.h's.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/blobs/blob_store.h"
#include "common/store/files.h"
#include "common/store/fleet.h"
#include "common/store/predictions.h"
#include "common/telemetry/metrics.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/result_committer.h"
#include "control-plane/predictions/training_finisher.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace mimeo::control {

// What a worker needs to pull an image.
struct PullGrant {
  std::string registry;  // host:port as it must be spelled in the image name.
  std::string token;
  std::chrono::seconds lifetime{0};
};

// All outlive the service.
struct HubServiceParts {
  EventHub& hub;
  ResultCommitter& committer;
  store::PredictionStore& predictions;
  store::FilesStore& files;
  store::FleetStore& fleet;
  blobs::BlobStore& blobs;
  BlockingPool& pool;       // For the stores and small reads.
  BlockingPool& transfers;  // For `blobs` alone.
  const Clock& clock;       // Set by the database's.
  Random& random;
  Metrics& metrics;
  // Called on a pool thread. May be empty: then there is no registry.
  std::function<Result<PullGrant>(const std::string& repository)> pull_token;
  // Takes the results of trainings; null = they are committed like those of predictions.
  TrainingFinisher* trainings = nullptr;
};

struct HubServiceOptions {
  std::string external_url;  // Base of the URLs of stored outputs and of our own input files.
};

class HubService {
 public:
  virtual ~HubService() = default;
  // For the RpcServer; lives as long as this.
  [[nodiscard]] virtual grpc::Service* service() = 0;
  // On the HTTP thread: ends the workers' streams, so that they go to another control plane, and
  // refuses new ones.
  virtual void drain() = 0;
  // On the HTTP thread, after the RpcServer stopped.
  virtual boost::asio::awaitable<void> stop() = 0;
};

std::unique_ptr<HubService> make_hub_service(boost::asio::any_io_executor executor,
                                             HubServiceParts parts, HubServiceOptions options);

}  // namespace mimeo::control
