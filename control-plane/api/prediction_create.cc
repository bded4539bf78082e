// The three ways to create a prediction: by version, by model, by deployment.

#include <utility>

#include "common/domain/names.h"
#include "control-plane/api/creates.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

using Version = std::shared_ptr<const KnownVersion>;

// The newest version of a model that the viewer may run.
CatalogReader::Read<KnownVersion> latest_version(Api& api, std::string owner, std::string name,
                                                 AccountId viewer) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const store::Model> model,
                            co_await api.reader.model(std::move(owner), std::move(name), viewer));
  if (!model->latest_version) co_return absl::NotFoundError("the model has no version");
  co_return co_await api.reader.version(*model->latest_version, viewer);
}

// "<64 hex>", "owner/name:<64 hex>" or "owner/name". kNotFound for everything else too: clients
// know one answer for a version that they cannot have.
CatalogReader::Read<KnownVersion> resolve(Api& api, std::string text, AccountId viewer) {
  const auto colon = text.find(':');
  const std::string model = colon == std::string::npos ? text : text.substr(0, colon);
  if (text.find('/') == std::string::npos) {
    const Result<VersionId> id = VersionId::parse(text);
    if (!id.ok()) co_return absl::NotFoundError("no such version");
    co_return co_await api.reader.version(*id, viewer);
  }
  const auto names = split_model_name(model);
  if (!names.ok()) co_return absl::NotFoundError("no such model");
  if (colon == std::string::npos) {
    co_return co_await latest_version(api, names->first, names->second, viewer);
  }
  const Result<VersionId> id = VersionId::parse(std::string_view(text).substr(colon + 1));
  if (!id.ok()) co_return absl::NotFoundError("no such version");
  MIMEO_CO_ASSIGN_OR_RETURN(Version version, co_await api.reader.version(*id, viewer));
  if (version->model.owner != names->first || version->model.name != names->second) {
    co_return absl::NotFoundError("the version belongs to another model");
  }
  co_return version;
}

}  // namespace

Answer create_prediction(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(CreateTerms terms, terms_of(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(PredictionRequest request,
                            co_await read_request(api, call, RequestShape::kByVersion));
  if (!request.problems.empty()) co_return problem::input_invalid(request.problems);
  Result<Version> version = co_await resolve(api, request.version, call.viewer());
  if (absl::IsNotFound(version.status())) co_return problem::invalid_version();
  if (!version.ok()) co_return version.status();

  CreatePlan plan;
  plan.version = *std::move(version);
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const store::Target> target,
                            co_await default_pool(api, plan.version));
  plan.target = *target;
  co_return co_await create_and_answer(api, call, std::move(terms), std::move(request),
                                       std::move(plan));
}

Answer create_model_prediction(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(CreateTerms terms, terms_of(api, call));
  CreatePlan plan;
  const Result<Version> version =
      co_await latest_version(api, call.param(0), call.param(1), call.viewer());
  if (absl::IsNotFound(version.status())) {
    const auto refused =
        co_await api.reader.refused_push(call.param(0), call.param(1), call.viewer());
    if (refused.ok()) {
      co_return problem::push_refused((*refused)->image_digest, (*refused)->refusal);
    }
  }
  if (!version.ok()) co_return version.status();
  plan.version = *version;
  MIMEO_CO_ASSIGN_OR_RETURN(PredictionRequest request,
                            co_await read_request(api, call, RequestShape::kByName));
  if (!request.problems.empty()) co_return problem::input_invalid(request.problems);
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const store::Target> target,
                            co_await default_pool(api, plan.version));
  plan.target = *target;
  co_return co_await create_and_answer(api, call, std::move(terms), std::move(request),
                                       std::move(plan));
}

Answer create_deployment_prediction(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(CreateTerms terms, terms_of(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(
      const std::shared_ptr<const KnownDeployment> known,
      co_await api.reader.deployment(call.param(0), call.param(1), call.viewer()));
  const store::Deployment& deployment = known->deployment;
  MIMEO_CO_ASSIGN_OR_RETURN(PredictionRequest request,
                            co_await read_request(api, call, RequestShape::kByName));
  if (!request.problems.empty()) co_return problem::input_invalid(request.problems);
  if (deployment.current.max_instances == 0) {
    co_return problem::unprocessable("Deployment disabled",
                                     "This deployment has max_instances set to 0 and takes no "
                                     "predictions.");
  }
  CreatePlan plan;
  // A deployment goes on when the model behind it was made private.
  MIMEO_CO_ASSIGN_OR_RETURN(plan.version,
                            co_await api.reader.any_version(deployment.current.version));
  plan.target = known->target;
  plan.deployment = deployment.id;
  plan.deployment_name = concat(deployment.owner, "/", deployment.name);
  co_return co_await create_and_answer(api, call, std::move(terms), std::move(request),
                                       std::move(plan));
}

}  // namespace mimeo::control
