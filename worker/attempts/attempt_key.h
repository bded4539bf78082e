// Names one attempt: the unit that is run, reported and fenced. The same as AttemptId of
// proto/types.proto, as a value that can be a key.

#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "proto/types.pb.h"

namespace mimeo::worker {

struct AttemptKey {
  PredictionId prediction;
  std::uint32_t attempt = 0;

  // kInvalidArgument when the id does not parse.
  [[nodiscard]] static Result<AttemptKey> parse(const v1::AttemptId& id) {
    auto prediction = PredictionId::parse(id.prediction_id());
    if (!prediction.ok()) return prediction.status();
    return AttemptKey{*prediction, id.attempt()};
  }
  [[nodiscard]] v1::AttemptId proto() const {
    v1::AttemptId id;
    id.set_prediction_id(prediction.str());
    id.set_attempt(attempt);
    return id;
  }
  // "<prediction>-<attempt>": names of directories and log lines.
  [[nodiscard]] std::string str() const { return prediction.str() + "-" + std::to_string(attempt); }
  friend auto operator<=>(const AttemptKey&, const AttemptKey&) = default;
};

}  // namespace mimeo::worker

template <>
struct std::hash<mimeo::worker::AttemptKey> {
  std::size_t operator()(const mimeo::worker::AttemptKey& key) const noexcept {
    return std::hash<mimeo::Uuid>{}(key.prediction) * 31 + key.attempt;
  }
};
