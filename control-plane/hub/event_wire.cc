#include "control-plane/hub/event_wire.h"

namespace mimeo::control {

std::optional<EventKind> kind_from_wire(v1::Event::Kind kind) {
  switch (kind) {
    case v1::Event::KIND_STARTED:
      return EventKind::kStarted;
    case v1::Event::KIND_OUTPUT:
      return EventKind::kOutput;
    case v1::Event::KIND_LOG:
      return EventKind::kLog;
    case v1::Event::KIND_METRIC:
      return EventKind::kMetric;
    default:
      return std::nullopt;
  }
}

v1::Event to_wire(PredictionId id, const HubEvent& event) {
  v1::Event wire;
  wire.mutable_id()->set_prediction_id(id.str());
  wire.mutable_id()->set_attempt(event.attempt);
  wire.set_seq(event.seq);
  switch (event.kind) {
    case EventKind::kStarted:
      wire.set_kind(v1::Event::KIND_STARTED);
      break;
    case EventKind::kOutput:
      wire.set_kind(v1::Event::KIND_OUTPUT);
      break;
    case EventKind::kLog:
      wire.set_kind(v1::Event::KIND_LOG);
      break;
    case EventKind::kMetric:
      wire.set_kind(v1::Event::KIND_METRIC);
      break;
    case EventKind::kDone:
      break;  // The end of the stream says it.
  }
  wire.set_data(event.data);
  return wire;
}

}  // namespace mimeo::control
