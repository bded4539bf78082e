// What the four creates (three of predictions, one of trainings) have in common: headers, body,
// input, the intake, and the answer with or without waiting.

#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "control-plane/api/prediction_request.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/preferences.h"

namespace mimeo::control {

// What the headers of a create ask for.
struct CreateTerms {
  std::optional<SyncWait> wait;
  std::optional<std::chrono::milliseconds> cancel_after;
  std::string idempotency_key;
  SteadyTime begin;  // When the request came in: waiting counts from here.
};
[[nodiscard]] Result<CreateTerms> terms_of(Api& api, const Call& call);

// parse_prediction_request() of the call's body, off the HTTP thread when the body is large.
boost::asio::awaitable<Result<PredictionRequest>> read_request(Api& api, Call& call,
                                                               RequestShape shape);

// What runs, when everything around it is decided.
struct CreatePlan {
  std::shared_ptr<const KnownVersion> version;
  store::Target target;
  std::optional<DeploymentId> deployment;
  std::string deployment_name;  // "owner/name"
  InputKind kind = InputKind::kPrediction;
};
// Checks the input, takes the prediction in, waits if asked, answers.
Answer create_and_answer(Api& api, Call& call, CreateTerms terms, PredictionRequest request,
                         CreatePlan plan);

// What this version runs on: its model's hardware, or the default where that is gone.
boost::asio::awaitable<Result<std::string>> hardware_of(
    Api& api, std::shared_ptr<const KnownVersion> version);

// The pool of this version on its model's hardware.
CatalogReader::Read<store::Target> default_pool(Api& api,
                                                std::shared_ptr<const KnownVersion> version);

}  // namespace mimeo::control
