#include "control-plane/sweeper.h"

#include <utility>

#include "common/async/task_group.h"
#include "common/blobs/blob_key.h"
#include "common/telemetry/log.h"
#include "control-plane/public_links.h"

namespace mimeo::control {
namespace {

constexpr std::chrono::seconds kEvery{5};
constexpr std::chrono::hours kLeftoversEvery{24};
// Blobs younger than this may be of an upload that is not over.
constexpr std::chrono::hours kUploadLimit{24};
constexpr std::size_t kPredictionsAtOnce = 200;
constexpr std::size_t kFilesAtOnce = 200;
constexpr std::size_t kBlobsAtOnce = 1'000;

}  // namespace

boost::asio::awaitable<void> Sweeper::run() {
  SteadyTime next_leftovers = parts_.clock.steady();
  for (;;) {
    const Status swept = co_await sweep();
    if (!swept.ok()) log::warn("removing what is due: {}", swept.ToString());
    if (parts_.clock.steady() >= next_leftovers) {
      const Status cleared = co_await sweep_leftovers();
      if (!cleared.ok()) log::warn("removing leftovers: {}", cleared.ToString());
      next_leftovers = parts_.clock.steady() + kLeftoversEvery;
    }
    const bool goes_on = co_await sleep_for(kEvery);
    if (!goes_on) co_return;
  }
}

boost::asio::awaitable<Status> Sweeper::sweep() {
  MIMEO_CO_RETURN_IF_ERROR(co_await remove_data());
  auto rest = [this]() -> Status {
    MIMEO_RETURN_IF_ERROR(remove_expired_files());
    return remove_dead_blobs();
  };
  co_return co_await parts_.pool.run(std::move(rest));
}

boost::asio::awaitable<Status> Sweeper::sweep_leftovers() {
  auto work = [this]() -> Status {
    MIMEO_RETURN_IF_ERROR(remove_unknown_blobs());
    return remove_old_outputs();
  };
  co_return co_await parts_.pool.run(std::move(work));
}

boost::asio::awaitable<Status> Sweeper::remove_data() {
  while (true) {
    auto work = [this] { return remove_some_data(); };
    MIMEO_CO_ASSIGN_OR_RETURN(const std::vector<PredictionId> removed,
                              co_await parts_.pool.run(std::move(work)));
    for (const PredictionId id : removed) parts_.on_removed(id);
    if (!removed.empty()) log::info("removed data predictions={}", removed.size());
    // Fewer: these were all, or another process is at it.
    if (removed.size() < kPredictionsAtOnce) co_return absl::OkStatus();
  }
}

Result<std::vector<PredictionId>> Sweeper::remove_some_data() {
  MIMEO_ASSIGN_OR_RETURN(const std::vector<store::DueRemoval> due,
                         parts_.retention.list_due(parts_.clock.now(), kPredictionsAtOnce));
  if (due.empty()) return std::vector<PredictionId>{};
  std::vector<PredictionId> ids;
  for (const store::DueRemoval& removal : due) ids.push_back(removal.id);
  for (const auto& remove : parts_.removers) MIMEO_RETURN_IF_ERROR(remove(ids));
  return parts_.retention.remove_data(due);
}

Status Sweeper::remove_expired_files() {
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const std::vector<store::File> expired,
                           parts_.files.list_expired_files(parts_.clock.now(), kFilesAtOnce));
    for (const store::File& file : expired) {
      const Status deleted = parts_.files.delete_file(file.id, file.account);
      if (!deleted.ok() && !absl::IsNotFound(deleted)) return deleted;
    }
    if (expired.size() < kFilesAtOnce) return absl::OkStatus();
  }
}

Status Sweeper::remove_dead_blobs() {
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const std::vector<std::string> dead,
                           parts_.files.list_dead_blobs(kBlobsAtOnce));
    if (dead.empty()) return absl::OkStatus();
    MIMEO_RETURN_IF_ERROR(parts_.blobs.remove_many(dead));
    MIMEO_RETURN_IF_ERROR(parts_.files.forget_dead_blobs(dead));
    if (dead.size() < kBlobsAtOnce) return absl::OkStatus();
  }
}

Status Sweeper::remove_unknown_blobs() {
  const std::string young = blobs::lowest_content_key(parts_.clock.now() - kUploadLimit);
  std::string after;
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(std::vector<std::string> keys,
                           parts_.blobs.list(blobs::kContentPrefix, after, kBlobsAtOnce));
    const bool is_last = keys.size() < kBlobsAtOnce;
    const bool is_young = std::erase_if(keys, [&](const std::string& k) { return k >= young; }) > 0;
    if (!keys.empty()) {
      after = keys.back();
      MIMEO_ASSIGN_OR_RETURN(const std::vector<std::string> unknown,
                             parts_.files.find_unknown_blobs(keys));
      if (!unknown.empty()) log::info("removing blobs of broken uploads count={}", unknown.size());
      MIMEO_RETURN_IF_ERROR(parts_.blobs.remove_many(unknown));
    }
    if (is_last || is_young) return absl::OkStatus();
  }
}

// Of predictions whose data is removed.
Status Sweeper::remove_old_outputs() {
  std::string after;
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const std::vector<std::string> keys,
                           parts_.blobs.list(kOldOutputs, after, kBlobsAtOnce));
    PredictionId last;
    for (const std::string& key : keys) {
      after = key;
      const Result<PredictionId> id = PredictionId::parse(key.substr(kOldOutputs.size() + 1, 26));
      if (!id.ok() || *id == last) continue;
      last = *id;
      const Result<store::PredictionView> view = parts_.predictions.get(*id, 0);
      if (!view.ok() && !absl::IsNotFound(view.status())) return view.status();
      if (view.ok() && !view->data_removed) continue;
      MIMEO_RETURN_IF_ERROR(parts_.blobs.remove_all(old_output_prefix(*id)));
    }
    if (keys.size() < kBlobsAtOnce) return absl::OkStatus();
  }
}

}  // namespace mimeo::control
