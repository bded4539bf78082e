#include "worker/images/image_store.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/telemetry/log.h"
#include "worker/state_dir.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;
using nlohmann::json;

ImageWish wish_of(const ImageName& name) { return {name.repository, name.digest}; }

}  // namespace

// One image on its way, and whoever waits for it.
struct ImageStore::Pull {
  explicit Pull(boost::asio::any_io_executor executor) : done(std::move(executor)) {}
  SignalEvent done;
  Status status;
  std::string progress;
  std::vector<Observer> observers;

  void tell(const std::string& text) {
    if (text == progress) return;
    progress = text;
    for (const auto& observer : observers) {
      if (observer) observer(progress);
    }
  }
};

std::string progress_text(const PullProgress& progress) {
  if (progress.is_extracting) return "unpacking the image";
  if (progress.total_bytes == 0) return "pulling the image";
  const std::uint64_t percent =
      std::min<std::uint64_t>(100, progress.done_bytes * 100 / progress.total_bytes);
  return absl::StrCat("pulling ", percent, " % of ", to_text(Bytes{progress.total_bytes}));
}

ImageStore::ImageStore(boost::asio::any_io_executor executor, ImageStoreParts parts,
                       ImageStoreOptions options)
    : executor_(executor),
      parts_(std::move(parts)),
      options_(std::move(options)),
      pull_ended_(executor),
      tasks_(executor) {}

ImageStore::~ImageStore() = default;

awaitable<Status> ImageStore::load() {
  if (auto content = read_file(options_.file); content.ok()) {
    const json remembered = json::parse(*content, nullptr, false);
    if (remembered.is_array()) {
      for (const auto& entry : remembered) {
        if (!entry.is_object()) continue;
        used_at_[{entry.value("repository", ""), entry.value("digest", "")}] =
            entry.value("used_at", std::int64_t{0});
      }
    }
  }
  auto status = co_await refresh();
  co_return status;
}

// What the runtime has, of those that we pulled.
awaitable<Status> ImageStore::refresh() {
  MIMEO_CO_ASSIGN_OR_RETURN(const auto found, co_await parts_.runtime.images());
  std::map<ImageWish, Image> now;
  for (const auto& image : found) {
    const ImageWish wish = wish_of(image.name);
    const auto used = used_at_.find(wish);
    if (used != used_at_.end()) now[wish] = {image.name, image.size, used->second};
  }
  ImageChange change;
  for (const auto& [wish, image] : now) {
    if (!images_.contains(wish)) change.added.push_back(wish.digest);
  }
  for (const auto& [wish, image] : images_) {
    if (!now.contains(wish)) change.removed.push_back(wish.digest);
  }
  images_ = std::move(now);
  const bool is_changed = !change.added.empty() || !change.removed.empty();
  if (is_changed && parts_.on_change) parts_.on_change(change);
  co_return absl::OkStatus();
}

std::vector<std::string> ImageStore::digests() const {
  std::vector<std::string> out;
  for (const auto& [wish, image] : images_) out.push_back(wish.digest);
  return out;
}

void ImageStore::touch(const ImageWish& wish) {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(parts_.clock.now().time_since_epoch());
  used_at_[wish] = now.count();
  if (const auto it = images_.find(wish); it != images_.end()) it->second.used_at_s = now.count();
  save();
}

void ImageStore::save() {
  is_changed_ = true;
  if (is_saving_) return;
  is_saving_ = true;
  tasks_.spawn("save the list of images", save_all());
}

awaitable<void> ImageStore::save_all() {
  while (std::exchange(is_changed_, false)) {
    auto write = [file = options_.file, text = remembered()] {
      return write_file_durably(file, text);
    };
    const Status saved = co_await parts_.pool.run(std::move(write));
    if (!saved.ok()) log::warn("list of images: {}", saved.ToString());
  }
  is_saving_ = false;
}

std::string ImageStore::remembered() const {
  json list = json::array();
  for (const auto& [wish, used_at] : used_at_) {
    list.push_back(
        {{"repository", wish.repository}, {"digest", wish.digest}, {"used_at", used_at}});
  }
  return list.dump(1);
}

void ImageStore::hold_present(const ImageWish& wish) { ++holds_[wish]; }

void ImageStore::release(const ImageWish& wish) {
  const auto it = holds_.find(wish);
  if (it != holds_.end() && --it->second <= 0) holds_.erase(it);
}

awaitable<Result<ImageName>> ImageStore::hold(ImageWish wish, Observer observer) {
  ++holds_[wish];
  auto present = images_.find(wish);
  if (present == images_.end()) {
    auto& pull = pulls_[wish];
    if (!pull) {
      pull = std::make_shared<Pull>(executor_);
      tasks_.spawn("pull an image", run_pull(wish, pull));
    }
    const std::shared_ptr<Pull> mine = pull;
    mine->observers.push_back(std::move(observer));
    const bool is_done = co_await mine->done.wait();
    Status status = is_done ? mine->status : absl::CancelledError("the worker is stopping");
    present = images_.find(wish);
    if (status.ok() && present == images_.end()) {
      status = absl::InternalError("the image was pulled and is not there");
    }
    if (!status.ok()) {
      release(wish);
      co_return status;
    }
  }
  touch(wish);
  co_return present->second.name;
}

void ImageStore::prefetch(ImageWish wish) {
  if (images_.contains(wish)) return;
  tasks_.spawn("prefetch an image", prefetch_one(std::move(wish)));
}

awaitable<void> ImageStore::prefetch_one(ImageWish wish) {
  Observer nobody;
  auto image = co_await hold(wish, std::move(nobody));
  if (image.ok()) {
    release(wish);
  } else {
    log::warn("prefetching {}: {}", wish.repository, image.status().ToString());
  }
}

awaitable<void> ImageStore::run_pull(ImageWish wish, std::shared_ptr<Pull> pull) {
  while (active_pulls_ >= options_.parallel_pulls) {
    pull->tell("waiting for other images");
    pull_ended_.reset();
    const bool is_awake = co_await pull_ended_.wait();
    if (!is_awake) co_return;
  }
  ++active_pulls_;
  std::function<awaitable<Status>()> once = [this, wish, pull] { return pull_once(wish, pull); };
  pull->status = co_await retry(options_.retry, &parts_.random, std::move(once));
  --active_pulls_;
  pull_ended_.set();
  if (pull->status.ok()) {
    touch(wish);  // From now on it is one of ours.
    pull->status = co_await refresh();
  }
  pulls_.erase(wish);
  pull->done.set();
  if (pull->status.ok()) co_await make_room();
}

awaitable<Status> ImageStore::pull_once(ImageWish wish, std::shared_ptr<Pull> pull) {
  pull->tell("pulling the image");
  auto ask = [hub = &parts_.hub, hubs = parts_.hubs(), repository = wish.repository] {
    return hub->pull_token(hubs, repository);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const PullToken token, co_await parts_.pool.run(std::move(ask)));
  ImageName name;
  name.registry = token.registry;
  name.repository = wish.repository;
  name.digest = wish.digest;
  PullObserver observer = [pull](const PullProgress& progress) {
    pull->tell(progress_text(progress));
  };
  Status pulled = co_await parts_.runtime.pull(std::move(name), token.token, std::move(observer));
  co_return pulled;
}

std::optional<ImageWish> ImageStore::least_recently_used() const {
  std::optional<ImageWish> oldest;
  std::int64_t oldest_use = 0;
  for (const auto& [wish, image] : images_) {
    if (holds_.contains(wish)) continue;
    if (oldest && image.used_at_s >= oldest_use) continue;
    oldest = wish;
    oldest_use = image.used_at_s;
  }
  return oldest;
}

awaitable<void> ImageStore::make_room() {
  if (options_.limit.count == 0) co_return;
  for (;;) {
    std::uint64_t total = 0;
    for (const auto& [wish, image] : images_) total += image.size.count;
    if (total <= options_.limit.count) co_return;
    const auto oldest = least_recently_used();
    if (!oldest) {
      log::warn("images take {} of {} and all are in use", to_text(Bytes{total}),
                to_text(options_.limit));
      co_return;
    }
    const Image image = images_.at(*oldest);
    const Status removed = co_await parts_.runtime.remove_image(image.name);
    if (!removed.ok()) {
      log::warn("removing the image {}: {}", image.name.reference(), removed.ToString());
      co_return;
    }
    log::info("removed an image repository={} size=\"{}\"", oldest->repository,
              to_text(image.size));
    images_.erase(*oldest);
    used_at_.erase(*oldest);
    save();
    ImageChange change;
    change.removed.push_back(oldest->digest);
    if (parts_.on_change) parts_.on_change(change);
  }
}

awaitable<void> ImageStore::stop() {
  tasks_.cancel();
  const Status ended = co_await tasks_.wait(std::chrono::seconds{5});
  if (!ended.ok()) log::warn("images: {}", ended.ToString());
}

}  // namespace mimeo::worker
