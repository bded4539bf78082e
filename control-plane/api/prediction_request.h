// The body of a create of a prediction or training, checked apart from what depends on the version.
// Pure: no store, no clock.

#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "control-plane/api/api.h"
#include "control-plane/validation/input_validator.h"

namespace mimeo::control {

// Which of the create endpoints: they differ in keys.
enum class RequestShape : std::uint8_t {
  kByVersion,    // `version` is required, no other keys than the known ones.
  kByName,       // The path says what runs: no `version`.
  kForTraining,  // `destination` instead of `version`; unknown keys are tolerated.
};

struct PredictionRequest {
  std::string version;      // kByVersion.
  std::string destination;  // kForTraining; empty when missing or no text.
  nlohmann::json input;
  std::string webhook;
  std::uint8_t webhook_events = 0;     // 0 without a webhook.
  std::vector<InputProblem> problems;  // Not empty: refuse with 422.
  std::size_t size_bytes = 0;          // Of the whole body.
};

// kInvalidArgument when the text is no JSON. A NUL character is a problem of the input (422).
[[nodiscard]] Result<PredictionRequest> parse_prediction_request(std::string_view body,
                                                                 RequestShape shape,
                                                                 WebhookSchemes schemes);

struct CheckedInput {
  std::string input;         // JSON text.
  std::string public_input;  // Redacted; empty = same.
  std::vector<InputProblem> problems;
};
[[nodiscard]] CheckedInput check_input(const VersionSchema& schema, InputKind kind,
                                       const nlohmann::json& input);

}  // namespace mimeo::control
