// Turns what ended and what lives into usage, every few seconds. Several control planes may run it:
// one at a time does the work. A pause of any length, of all of them, loses nothing: the facts, and
// who pays for them, stay in the database until they are counted.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/store/usage.h"
#include "common/telemetry/metrics.h"

namespace mimeo::control {

struct MeteringOptions {
  std::chrono::milliseconds every{5000};
  // Which runs overlapped whom is known for at least this long after (docs/usage.md).
  std::chrono::hours keep_minutes{2};
  store::UsageStore::Pausing pausing = store::UsageStore::Pausing::kResumeOnly;
};

// On the executor that runs it; the store's work is done on `pool`, which must have a thread to
// spare for as long as a large backlog takes.
class Metering {
 public:
  Metering(BlockingPool& pool, store::UsageStore& usage, const Clock& clock, Metrics& metrics,
           MeteringOptions options);

  // Until cancelled.
  boost::asio::awaitable<void> run();
  // One round: everything that is there to count. An error says that the rest waits for the next.
  boost::asio::awaitable<Status> run_once();

 private:
  // A counter that never falls, over a sum that may: it waits until the sum is above it again.
  class Risen {
   public:
    explicit Risen(prometheus::Counter& counter) : counter_(counter) {}
    void add(std::chrono::milliseconds change);

   private:
    prometheus::Counter& counter_;
    std::chrono::milliseconds ahead_{0};  // Below zero: what the counter shows too much.
  };

  void count(const store::Metered& metered);

  BlockingPool& pool_;
  store::UsageStore& usage_;
  const Clock& clock_;
  const MeteringOptions options_;
  SteadyTime sealed_at_;
  prometheus::Counter& predictions_;
  Risen ran_;
  Risen setup_;
  Risen idle_;
  Risen active_;
};

}  // namespace mimeo::control
