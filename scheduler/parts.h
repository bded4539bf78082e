// What every part of the scheduler process is given: built in main.cc, lives longer than all of
// them.

#pragma once

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/store/catalog.h"
#include "common/store/fleet.h"
#include "common/store/predictions.h"
#include "common/telemetry/metrics.h"

namespace mimeo::scheduler {

struct SchedulerParts {
  store::PredictionStore& predictions;
  store::CatalogStore& catalog;
  store::FleetStore& fleet;
  BlockingPool& pool;
  const Clock& clock;
  Random& random;
  IdGenerator& ids;
  Metrics& metrics;
};

}  // namespace mimeo::scheduler
