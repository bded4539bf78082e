// GET /search: models and collections by words. Public ones, and the caller's own private models.

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "control-plane/api/model_views.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr int kDefaultLimit = 20;
constexpr int kHighestLimit = 50;
constexpr std::size_t kLongestQuery = 1'000;
constexpr std::size_t kCollections = 10;

struct Found {
  std::vector<store::SearchHit> hits;
  ListedModels models;  // Of the hits.
  std::vector<store::CollectionHit> collections;
};

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

// On a pool thread.
Result<Found> find(const ApiParts& parts, const Urls& urls, const store::ModelSearch& search) {
  Found found;
  MIMEO_ASSIGN_OR_RETURN(found.hits, parts.discovery.search_models(search));
  std::vector<store::Model> models;
  for (const store::SearchHit& hit : found.hits) models.push_back(hit.model);
  MIMEO_ASSIGN_OR_RETURN(found.models, list_models_json(parts, urls, models, Overflow::kHasLess));
  MIMEO_ASSIGN_OR_RETURN(found.collections, parts.discovery.search_collections(
                                                search.text, search.viewer, kCollections));
  return found;
}

std::string four_decimals(double score) {
  std::array<char, 16> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.4f", score);
  return {text.data(), static_cast<std::size_t>(length)};
}

void write_models(JsonWriter& json, const Found& found) {
  json.key("models").begin_array();
  const std::vector<std::string>& shown = found.models.texts;
  const std::size_t count = texts_that_fit(shown, shown.size(), std::nullopt);
  for (std::size_t i = 0; i < count; ++i) {
    json.begin_object().key("model").raw(shown[i]).key("metadata").begin_object();
    json.key("generated_description").string(found.hits[i].model.description);
    json.key("tags").begin_array();
    for (const std::string& tag : found.models.facts[i].tags) json.string(tag);
    json.end_array().key("score").raw(four_decimals(found.hits[i].score));
    json.end_object().end_object();
  }
  json.end_array();
}

void write_collections(JsonWriter& json, const Found& found) {
  json.key("collections").begin_array();
  for (const store::CollectionHit& hit : found.collections) {
    json.begin_object().key("name").string(hit.collection.name);
    json.key("slug").string(hit.collection.slug);
    json.key("description").string(hit.collection.description).key("models").begin_array();
    for (const std::string& model : hit.models) json.string(model);
    json.end_array().end_object();
  }
  json.end_array();
}

}  // namespace

Answer search(Api& api, Call& call) {
  const std::string query(trimmed(call.head->parameter("query").value_or("")));
  if (query.empty()) co_return problem::search_without_query();
  if (query.size() > kLongestQuery) {
    co_return absl::InvalidArgumentError("query must be at most 1000 bytes long");
  }
  store::ModelSearch search;
  MIMEO_CO_ASSIGN_OR_RETURN(search.limit, limit_of(call));
  search.text = query;
  search.viewer = call.viewer();
  search.include_private = true;
  auto work = [api = &api, search] { return find(api->parts, api->urls, search); };
  const Result<Found> found = co_await api.parts.pool.run(std::move(work));
  if (absl::IsInternal(found.status())) co_return problem::search_failed();
  if (!found.ok()) co_return found.status();
  JsonWriter json;
  json.begin_object().key("query").string(query);
  write_models(json, *found);
  write_collections(json, *found);
  // An installation has no pages of documentation to offer.
  json.key("pages").begin_array().end_array().end_object();
  co_return json_response(200, json.take());
}

}  // namespace mimeo::control
