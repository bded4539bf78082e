// Removes what its time has come for: the data of predictions, expired uploads, and blobs that
// nothing refers to. Every control plane does it; several may do the same at once.
//
// The order is always rows first, then blobs, with the blobs' keys written down in between:
// whatever crashes, no row names a blob that is gone, and no blob is left that nobody knows.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <span>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/blobs/blob_store.h"
#include "common/store/files.h"
#include "common/store/predictions.h"
#include "common/store/retention.h"

namespace mimeo::control {

// All outlive it.
struct SweeperParts {
  store::RetentionStore& retention;
  store::FilesStore& files;
  store::PredictionStore& predictions;
  blobs::BlobStore& blobs;
  BlockingPool& pool;
  const Clock& clock;
  // Others that keep data of predictions: called on a pool thread with ids that are due, before
  // their rows go. May be called again with the same ids.
  std::vector<std::function<Status(std::span<const PredictionId>)>> removers;
  // On the HTTP thread: what this process still has of it in memory must go.
  std::function<void(PredictionId)> on_removed;
};

// On the HTTP thread.
class Sweeper {
 public:
  explicit Sweeper(SweeperParts parts) : parts_(std::move(parts)) {}

  // Every few seconds; runs until cancelled.
  boost::asio::awaitable<void> run();
  // Once: all that is due now. The first error ends it; the next time goes on.
  boost::asio::awaitable<Status> sweep();
  // What crashes left in the blob store, and outputs from before FilesStore knew them. Reads the
  // whole list of blobs: once a day.
  boost::asio::awaitable<Status> sweep_leftovers();

 private:
  boost::asio::awaitable<Status> remove_data();
  // These block.
  Result<std::vector<PredictionId>> remove_some_data();
  Status remove_expired_files();
  Status remove_dead_blobs();
  Status remove_unknown_blobs();
  Status remove_old_outputs();

  const SweeperParts parts_;
};

}  // namespace mimeo::control
