// Time comes in through this interface; nothing else in the project reads a clock.
//
// `now()` is the wall clock and is only shown or stored; every timeout and lease is measured with
// `steady()`. Tests use FakeClock.

#pragma once

#include <chrono>
#include <mutex>

namespace mimeo {

using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;

// Safe to call from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime now() const = 0;
  [[nodiscard]] virtual SteadyTime steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] WallTime now() const override;
  [[nodiscard]] SteadyTime steady() const override;
};

// Stands in for SystemClock: moves only when told to. Both times advance together.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime start = WallTime{std::chrono::seconds{1'700'000'000}});
  [[nodiscard]] WallTime now() const override;
  [[nodiscard]] SteadyTime steady() const override;
  void advance(std::chrono::microseconds by);

 private:
  mutable std::mutex mutex_;
  WallTime now_;       // Guarded by mutex_.
  SteadyTime steady_;  // Guarded by mutex_.
};

}  // namespace mimeo
