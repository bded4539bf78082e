#include "control-plane/api/model_views.h"

#include <algorithm>
#include <utility>

#include "control-plane/http/json_codec.h"
#include "control-plane/strings.h"

namespace mimeo::control {

namespace {

std::vector<ModelId> ids_of(const std::vector<store::Model>& models) {
  std::vector<ModelId> ids;
  ids.reserve(models.size());
  for (const store::Model& model : models) ids.push_back(model.id);
  return ids;
}

// On a pool thread.
Result<std::string> show_whole(const ApiParts& parts, const Urls& urls, const store::Model& model) {
  MIMEO_ASSIGN_OR_RETURN(const std::vector<store::ModelFacts> facts,
                         parts.discovery.describe_models(ids_of({model}), store::FactsBounds{}));
  return model_json(model, facts.at(0), urls);
}

}  // namespace

boost::asio::awaitable<Result<store::Model>> read_model(Api& api, Call& call) {
  auto read = [catalog = &api.parts.catalog, owner = call.param(0), name = call.param(1),
               viewer = call.viewer()] { return catalog->get_model(owner, name, viewer); };
  co_return co_await api.parts.pool.run(std::move(read));
}

boost::asio::awaitable<Result<store::Model>> read_own_model(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(store::Model model, co_await read_model(api, call));
  if (model.owner_id != call.viewer()) {
    co_return absl::PermissionDeniedError("Only the owner of a model can change it.");
  }
  co_return model;
}

boost::asio::awaitable<Result<std::string>> one_model_json(Api& api, store::Model model) {
  auto work = [api = &api, model = std::move(model)] {
    return show_whole(api->parts, api->urls, model);
  };
  co_return co_await api.parts.pool.run(std::move(work));
}

Result<ListedModels> list_models_json(const ApiParts& parts, const Urls& urls,
                                      const std::vector<store::Model>& models, Overflow overflow) {
  store::FactsBounds bounds;
  bounds.example_bytes = kMaxListedExample;
  bounds.total_bytes = kMaxPageBytes;
  ListedModels listed;
  MIMEO_ASSIGN_OR_RETURN(listed.facts, parts.discovery.describe_models(ids_of(models), bounds));
  listed.texts.reserve(models.size());
  for (std::size_t i = 0; i < models.size(); ++i) {
    const store::ModelFacts& facts = listed.facts.at(i);
    const bool is_left_out = facts.is_cut && overflow == Overflow::kIsEmpty;
    listed.texts.push_back(is_left_out ? std::string() : model_json(models[i], facts, urls));
  }
  return listed;
}

boost::asio::awaitable<Result<std::vector<std::string>>> model_page_texts(
    Api& api, std::vector<store::Model> models, std::optional<Cursor> cursor) {
  const bool is_backward = cursor && cursor->direction == PageDirection::kBackward;
  if (is_backward) std::reverse(models.begin(), models.end());
  auto work = [api = &api, models = std::move(models)] {
    return list_models_json(api->parts, api->urls, models, Overflow::kIsEmpty);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(ListedModels listed, co_await api.parts.pool.run(std::move(work)));
  if (is_backward) std::reverse(listed.texts.begin(), listed.texts.end());
  co_return std::move(listed.texts);
}

std::string model_url(const Api& api, const Call& call, std::string_view suffix) {
  return api.urls.api(concat("/models/", http::percent_encode(call.param(0)), "/",
                             http::percent_encode(call.param(1)), suffix));
}

}  // namespace mimeo::control
