#include "control-plane/database_clock.h"

#include "common/async/task_group.h"
#include "common/telemetry/log.h"

namespace mimeo::control {

WallTime DatabaseClock::now() const {
  return local_.now() + std::chrono::microseconds(offset_us_.load(std::memory_order_relaxed));
}

Status DatabaseClock::measure(store::MaintenanceStore& store) {
  const WallTime before = local_.now();
  MIMEO_ASSIGN_OR_RETURN(const WallTime theirs, store.now());
  const WallTime after = local_.now();
  // On one machine the answer lies between: then the clocks are the same, and no noise is added.
  const bool is_same = before <= theirs && theirs <= after;
  const WallTime middle = before + (after - before) / 2;
  const std::int64_t offset = is_same ? 0 : (theirs - middle).count();
  offset_us_.store(offset, std::memory_order_relaxed);
  return absl::OkStatus();
}

boost::asio::awaitable<void> DatabaseClock::run(BlockingPool* pool, store::MaintenanceStore* store,
                                                std::chrono::milliseconds every) {
  for (;;) {
    const bool goes_on = co_await sleep_for(every);
    if (!goes_on) co_return;
    auto work = [this, store] { return measure(*store); };
    const Status status = co_await pool->run(std::move(work));
    if (!status.ok()) log::debug("reading the database's clock: {}", status.ToString());
  }
}

}  // namespace mimeo::control
