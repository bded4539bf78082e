// Persistence of deleting versions: at once the version, in the background everything that it left
// behind. Same rules as catalog.h.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"

namespace mimeo::store {

struct VersionDeletion {
  VersionId version;
  AccountId owner = 0;  // All its predictions are this account's: nobody else ran it.
};

// Predictions of a version among a bounded number of its owner's.
struct VersionPredictions {
  std::vector<PredictionId> ended;
  bool has_active = false;            // Some have not ended: look again later.
  std::optional<PredictionId> after;  // Go on below this one; nullopt = that was all.
};

class VersionDeletionStore {
 public:
  virtual ~VersionDeletionStore() = default;

  // Notes that this account, which is not the owner of the version's model, runs it. Before its
  // first prediction. Unknown versions are ignored.
  virtual Status note_version_user(VersionId version, AccountId account) = 0;

  // Deletes the version and begins to delete what it left. The model's latest becomes its newest
  // ready one. kNotFound; kFailedPrecondition with the reason as a sentence for people when: its
  // model is public; somebody else ran it; it is the base of a training; a deployment uses it.
  virtual Status begin_version_deletion(VersionId version, WallTime now) = 0;
  // The oldest that nobody is at; nobody else gets it within `lease`. nullopt = none. A version
  // that was pushed again is not deleted any more.
  virtual Result<std::optional<VersionDeletion>> claim_version_deletion(
      std::chrono::milliseconds lease) = 0;
  // Newest first, looking at `scan` predictions of the owner below `before` (nil = from the
  // newest).
  virtual Result<VersionPredictions> list_version_predictions(const VersionDeletion& deletion,
                                                              PredictionId before,
                                                              std::size_t scan) = 0;
  // Removes every row of those that have ended, and what webhooks held of them. Their files must be
  // gone before.
  virtual Status erase_predictions(std::span<const PredictionId> ids) = 0;
  // Everything is gone.
  virtual Status finish_version_deletion(VersionId version) = 0;
  // Somebody shall go on after `delay`.
  virtual Status put_off_version_deletion(VersionId version, std::chrono::milliseconds delay) = 0;
};

}  // namespace mimeo::store
