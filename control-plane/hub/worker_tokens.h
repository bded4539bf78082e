// Who may call as a worker: checks join tokens against the database and remembers the answers for a
// minute.

#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/store/fleet.h"

namespace mimeo::control {

// Safe from any thread.
class WorkerTokens {
 public:
  WorkerTokens(store::FleetStore& fleet, const Clock& clock) : fleet_(fleet), clock_(clock) {}

  // OK when this token was found good lately; kNotFound when the database must be asked. Never
  // blocks.
  [[nodiscard]] Status check_known(std::string_view token);
  // OK, kUnauthenticated, kUnavailable. May block for a round trip.
  [[nodiscard]] Status check(std::string_view token);

 private:
  store::FleetStore& fleet_;
  const Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, SteadyTime> good_until_;  // By hash. Guarded by mutex_.
};

}  // namespace mimeo::control
