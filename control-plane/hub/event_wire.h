// Events between event_hub.h and proto/event_hub.proto.

#pragma once

#include <optional>

#include "control-plane/predictions/event_hub.h"
#include "proto/event_hub.pb.h"

namespace mimeo::control {

// nullopt for a kind that only a newer process knows.
[[nodiscard]] std::optional<EventKind> kind_from_wire(v1::Event::Kind kind);
[[nodiscard]] v1::Event to_wire(PredictionId id, const HubEvent& event);

}  // namespace mimeo::control
