// Removes what deleted versions left: their examples, their predictions and all files of these. A
// version that still has active predictions is looked at again until they have ended (the scheduler
// fails what is queued).

#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <utility>

#include "common/async/blocking_pool.h"
#include "common/base/status.h"
#include "common/store/discovery.h"
#include "common/store/files.h"
#include "common/store/version_deletion.h"

namespace mimeo::control {

// All outlive it.
struct VersionEraserParts {
  store::VersionDeletionStore& deletions;
  store::DiscoveryStore& discovery;
  store::FilesStore& files;
  BlockingPool& pool;
  // On a pool thread: what this process still has in memory of a prediction that is gone must go.
  std::function<void(PredictionId)> on_erased = [](PredictionId) {};
};

// Every control plane has one; the store gives each version to one at a time.
class VersionEraser {
 public:
  explicit VersionEraser(VersionEraserParts parts) : parts_(std::move(parts)) {}

  // On the HTTP thread, until cancelled.
  boost::asio::awaitable<void> run();
  // Does what can be done for one version. True when another may be waiting. On a pool thread.
  Result<bool> step();

 private:
  Status erase_examples(VersionId version);
  // True when the version is done.
  Result<bool> erase_predictions(const store::VersionDeletion& deletion);

  const VersionEraserParts parts_;
};

}  // namespace mimeo::control
