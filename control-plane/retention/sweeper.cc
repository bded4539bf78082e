#include "control-plane/retention/sweeper.h"

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
// After a blob could not be removed.
constexpr std::chrono::minutes kRetryAfter{10};
constexpr std::size_t kPredictionsAtOnce = 200;
constexpr std::size_t kFilesAtOnce = 200;
constexpr std::size_t kBlobsAtOnce = 1'000;
// That cannot be removed. Where there are so many, it is the store's fault and not theirs.
constexpr std::size_t kMostPutOff = 100'000;

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

void Sweeper::count_failure(const char* step) {
  parts_.metrics
      .counter("mimeo_control_sweep_failures_total",
               "Steps of the removal of what is due that failed, and are tried again.",
               {{"step", step}})
      .Increment();
}

boost::asio::awaitable<Status> Sweeper::run_steps(std::vector<NamedStep> steps) {
  Status first;
  for (const NamedStep& named : steps) {
    auto work = [this, step = named.step] { return (this->*step)(); };
    const Status done = co_await parts_.pool.run(std::move(work));
    if (done.ok()) continue;
    count_failure(named.name);
    if (first.ok()) first = done;
  }
  co_return first;
}

boost::asio::awaitable<Status> Sweeper::sweep() {
  const Status removed = co_await remove_data();
  if (!removed.ok()) count_failure("data");
  std::vector<NamedStep> steps;
  steps.push_back({"files", &Sweeper::remove_expired_files});
  steps.push_back({"blobs", &Sweeper::remove_dead_blobs});
  const Status rest = co_await run_steps(std::move(steps));
  co_return removed.ok() ? rest : removed;
}

boost::asio::awaitable<Status> Sweeper::sweep_leftovers() {
  std::vector<NamedStep> steps;
  steps.push_back({"unfinished", &Sweeper::remove_unfinished});
  steps.push_back({"unknown", &Sweeper::remove_unknown_blobs});
  steps.push_back({"old_outputs", &Sweeper::remove_old_outputs});
  const Status done = co_await run_steps(std::move(steps));
  co_return done;
}

boost::asio::awaitable<Status> Sweeper::remove_data() {
  while (true) {
    auto work = [this] { return remove_some_data(); };
    MIMEO_CO_ASSIGN_OR_RETURN(const SomeRemoved removed, co_await parts_.pool.run(std::move(work)));
    for (const PredictionId id : removed.ids) parts_.on_removed(id);
    if (!removed.ids.empty()) log::info("removed data predictions={}", removed.ids.size());
    if (removed.was_all) co_return absl::OkStatus();
  }
}

Result<Sweeper::SomeRemoved> Sweeper::remove_some_data() {
  MIMEO_ASSIGN_OR_RETURN(const std::vector<store::DueRemoval> due,
                         parts_.retention.list_due(parts_.clock.now(), kPredictionsAtOnce));
  SomeRemoved removed;
  removed.was_all = due.size() < kPredictionsAtOnce;
  if (!due.empty()) {
    MIMEO_ASSIGN_OR_RETURN(removed.ids, parts_.retention.remove_data(due));
  }
  return removed;
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

// Those that cannot be removed hold no others up, and are tried again later.
Status Sweeper::remove_dead_blobs() {
  const SteadyTime now = parts_.clock.steady();
  std::erase_if(put_off_, [now](const auto& entry) { return entry.second <= now; });
  Status first;
  std::string after;
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(std::vector<std::string> dead,
                           parts_.files.list_dead_blobs(after, kBlobsAtOnce));
    const bool is_last = dead.size() < kBlobsAtOnce;
    if (!dead.empty()) after = dead.back();
    std::erase_if(dead, [this](const std::string& key) { return put_off_.contains(key); });
    const blobs::NotRemoved left = parts_.blobs.remove_many(dead);
    if (absl::IsUnavailable(left.why)) return left.why;
    if (first.ok()) first = left.why;
    for (const std::string& key : left.keys) put_off_[key] = now + kRetryAfter;
    std::erase_if(dead, [this](const std::string& key) { return put_off_.contains(key); });
    if (!dead.empty()) MIMEO_RETURN_IF_ERROR(parts_.files.forget_dead_blobs(dead));
    if (is_last || put_off_.size() >= kMostPutOff) return first;
  }
}

Status Sweeper::remove_unfinished() { return parts_.blobs.remove_unfinished(kUploadLimit); }

Status Sweeper::remove_unknown_blobs() {
  const std::string young = blobs::lowest_content_key(parts_.clock.now() - kUploadLimit);
  Status first;
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
      const Status removed = parts_.blobs.remove_many(unknown).why;
      if (first.ok()) first = removed;
    }
    if (is_last || is_young) return first;
  }
}

// Of predictions whose data is removed.
Status Sweeper::remove_old_outputs() {
  Status first;
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
      const Status removed = parts_.blobs.remove_all(old_output_prefix(*id));
      if (first.ok()) first = removed;
    }
    if (keys.size() < kBlobsAtOnce) return first;
  }
}

}  // namespace mimeo::control
