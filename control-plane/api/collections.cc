// GET /collections and GET /collections/{slug}. Operators make them (mimeo collection).

#include <utility>

#include "control-plane/api/model_views.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 100;

void write_names(JsonWriter& json, const store::Collection& collection) {
  json.key("name").string(collection.name).key("slug").string(collection.slug);
  json.key("description").string(collection.description);
}

struct Shown {
  store::Collection collection;
  std::vector<std::string> models;
};

// On a pool thread.
Result<Shown> read_collection(const ApiParts& parts, const Urls& urls, const std::string& slug,
                              AccountId viewer) {
  Shown shown;
  MIMEO_ASSIGN_OR_RETURN(shown.collection, parts.discovery.get_collection(slug));
  MIMEO_ASSIGN_OR_RETURN(const std::vector<store::Model> models,
                         parts.discovery.list_collection_models(shown.collection.id, viewer));
  MIMEO_ASSIGN_OR_RETURN(ListedModels listed,
                         list_models_json(parts, urls, models, Overflow::kHasLess));
  shown.models = std::move(listed.texts);
  return shown;
}

}  // namespace

Answer list_collections(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  const bool is_backward = cursor && cursor->direction == PageDirection::kBackward;
  std::string after;
  if (cursor) after = cursor->position;
  auto read = [discovery = &api.parts.discovery, after, is_backward] {
    return discovery->list_collections(after, is_backward, kPageSize + 1);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Collection> collections,
                            co_await api.parts.pool.run(std::move(read)));
  const PageLinks links(api.urls.api("/collections"), *call.head);
  const PageEnds ends = end_page(collections, kPageSize, cursor, links,
                                 [](const store::Collection& c) { return c.slug; });
  std::vector<std::string> results;
  for (const store::Collection& collection : collections) {
    JsonWriter json;
    json.begin_object();
    write_names(json, collection);
    json.end_object();
    results.push_back(json.take());
  }
  co_return json_response(200, page_json(ends.next, ends.previous, results));
}

Answer get_collection(Api& api, Call& call) {
  auto work = [api = &api, slug = call.param(0), viewer = call.viewer()] {
    return read_collection(api->parts, api->urls, slug, viewer);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const Shown shown, co_await api.parts.pool.run(std::move(work)));
  JsonWriter json;
  json.begin_object();
  write_names(json, shown.collection);
  json.key("full_description").string_or_null(shown.collection.full_description);
  json.key("models").begin_array();
  for (const std::string& model : shown.models) json.raw(model);
  json.end_array().end_object();
  co_return json_response(200, json.take());
}

}  // namespace mimeo::control
