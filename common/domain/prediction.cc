#include "common/domain/prediction.h"

#include <array>

namespace mimeo {
namespace {
constexpr std::array<std::string_view, 7> kWords = {"",       "starting", "processing", "succeeded",
                                                    "failed", "canceled", "aborted"};
}  // namespace

std::string_view to_string(PredictionStatus status) {
  return kWords[static_cast<std::size_t>(status)];
}

Result<PredictionStatus> parse_prediction_status(std::string_view word) {
  for (std::size_t i = 1; i < kWords.size(); ++i) {
    if (kWords[i] == word) return static_cast<PredictionStatus>(i);
  }
  return absl::InvalidArgumentError("not a prediction status");
}

PredictionStatus public_status(ActiveState state, bool was_started) {
  return state == ActiveState::kProcessing || was_started ? PredictionStatus::kProcessing
                                                          : PredictionStatus::kStarting;
}

}  // namespace mimeo
