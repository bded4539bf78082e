// Removes what its time has come for: the data of predictions, expired uploads, and blobs that
// nothing refers to. Every control plane does it; several may do the same at once.
//
// The order is always rows first, then blobs, with the blobs' keys written down in between:
// whatever crashes, no row names a blob that is gone, and no blob is left that nobody knows.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/blobs/blob_store.h"
#include "common/store/files.h"
#include "common/store/predictions.h"
#include "common/store/retention.h"
#include "common/telemetry/metrics.h"

namespace mimeo::control {

// All outlive it.
struct SweeperParts {
  store::RetentionStore& retention;
  store::FilesStore& files;
  store::PredictionStore& predictions;
  blobs::BlobStore& blobs;
  BlockingPool& pool;
  const Clock& clock;
  Metrics& metrics;
  // On the HTTP thread: what this process still has of it in memory must go.
  std::function<void(PredictionId)> on_removed;
};

// On the HTTP thread.
class Sweeper {
 public:
  explicit Sweeper(SweeperParts parts) : parts_(std::move(parts)) {}

  // Every few seconds; runs until cancelled.
  boost::asio::awaitable<void> run();
  // Once: all that is due now. Its steps do not wait for each other's success; the first error.
  boost::asio::awaitable<Status> sweep();
  // What crashes left in the blob store, and outputs from before FilesStore knew them. Reads the
  // whole list of blobs: once a day.
  boost::asio::awaitable<Status> sweep_leftovers();

 private:
  using Step = Status (Sweeper::*)();
  struct NamedStep {
    const char* name;  // A metric label.
    Step step;
  };

  boost::asio::awaitable<Status> remove_data();
  boost::asio::awaitable<Status> run_steps(std::vector<NamedStep> steps);
  void count_failure(const char* step);
  // These block.
  struct SomeRemoved {
    std::vector<PredictionId> ids;
    bool was_all = false;
  };
  Result<SomeRemoved> remove_some_data();
  Status remove_expired_files();
  Status remove_dead_blobs();
  Status remove_unfinished();
  Status remove_unknown_blobs();
  Status remove_old_outputs();

  const SweeperParts parts_;
  // Dead blobs that could not be removed, and until when they are left alone. Of the pool's one
  // sweep at a time.
  std::map<std::string, SteadyTime> put_off_;
};

}  // namespace mimeo::control
