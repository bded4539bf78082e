// Decides what is reported about an attempt from how its run ended, whether somebody wanted it
// canceled, and what became of its container. Pure.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "proto/types.pb.h"
#include "worker/cog/transcript.h"

namespace mimeo::worker {

// Who asked for the end first.
enum class CancelReason : std::uint8_t {
  kNone,
  kUser,
  kRunLimit,
  kDeadline,  // The user's too, said when the prediction was created: canceled, not failed.
};

// What became of a container whose server was lost.
struct ContainerEnd {
  enum class Kind : std::uint8_t {
    kExited,       // The daemon said so, or its process is gone.
    kUnreachable,  // It does not answer any more.
    kAlive,        // Its server still answers: only this connection broke.
  };
  Kind kind = Kind::kExited;
  std::string reason;    // For people; may be empty.
  std::string log_tail;  // May be empty.
};

struct Ending {
  v1::Outcome outcome = v1::OUTCOME_FAILED;
  v1::FailureCause cause = v1::FAILURE_CAUSE_UNSPECIFIED;
  std::string error;
};

// `lost` is set if and only if end.kind is kLost. `end.kind` must not be kRefused.
[[nodiscard]] Ending ending_of(const cog::RunEnd& end, CancelReason cancel,
                               std::chrono::milliseconds run_limit,
                               const std::optional<ContainerEnd>& lost);

}  // namespace mimeo::worker
