// The part of MemoryStore for trainings.

#include "common/store/memory/memory_store.h"

namespace mimeo::store {

Result<Target> MemoryStore::ensure_training_pool(VersionId version, std::string_view sku,
                                                 std::int32_t max_instances) {
  return ensure_pool(TargetKind::kTraining, version, sku, max_instances);
}

Result<FinishOutcome> MemoryStore::finish_with_version(const Finish& finish,
                                                       const Version& version) {
  const std::scoped_lock lock(mutex_);
  const auto model = models_.find(version.model);
  const bool has_model = model != models_.end() && !model->second.is_deleted;
  if (!has_model && active_.contains(finish.id)) return absl::NotFoundError("no such model");
  const FinishOutcome outcome = finish_one(finish);
  if (outcome != FinishOutcome::kCommitted) return outcome;
  MIMEO_RETURN_IF_ERROR(put_version_locked(version).status());
  log_change(entry_of_trained(version, model->second.model.owner_id, finish.id));
  return outcome;
}

}  // namespace mimeo::store
