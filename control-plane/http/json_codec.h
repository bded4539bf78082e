// The API's objects as JSON text. What users gave us (input, output, metrics, schemas) is JSON text
// already and is spliced in, not parsed: answering a poll costs little more than copying.

#pragma once

#include <optional>
#include <string>

#include "common/domain/resources.h"
#include "common/store/catalog.h"
#include "common/store/discovery.h"
#include "common/store/files.h"
#include "common/store/predictions.h"
#include "control-plane/http/urls.h"

namespace mimeo::control {

// Predictions and trainings.
[[nodiscard]] std::string prediction_json(const store::PredictionView& view, const Urls& urls);
[[nodiscard]] std::string version_json(const store::Version& version);
[[nodiscard]] std::string model_json(const store::Model& model, const store::ModelFacts& facts,
                                     const Urls& urls);
// The author's cover image, else an output file of the default example, else an input file of it,
// else empty.
[[nodiscard]] std::string cover_image_url(const store::Model& model, const store::ModelFacts& facts,
                                          const Urls& urls);
[[nodiscard]] std::string account_json(const store::Account& account);
// `created_by` may be null.
[[nodiscard]] std::string deployment_json(const store::Deployment& deployment,
                                          const store::Account* created_by);
[[nodiscard]] std::string hardware_json(const Hardware& hardware);
[[nodiscard]] std::string file_json(const store::File& file, const Urls& urls);

// `webhook_events` of who names none: the bits of store::WebhookEvent for output and completed.
inline constexpr std::uint8_t kWebhookDefault = 2 | 8;

}  // namespace mimeo::control
