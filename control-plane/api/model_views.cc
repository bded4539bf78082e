#include "control-plane/api/model_views.h"

#include <utility>

#include "control-plane/http/json_codec.h"
#include "control-plane/strings.h"

namespace mimeo::control {

Result<std::vector<std::string>> show_models(const ApiParts& parts, const Urls& urls,
                                             const std::vector<store::Model>& models) {
  std::vector<ModelId> ids;
  ids.reserve(models.size());
  for (const store::Model& model : models) ids.push_back(model.id);
  MIMEO_ASSIGN_OR_RETURN(const std::vector<store::ModelFacts> facts,
                         parts.discovery.describe_models(ids));
  std::vector<std::string> out;
  out.reserve(models.size());
  for (std::size_t i = 0; i < models.size(); ++i) {
    out.push_back(model_json(models[i], facts.at(i), urls));
  }
  return out;
}

boost::asio::awaitable<Result<std::vector<std::string>>> models_json(
    Api& api, std::vector<store::Model> models) {
  auto work = [api = &api, models = std::move(models)] {
    return show_models(api->parts, api->urls, models);
  };
  co_return co_await api.parts.pool.run(std::move(work));
}

boost::asio::awaitable<Result<std::string>> one_model_json(Api& api, store::Model model) {
  std::vector<store::Model> models;
  models.push_back(std::move(model));
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<std::string> shown,
                            co_await models_json(api, std::move(models)));
  co_return std::move(shown.front());
}

std::string model_url(const Api& api, const Call& call, std::string_view suffix) {
  return api.urls.api(concat("/models/", http::percent_encode(call.param(0)), "/",
                             http::percent_encode(call.param(1)), suffix));
}

}  // namespace mimeo::control
