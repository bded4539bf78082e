// What becomes of an attempt whose host or instance went away under it (section "When a prediction
// is retried" of docs/scheduling.md). Failures of the model itself never come here: the worker
// reports their result.

#pragma once

#include <cstdint>
#include <string>

#include "common/domain/prediction.h"

namespace mimeo::scheduler {

enum class LossKind : std::uint8_t {
  kHandedBack,    // Rejected or drained: the attempt never ran.
  kWorkerLost,    // The machine is silent, or came back without the attempt.
  kInstanceGone,  // The container ended under the attempt and its result never came.
};

struct Loss {
  LossKind kind = LossKind::kWorkerLost;
  bool was_started = false;  // The container took the request.
  bool output_seen = false;  // Output was delivered to somebody.
  RetryPolicy retry = RetryPolicy::kUnlessStreamed;
  std::uint32_t infra_failures = 0;  // Counted before this loss.
  std::uint32_t quick_losses = 0;    // Different workers lost within a minute of starting it,
                                     // this one included.
};

struct RetryDecision {
  enum class Kind : std::uint8_t { kRequeue, kFail };
  Kind kind = Kind::kRequeue;
  std::uint32_t count = 0;  // With kRequeue: what is added to infra_failures.
  std::string error;        // With kFail: text for the user.
};

// `max_retries`: losses that a started prediction survives.
[[nodiscard]] RetryDecision decide_retry(const Loss& loss, std::uint32_t max_retries);

}  // namespace mimeo::scheduler
