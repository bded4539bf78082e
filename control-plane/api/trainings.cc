// Creating trainings; predictions.cc reads, lists and cancels them.
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
  if (!plan.version->schema->accepts(InputKind::kTraining)) {
    co_return problem::unprocessable("Version not trainable",
                                     "The specified version does not support training.");
  }
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const store::Target> target,
                            co_await default_pool(api, plan.version));
  plan.target = *target;
  co_return co_await create_and_answer(api, call, std::move(terms), std::move(request),
                                       std::move(plan));
}

}  // namespace mimeo::control
