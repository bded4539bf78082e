// Persistence of what trainings have beyond predictions (predictions.h): instances of their own,
// and a version that appears together with the result.
//
// All methods block: call them from a BlockingPool thread. All are safe from any thread.
//
// Implementations: memory/memory_store.h and postgres/postgres_store.h. Both pass
// contract/trainings_contract.h.

#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/status.h"
#include "common/store/accounts.h"
#include "common/store/catalog.h"
#include "common/store/predictions.h"

namespace mimeo::store {

// What the audit log says of a version that a training made, in the log of the model's owner.
[[nodiscard]] inline AuditEntry entry_of_trained(const Version& version, AccountId owner,
                                                 PredictionId training) {
  AuditEntry entry;
  entry.at = version.created_at;
  entry.account = owner;
  entry.action = "version.create";
  entry.target = version.repository + "/" + version.id.hex();
  entry.actor = version.pushed_by;
  entry.details = R"({"training":")" + training.str() + R"("})";
  return entry;
}

class TrainingStore {
 public:
  virtual ~TrainingStore() = default;

  // The training pool of (version, sku), made when missing, in the cell with the fewest targets
  // (cell 1 when there is none), with this bound from now on. Its instances run in training mode
  // and serve no predictions. kNotFound when there is no such version.
  virtual Result<Target> ensure_training_pool(VersionId version, std::string_view sku,
                                              std::int32_t max_instances) = 0;

  // PredictionStore::finish() of one training, CatalogStore::put_version() of what it made and the
  // entry of the audit log, in one transaction: the version is there if and only if the training
  // succeeded. With another
  // outcome than kCommitted nothing changed. kNotFound, and nothing changed: the version's model
  // was deleted.
  virtual Result<FinishOutcome> finish_with_version(const Finish& finish,
                                                    const Version& version) = 0;
};

}  // namespace mimeo::store
