// A prediction's states and which changes between them are legal. Pure values.
//
// Inside, a prediction that is not terminal has an ActiveState (column active.st); what clients see
// is a PredictionStatus. The transitions are T1 to T14 of docs/life-of-a-prediction.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/status.h"

namespace mimeo {

// Of a prediction without a result. Numbers are stored.
enum class ActiveState : std::uint8_t {
  kQueued = 0,      // Waits for a slot.
  kAssigned = 1,    // Has a slot; the container has not reported that it took the request.
  kProcessing = 2,  // The model runs.
};

// What the API shows. Numbers of the terminal ones are stored in results.status.
enum class PredictionStatus : std::uint8_t {
  kStarting = 1,    // Queued or assigned.
  kProcessing = 2,  // Running.
  kSucceeded = 3,   // Terminal.
  kFailed = 4,      // Terminal; `error` says why.
  kCanceled = 5,    // Terminal: by the user, or its deadline passed after the start.
  kAborted = 6,     // Terminal: its deadline passed before the start.
};

[[nodiscard]] constexpr bool is_terminal(PredictionStatus s) {
  return s >= PredictionStatus::kSucceeded;
}
// The API's word: "starting", "processing", "succeeded", "failed", "canceled", "aborted".
[[nodiscard]] std::string_view to_string(PredictionStatus status);
[[nodiscard]] Result<PredictionStatus> parse_prediction_status(std::string_view word);

// kQueued and kAssigned are both "starting"; `was_started` keeps a retried one at "processing".
[[nodiscard]] PredictionStatus public_status(ActiveState state, bool was_started);

// A set of active states, for compare-and-set.
struct ActiveStates {
  std::uint8_t bits = 0;
  [[nodiscard]] constexpr bool contains(ActiveState s) const {
    return (bits >> static_cast<unsigned>(s) & 1U) != 0;
  }
  static constexpr ActiveStates of(ActiveState s) {
    return {static_cast<std::uint8_t>(1U << static_cast<unsigned>(s))};
  }
  friend constexpr ActiveStates operator|(ActiveStates a, ActiveStates b) {
    return {static_cast<std::uint8_t>(a.bits | b.bits)};
  }
};
inline constexpr ActiveStates kAnyActive{0b111};
inline constexpr ActiveStates kNotStarted{0b011};
inline constexpr ActiveStates kDispatched{0b110};
inline constexpr ActiveStates kOnlyQueued{0b001};

// Who asked for it. Numbers are stored.
enum class PredictionSource : std::uint8_t { kApi = 0, kWeb = 1 };

// Order inside one account's queue for one target. Numbers are stored.
enum class Priority : std::uint8_t { kRealtime = 0, kDefault = 1, kBatch = 2 };

// What happens to a started attempt whose host is lost (never to a model's own failure).
enum class RetryPolicy : std::uint8_t {
  kUnlessStreamed = 0,  // Retry unless output was already delivered to somebody.
  kNever = 1,
};

}  // namespace mimeo
