// How many instances one target wishes to have: a minimum kept warm, the first one on the first
// demand, more under load while they would still do work, fewer after a while of idleness. Whether
// there is room for the wish is arbiter.h's business, which release they run rollout.h's.
//
// Pure: told the time. One object per target, called by the cell on every change and every plan.

#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

#include "common/base/clock.h"

namespace mimeo::scheduler {

// What a target has and has to do now.
struct TargetLoad {
  std::uint32_t queued = 0;
  std::uint32_t running = 0;  // In slots, granted ones included.
  std::uint32_t ready = 0;    // Instances that take work.
  std::uint32_t coming = 0;   // Instances on their way to it.
  std::uint32_t slots = 1;    // Of one instance.
  double oldest_wait_s = 0;   // Of the queue.
};

struct ScaleBounds {
  std::uint32_t min = 0;
  std::uint32_t max = 1;
};

struct ScaleWish {
  std::uint32_t want = 0;  // Bring up instances until there are this many.
  std::uint32_t keep = 0;  // Never idle out below this many: the largest wish of the keep window.
};

class Autoscaler {
 public:
  Autoscaler(SteadyTime now, std::chrono::milliseconds keep_window)
      : keep_window_(keep_window), last_(now) {}

  void arrived(SteadyTime now);
  // A prediction took this long in its container.
  void served(double seconds);
  // An instance took this long from the order to readiness.
  void started_up(double seconds);

  [[nodiscard]] ScaleWish wish(SteadyTime now, const TargetLoad& load, const ScaleBounds& bounds);

  [[nodiscard]] double service_seconds() const { return service_s_; }
  [[nodiscard]] double startup_seconds() const { return startup_s_; }
  // Smoothed arrivals per second.
  [[nodiscard]] double arrival_rate(SteadyTime now) const;

 private:
  void observe(SteadyTime now, double jobs);
  [[nodiscard]] std::uint32_t base_wish(SteadyTime now, const TargetLoad& load);
  // Whether one more instance than `count` would find work when it is up.
  [[nodiscard]] bool is_useful(const TargetLoad& load, std::uint32_t count) const;

  const std::chrono::milliseconds keep_window_;
  double service_s_ = 5;   // Prior until something was measured.
  double startup_s_ = 10;  // Same.
  std::uint64_t served_ = 0;
  bool has_startup_ = false;
  SteadyTime last_;    // When jobs_ was taken.
  double jobs_ = 0;    // Queued and running then.
  double stable_ = 0;  // jobs_ averaged over about 60 s,
  double panic_ = 0;   // and over about 6 s.
  SteadyTime panic_until_{};
  double rate_ = 0;  // Arrivals per second over about 60 s, at rate_at_.
  SteadyTime rate_at_{};
  std::deque<std::pair<SteadyTime, std::uint32_t>> window_;  // Falling wishes, oldest first.
};

}  // namespace mimeo::scheduler
