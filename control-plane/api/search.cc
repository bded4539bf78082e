// GET /search: models by words. Four keys, of which an installation fills one.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control-plane/api/model_views.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr int kDefaultLimit = 20;
constexpr int kHighestLimit = 50;

// Numbers beyond the bounds are clamped, other text is kInvalidArgument.
Result<std::size_t> limit_of(const Call& call) {
  const std::string_view text = call.head->parameter("limit").value_or("");
  if (text.empty()) return static_cast<std::size_t>(kDefaultLimit);
  const auto limit = parse_number<int>(text);
  if (!limit) {
    return absl::InvalidArgumentError("limit must be an integer between 1 and 50");
  }
  return static_cast<std::size_t>(std::clamp(*limit, 1, kHighestLimit));
}

}  // namespace

Answer search(Api& api, Call& call) {
  const std::string query(trimmed(call.head->parameter("query").value_or("")));
  if (query.empty()) co_return problem::search_without_query();
  store::ModelFilter filter;
  MIMEO_CO_ASSIGN_OR_RETURN(filter.limit, limit_of(call));
  filter.viewer = call.viewer();
  filter.text = query;
  auto read = [catalog = &api.parts.catalog, filter] { return catalog->list_models(filter); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Model> models,
                            co_await api.parts.pool.run(std::move(read)));
  std::vector<std::string> descriptions;
  for (const store::Model& model : models) descriptions.push_back(model.description);
  MIMEO_CO_ASSIGN_OR_RETURN(const std::vector<std::string> shown,
                            co_await models_json(api, std::move(models)));
  JsonWriter json;
  json.begin_object().key("query").string(query).key("models").begin_array();
  for (std::size_t i = 0; i < shown.size(); ++i) {
    json.begin_object().key("model").raw(shown[i]).key("metadata").begin_object();
    json.key("generated_description").string(descriptions[i]);
    json.key("tags").begin_array().end_array();
    // Every word occurs in every result: none fits better than another.
    json.key("score").raw("1.0").end_object().end_object();
  }
  json.end_array().key("collections").begin_array().end_array();
  json.key("pages").begin_array().end_array().end_object();
  co_return json_response(200, json.take());
}

}  // namespace mimeo::control
