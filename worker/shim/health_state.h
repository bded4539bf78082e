// Judges a container by what its server's health check says over time. Pure: observations in, a
// verdict out; health_watch.h asks the server and carries the time.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "worker/cog/server_health.h"

namespace mimeo::worker {

enum class Verdict : std::uint8_t {
  kStarting,
  kReady,
  kSetupFailed,  // Final.
  kBroken,       // Final: replace the container.
};

struct HealthLimits {
  std::chrono::milliseconds setup{600'000};
  std::chrono::milliseconds unhealthy{30'000};
  // coglet 0.17 to 0.20 lose slots: BUSY for ever with nothing in flight.
  std::chrono::milliseconds busy_without_work{5'000};
  // coglet says READY an instant before its schema is there.
  std::chrono::milliseconds setup_race{200};
};

struct HealthJudgement {
  Verdict verdict = Verdict::kStarting;
  std::string detail;  // Setup logs when ready, else the reason.
  // Something is wrong but not long enough yet: look again soon.
  bool is_doubtful = false;
};

class HealthState {
 public:
  HealthState(HealthLimits limits, SteadyTime started_at)
      : limits_(limits), started_at_(started_at) {}

  // One answer of the server, or why there was none. `in_flight`: attempts in the container;
  // `idle_since`: when the last one left, if none is.
  HealthJudgement observe(SteadyTime at, const Result<cog::HealthReport>& report,
                          std::uint32_t in_flight, SteadyTime idle_since);
  // The container is gone, whatever its server said last.
  HealthJudgement container_gone(const std::string& reason);

  [[nodiscard]] const HealthJudgement& current() const { return current_; }

 private:
  void while_starting(SteadyTime at, const Result<cog::HealthReport>& report);
  void while_ready(SteadyTime at, const Result<cog::HealthReport>& report, std::uint32_t in_flight,
                   SteadyTime idle_since);
  void judge(Verdict verdict, std::string detail);
  void doubt(SteadyTime at, bool may_break, const std::string& reason);

  const HealthLimits limits_;
  const SteadyTime started_at_;
  HealthJudgement current_;
  std::optional<SteadyTime> ready_since_;  // While starting: first READY without its setup's end.
  std::optional<SteadyTime> bad_since_;
  std::optional<SteadyTime> busy_since_;
};

}  // namespace mimeo::worker
