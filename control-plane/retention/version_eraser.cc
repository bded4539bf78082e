#include "control-plane/retention/version_eraser.h"

#include <utility>
#include <vector>

#include "common/async/task_group.h"
#include "common/telemetry/log.h"

namespace mimeo::control {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kEvery{5000};
constexpr milliseconds kLease{10 * 60 * 1000};  // A step takes seconds.
constexpr milliseconds kWaitForActive{15'000};  // Then it is looked at again.
constexpr std::size_t kScan = 500;              // Predictions of the owner at a time.
constexpr std::size_t kExamples = 100;

}  // namespace

boost::asio::awaitable<void> VersionEraser::run() {
  for (;;) {
    auto work = [this] { return step(); };
    const Result<bool> more = co_await parts_.pool.run(std::move(work));
    if (!more.ok()) log::warn("removing what a version left: {}", more.status().ToString());
    if (more.ok() && *more) continue;
    const bool goes_on = co_await sleep_for(kEvery);
    if (!goes_on) co_return;
  }
}

Result<bool> VersionEraser::step() {
  MIMEO_ASSIGN_OR_RETURN(const std::optional<store::VersionDeletion> deletion,
                         parts_.deletions.claim_version_deletion(kLease));
  if (!deletion) return false;
  const VersionId version = deletion->version;
  Result<bool> done = false;
  if (const Status status = erase_examples(version); status.ok()) {
    done = erase_predictions(*deletion);
    // Those that were added meanwhile: without predictions there can be no more.
    if (const Status again = erase_examples(version); !again.ok()) done = again;
  } else {
    done = status;
  }
  if (!done.ok() || !*done) {
    (void)parts_.deletions.put_off_version_deletion(version, kWaitForActive);
    if (!done.ok()) return done.status();
    return true;  // Others may be waiting.
  }
  MIMEO_RETURN_IF_ERROR(parts_.deletions.finish_version_deletion(version));
  log::info("removed a deleted version and what it left version={}", version.hex());
  return true;
}

// Before the predictions: they are kept while they are examples.
Status VersionEraser::erase_examples(VersionId version) {
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const std::vector<store::ExampleKey> examples,
                           parts_.discovery.list_examples_of_version(version, kExamples));
    for (const store::ExampleKey& example : examples) {
      const Status removed = parts_.discovery.remove_example(example.model, example.prediction);
      if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
    }
    if (examples.size() < kExamples) return absl::OkStatus();
  }
}

Result<bool> VersionEraser::erase_predictions(const store::VersionDeletion& deletion) {
  PredictionId before;
  bool has_active = false;
  for (;;) {
    MIMEO_ASSIGN_OR_RETURN(const store::VersionPredictions found,
                           parts_.deletions.list_version_predictions(deletion, before, kScan));
    MIMEO_RETURN_IF_ERROR(parts_.files.delete_outputs(found.ended));
    MIMEO_RETURN_IF_ERROR(parts_.deletions.erase_predictions(found.ended));
    for (const PredictionId& id : found.ended) parts_.on_erased(id);
    has_active |= found.has_active;
    if (!found.after) return !has_active;
    before = *found.after;
  }
}

}  // namespace mimeo::control
