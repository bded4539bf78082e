#include "common/base/clock.h"

namespace mimeo {

WallTime SystemClock::now() const {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}
SteadyTime SystemClock::steady() const { return std::chrono::steady_clock::now(); }

FakeClock::FakeClock(WallTime start) : now_(start), steady_(std::chrono::hours{1}) {}

WallTime FakeClock::now() const {
  std::lock_guard lock(mutex_);
  return now_;
}
SteadyTime FakeClock::steady() const {
  std::lock_guard lock(mutex_);
  return steady_;
}
void FakeClock::advance(std::chrono::microseconds by) {
  std::lock_guard lock(mutex_);
  now_ += by;
  steady_ += by;
}

}  // namespace mimeo
