#include "control-plane/api/model_views.h"

#include <optional>
#include <utility>

#include "control-plane/http/json_codec.h"

namespace mimeo::control {
namespace {

// On a pool thread. What is gone since the model was read is shown as null.
Result<std::string> show(const ApiParts& parts, const Urls& urls, const store::Model& model) {
  std::optional<store::Version> latest;
  if (model.latest_version) {
    Result<store::Version> found = parts.catalog.get_version(*model.latest_version, 0);
    if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
    if (found.ok()) latest = *std::move(found);
  }
  std::optional<store::PredictionView> example;
  if (model.default_example) {
    Result<store::PredictionView> found = parts.predictions.get(*model.default_example, 0);
    if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
    if (found.ok()) example = *std::move(found);
  }
  return model_json(model, latest ? &*latest : nullptr, example ? &*example : nullptr, urls);
}

}  // namespace

boost::asio::awaitable<Result<std::vector<std::string>>> models_json(
    Api& api, std::vector<store::Model> models) {
  auto work = [api = &api, models = std::move(models)]() -> Result<std::vector<std::string>> {
    std::vector<std::string> out;
    out.reserve(models.size());
    for (const store::Model& model : models) {
      MIMEO_ASSIGN_OR_RETURN(std::string text, show(api->parts, api->urls, model));
      out.push_back(std::move(text));
    }
    return out;
  };
  co_return co_await api.parts.pool.run(std::move(work));
}

boost::asio::awaitable<Result<std::string>> one_model_json(Api& api, store::Model model) {
  auto work = [api = &api, model = std::move(model)] { return show(api->parts, api->urls, model); };
  co_return co_await api.parts.pool.run(std::move(work));
}

}  // namespace mimeo::control
