// The images on this machine: pulls what instances need, each image once at a time, tells how far a
// pull is, and removes what was not used for longest when the disk share is full.
//
// Pulling itself is the runtime's (container/runtime.h); tokens come from a control plane. Images
// that were not pulled by us are never touched.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/retry.h"
#include "common/async/signal_event.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/units.h"
#include "worker/container/runtime.h"
#include "worker/hub_calls.h"

namespace mimeo::worker {

struct ImageStoreOptions {
  std::filesystem::path file;  // When each image was used last.
  Bytes limit = 100_GiB;       // Of all our images together; 0 = none.
  std::size_t parallel_pulls = 2;
  RetryPolicyOptions retry{std::chrono::milliseconds{500}, std::chrono::milliseconds{5'000},
                           std::chrono::milliseconds{120'000}};
};

// What to pull: the registry is the control plane's to say.
struct ImageWish {
  std::string repository;  // "alice/hello".
  std::string digest;      // "sha256:<64 hex>".
  friend auto operator<=>(const ImageWish&, const ImageWish&) = default;
};

// Changes of what is on the disk, as digests.
struct ImageChange {
  std::vector<std::string> added;
  std::vector<std::string> removed;
};

struct ImageStoreParts {
  Runtime& runtime;
  BlockingPool& pool;
  HubApi& hub;
  const Clock& clock;
  Random& random;
  std::function<std::vector<std::string>()> hubs;  // Live control planes, best first.
  std::function<void(const ImageChange&)> on_change;
};

// On one executor. What `parts` refers to outlives the store.
class ImageStore {
 public:
  // "pulling 40 % of 1.2 GiB"; called on the executor when it changes.
  using Observer = std::function<void(const std::string& progress)>;

  ImageStore(boost::asio::any_io_executor executor, ImageStoreParts parts,
             ImageStoreOptions options);
  ~ImageStore();

  // Finds out what is there. Before anything else.
  boost::asio::awaitable<Status> load();

  // Suspends until the image is here. It stays until release(), whatever the limit. The pull goes
  // on when the caller is cancelled.
  boost::asio::awaitable<Result<ImageName>> hold(ImageWish wish, Observer observer);
  void release(const ImageWish& wish);
  // An image that a container found at a restart uses.
  void hold_present(const ImageWish& wish);
  // The same as hold() and release(), for later.
  void prefetch(ImageWish wish);

  // Digests of all images of ours.
  [[nodiscard]] std::vector<std::string> digests() const;

  boost::asio::awaitable<void> stop();

 private:
  struct Image {
    ImageName name;
    Bytes size;
    std::int64_t used_at_s = 0;  // Unix time.
  };
  struct Pull;

  boost::asio::awaitable<void> run_pull(ImageWish wish, std::shared_ptr<Pull> pull);
  boost::asio::awaitable<Status> pull_once(ImageWish wish, std::shared_ptr<Pull> pull);
  boost::asio::awaitable<void> prefetch_one(ImageWish wish);
  boost::asio::awaitable<Status> refresh();
  boost::asio::awaitable<void> make_room();
  [[nodiscard]] std::optional<ImageWish> least_recently_used() const;
  void touch(const ImageWish& wish);
  void save();
  boost::asio::awaitable<void> save_all();
  [[nodiscard]] std::string remembered() const;

  boost::asio::any_io_executor executor_;
  ImageStoreParts parts_;
  const ImageStoreOptions options_;
  std::map<ImageWish, Image> images_;          // On the disk, and ours.
  std::map<ImageWish, std::int64_t> used_at_;  // From `file`; also says which are ours.
  std::map<ImageWish, int> holds_;
  std::map<ImageWish, std::shared_ptr<Pull>> pulls_;
  std::size_t active_pulls_ = 0;
  bool is_saving_ = false;
  bool is_changed_ = false;  // Since the last save began.
  SignalEvent pull_ended_;
  TaskGroup tasks_;  // Last: its tasks use everything above.
};

// "pulling 40 % of 1.2 GiB", "unpacking", "pulling".
[[nodiscard]] std::string progress_text(const PullProgress& progress);

}  // namespace mimeo::worker
