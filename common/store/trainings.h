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
#include "common/store/catalog.h"
#include "common/store/predictions.h"

namespace mimeo::store {

class TrainingStore {
 public:
  virtual ~TrainingStore() = default;

  // The training pool of (version, sku), made when missing, in the cell with the fewest targets
  // (cell 1 when there is none). Its instances run in training mode and serve no predictions.
  // kNotFound when there is no such version.
  virtual Result<Target> ensure_training_pool(VersionId version, std::string_view sku,
                                              std::int32_t max_instances) = 0;

  // PredictionStore::finish() of one training and CatalogStore::put_version() of what it made, in
  // one transaction: the version is there if and only if the training succeeded. With another
  // outcome than kCommitted nothing changed. kNotFound, and nothing changed: the version's model
  // was deleted.
  virtual Result<FinishOutcome> finish_with_version(const Finish& finish,
                                                    const Version& version) = 0;
};

}  // namespace mimeo::store
