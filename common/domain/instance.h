// States of an instance (one running copy of a version) and what each means. Pure values; the
// transitions are decided in scheduler/core and reported by worker/instance.

#pragma once

#include <cstdint>
#include <string_view>

namespace mimeo {

// Numbers are stored and equal those of proto/types.proto.
enum class InstanceState : std::uint8_t {
  kRequested = 10,  // Row written, worker told.
  kPreparing = 20,  // Worker pulls the image.
  kStarting = 30,   // Container runs, setup() not finished.
  kReady = 40,      // Takes predictions.
  kSuspended = 50,  // Out of GPU memory, resumable.
  kDraining = 60,   // Finishes what it has, takes nothing new.
  kStopped = 90,    // Terminal: ended on request.
  kFailed = 91,     // Terminal: setup failed, container exited, or unhealthy.
  kLost = 92,       // Terminal: its worker was declared lost.
};

[[nodiscard]] constexpr bool is_terminal(InstanceState s) { return s >= InstanceState::kStopped; }
// May hold a slot for a prediction now.
[[nodiscard]] constexpr bool is_dispatchable(InstanceState s) { return s == InstanceState::kReady; }
// "requested", "preparing", ... for metrics, logs and the console.
[[nodiscard]] std::string_view to_string(InstanceState state);

}  // namespace mimeo
