// Our clock, set right by the database's: all processes then agree on created_at, on ids (their
// first 48 bits are a time, and choose the partition) and on deadlines, however wrong the clock of
// their machine is.

#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/store/fleet.h"

namespace mimeo::control {

// Reads may come from any thread.
class DatabaseClock final : public Clock {
 public:
  explicit DatabaseClock(const Clock& local) : local_(local) {}

  [[nodiscard]] WallTime now() const override;
  [[nodiscard]] SteadyTime steady() const override { return local_.steady(); }

  // Measures the offset once; blocks for a round trip. On an error the offset stays as it was.
  Status measure(store::MaintenanceStore& store);
  // Measures each `every`, on a thread of `pool`; runs until cancelled.
  boost::asio::awaitable<void> run(BlockingPool* pool, store::MaintenanceStore* store,
                                   std::chrono::milliseconds every);

 private:
  const Clock& local_;
  std::atomic<std::int64_t> offset_us_{0};
};

}  // namespace mimeo::control
