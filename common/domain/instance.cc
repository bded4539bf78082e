#include "common/domain/instance.h"

namespace mimeo {

std::string_view to_string(InstanceState state) {
  switch (state) {
    case InstanceState::kRequested:
      return "requested";
    case InstanceState::kPreparing:
      return "preparing";
    case InstanceState::kStarting:
      return "starting";
    case InstanceState::kReady:
      return "ready";
    case InstanceState::kSuspended:
      return "suspended";
    case InstanceState::kDraining:
      return "draining";
    case InstanceState::kStopped:
      return "stopped";
    case InstanceState::kFailed:
      return "failed";
    case InstanceState::kLost:
      return "lost";
  }
  return "unknown";
}

}  // namespace mimeo
