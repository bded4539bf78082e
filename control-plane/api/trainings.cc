// Creating trainings; predictions.cc reads, lists and cancels them.
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/domain/names.h"
#include "control-plane/api/creates.h"
#include "control-plane/http/problem.h"

namespace mimeo::control {
namespace {

// Whether the caller owns a model of this name to put the new version into.
boost::asio::awaitable<Result<bool>> is_destination(Api& api, Call& call, std::string text) {
  const auto names = split_model_name(text);
  if (!names.ok()) co_return false;
  auto model = co_await api.reader.model(names->first, names->second, call.viewer());
  if (absl::IsNotFound(model.status())) co_return false;
  if (!model.ok()) co_return model.status();
  co_return (*model)->owner_id == call.viewer();
}

// Weights that Cog keeps beside the image would be missing from what a training makes.
bool has_managed_weights(const store::Version& version) {
  const auto config = nlohmann::json::parse(version.config, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return false;
  const auto weights = config.find("weights");
  return weights != config.end() && weights->is_array() && !weights->empty();
}

// Why this version cannot be trained here.
std::optional<http::Response> refusal(const Api& api, const KnownVersion& version) {
  if (!version.schema->accepts(InputKind::kTraining)) {
    return problem::unprocessable("Version not trainable",
                                  "The specified version does not support training.");
  }
  if (api.parts.trainings == nullptr) {
    return problem::unprocessable("Trainings not available",
                                  "Trainings need an image registry, and this installation has "
                                  "none.");
  }
  if (has_managed_weights(version.version)) {
    return problem::unprocessable("Version not trainable",
                                  "Versions with managed weights cannot be trained.");
  }
  return std::nullopt;
}

// Instances in training mode, which serve nothing else.
boost::asio::awaitable<Result<store::Target>> training_pool(
    Api& api, std::shared_ptr<const KnownVersion> version) {
  MIMEO_CO_ASSIGN_OR_RETURN(std::string sku, co_await hardware_of(api, version));
  auto ensure = [trainings = api.parts.trainings, id = version->version.id, sku = std::move(sku),
                 most = api.settings.training_max_instances] {
    return trainings->ensure_training_pool(id, sku, most);
  };
  auto target = co_await api.parts.pool.run(std::move(ensure));
  co_return target;
}

}  // namespace

Answer create_training(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(CreateTerms terms, terms_of(api, call));
  const Result<VersionId> id = VersionId::parse(call.param(2));
  if (!id.ok()) co_return problem::not_found();
  CreatePlan plan;
  plan.kind = InputKind::kTraining;
  MIMEO_CO_ASSIGN_OR_RETURN(plan.version, co_await api.reader.version(*id, call.viewer()));
  if (plan.version->model.owner != call.param(0) || plan.version->model.name != call.param(1)) {
    co_return problem::not_found();
  }
  MIMEO_CO_ASSIGN_OR_RETURN(PredictionRequest request,
                            co_await read_request(api, call, RequestShape::kForTraining));
  if (!request.problems.empty()) co_return problem::input_invalid(request.problems);
  MIMEO_CO_ASSIGN_OR_RETURN(const bool has_destination,
                            co_await is_destination(api, call, request.destination));
  if (!has_destination) co_return problem::destination_not_found();
  if (auto refused = refusal(api, *plan.version)) co_return std::move(*refused);
  MIMEO_CO_ASSIGN_OR_RETURN(plan.target, co_await training_pool(api, plan.version));
  co_return co_await create_and_answer(api, call, std::move(terms), std::move(request),
                                       std::move(plan));
}

}  // namespace mimeo::control
