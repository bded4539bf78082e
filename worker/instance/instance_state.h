// The life of one instance, as a state machine without I/O: what happened goes in, what to do next
// comes out. instance.h obeys it; instance_state_test.cc holds every rule.
//
//   pulling -> creating -> setting up -> ready -> draining -> stopping -> gone
//
// Any live state also leads to stopping by way of a failure, which is reported at once; the end
// STOPPED is reported only when the container is gone, because only then its resources are free.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/domain/instance.h"

namespace mimeo::worker {

// --- What happened ---
struct ImageReady {};
struct ImageFailed {
  std::string reason;
};
struct ContainerRuns {};
struct ContainerFailed {  // Could not be created or started.
  std::string reason;
};
struct ContainerEnded {  // "the container exited with code 1".
  std::string reason;
};
struct ShimFailed {  // Could not be started or reached, or it ended.
  std::string reason;
};
enum class ServerHealth : std::uint8_t { kStarting, kReady, kSetupFailed, kBroken };
struct HealthChanged {
  ServerHealth health = ServerHealth::kStarting;
  std::string detail;
};
struct SetupLimitPassed {};
struct StopAsked {
  std::chrono::milliseconds drain{0};  // Let running attempts end for this long.
};
struct DrainLimitPassed {};
// The number of attempts in the container fell to zero.
struct BecameIdle {};
struct CleanedUp {};  // Answer to kCleanUp.

using InstanceEvent = std::variant<ImageReady, ImageFailed, ContainerRuns, ContainerFailed,
                                   ContainerEnded, ShimFailed, HealthChanged, SetupLimitPassed,
                                   StopAsked, DrainLimitPassed, BecameIdle, CleanedUp>;

// --- What to do ---
enum class InstanceStep : std::uint8_t {
  kReport,          // Tell the scheduler `state` and `text`.
  kReportFailure,   // The same with the tail of the container's log.
  kPullImage,       // -> ImageReady or ImageFailed.
  kStartContainer,  // -> ContainerRuns or ContainerFailed, later ContainerEnded.
  kStartShim,       // -> HealthChanged or ShimFailed.
  kArmSetupLimit,   // -> SetupLimitPassed after the configured time.
  kArmDrainLimit,   // -> DrainLimitPassed after `limit`.
  kEndAttempts,     // The container is gone or about to be: attempts in it end with `text`.
  kCleanUp,         // Kill and remove the container, let the shim leave. -> CleanedUp.
  kForget,          // Nothing is left of the instance.
};
struct InstanceAction {
  InstanceStep step = InstanceStep::kReport;
  InstanceState state = InstanceState::kRequested;
  std::string text;
  std::chrono::milliseconds limit{0};
};

// Attempts in the container now; asked at the moment of a decision.
struct InstanceLoad {
  std::size_t attempts = 0;
};

class InstanceLife {
 public:
  // The first actions of a new instance.
  [[nodiscard]] std::vector<InstanceAction> begin();
  // The first actions of one that a restarted daemon finds running: its shim tells the rest.
  [[nodiscard]] std::vector<InstanceAction> adopt();

  // What to do now. Events that mean nothing in the present state give no actions.
  [[nodiscard]] std::vector<InstanceAction> resume(const InstanceEvent& event, InstanceLoad load);

  // As reported.
  [[nodiscard]] InstanceState state() const { return state_; }
  [[nodiscard]] const std::string& detail() const { return detail_; }
  // May take another attempt, as far as its state goes.
  [[nodiscard]] bool is_ready() const { return phase_ == Phase::kReady; }
  // Its end is decided.
  [[nodiscard]] bool is_ending() const { return phase_ >= Phase::kStopping; }
  [[nodiscard]] bool is_gone() const { return phase_ == Phase::kGone; }

 private:
  enum class Phase : std::uint8_t {
    kPulling,
    kCreating,
    kSettingUp,
    kReady,
    kDraining,
    kStopping,  // The end is decided; waits for kCleanUp.
    kGone,
  };
  using Actions = std::vector<InstanceAction>;

  Actions on(const ImageReady& event, InstanceLoad load);
  Actions on(const ImageFailed& event, InstanceLoad load);
  Actions on(const ContainerRuns& event, InstanceLoad load);
  Actions on(const ContainerFailed& event, InstanceLoad load);
  Actions on(const ContainerEnded& event, InstanceLoad load);
  Actions on(const ShimFailed& event, InstanceLoad load);
  Actions on(const HealthChanged& event, InstanceLoad load);
  Actions on(const SetupLimitPassed& event, InstanceLoad load);
  Actions on(const StopAsked& event, InstanceLoad load);
  Actions on(const DrainLimitPassed& event, InstanceLoad load);
  Actions on(const BecameIdle& event, InstanceLoad load);
  Actions on(const CleanedUp& event, InstanceLoad load);

  [[nodiscard]] bool is_live() const { return phase_ < Phase::kStopping; }
  InstanceAction report(InstanceState state, std::string text);
  Actions fail(std::string reason);
  Actions stop(std::string reason_for_attempts);

  Phase phase_ = Phase::kPulling;
  bool is_adopted_ = false;
  InstanceState state_ = InstanceState::kRequested;
  std::string detail_;
};

}  // namespace mimeo::worker
