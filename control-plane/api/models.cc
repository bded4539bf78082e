// /models: create, read, list, search, change, delete, and README.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/domain/names.h"
#include "control-plane/api/body_fields.h"
#include "control-plane/api/model_views.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 25;
constexpr std::size_t kLongestQuery = 1'000;

Answer show_model(Api& api, store::Model model, int status) {
  MIMEO_CO_ASSIGN_OR_RETURN(std::string text, co_await one_model_json(api, std::move(model)));
  co_return json_response(status, std::move(text));
}

WallTime position_time(const store::Model& model, store::ModelSort sort) {
  if (sort == store::ModelSort::kLatestVersion && model.latest_version_at) {
    return *model.latest_version_at;
  }
  return model.created_at;
}

bool goes_back(const std::optional<Cursor>& cursor) {
  return cursor && cursor->direction == PageDirection::kBackward;
}

// The order of the list. kInvalidArgument for unknown words.
Status read_order(const Call& call, store::ModelFilter& filter) {
  const std::string_view sort = call.head->parameter("sort_by").value_or("");
  if (sort == "model_created_at") {
    filter.sort = store::ModelSort::kCreated;
  } else if (!sort.empty() && sort != "latest_version_created_at") {
    return absl::InvalidArgumentError(
        "sort_by must be \"model_created_at\" or \"latest_version_created_at\"");
  }
  const std::string_view direction = call.head->parameter("sort_direction").value_or("");
  if (direction == "asc") {
    filter.direction = store::SortDirection::kAscending;
  } else if (!direction.empty() && direction != "desc") {
    return absl::InvalidArgumentError("sort_direction must be \"asc\" or \"desc\"");
  }
  return absl::OkStatus();
}

// Public models in their order. A page that is read backward is read in the other order, and
// turned.
Answer list_page(Api& api, Call& call) {
  store::ModelFilter filter;
  filter.viewer = call.viewer();
  filter.limit = kPageSize + 1;
  MIMEO_CO_RETURN_IF_ERROR(read_order(call, filter));
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  if (cursor) {
    MIMEO_CO_ASSIGN_OR_RETURN(filter.after, parse_row_position(cursor->position));
  }
  if (goes_back(cursor)) {
    const bool is_descending = filter.direction == store::SortDirection::kDescending;
    filter.direction =
        is_descending ? store::SortDirection::kAscending : store::SortDirection::kDescending;
  }
  auto read = [catalog = &api.parts.catalog, filter] { return catalog->list_models(filter); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Model> models,
                            co_await api.parts.pool.run(std::move(read)));
  if (goes_back(cursor)) std::reverse(models.begin(), models.end());
  const PageLinks links(api.urls.api("/models"), *call.head);
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<std::string> texts,
                            co_await model_page_texts(api, models, cursor));
  const auto position_of = [sort = filter.sort](const store::Model& model) {
    return row_position(position_time(model, sort), model.id);
  };
  co_return json_response(
      200, page_of(std::move(models), std::move(texts), kPageSize, cursor, links, position_of));
}

constexpr std::string_view kSearchCursor = "score-";  // Cursors of the list are none of a search.

// Scores have four decimals: a position is the score in ten thousandths, and the model.
std::string hit_position(const store::SearchHit& hit) {
  return concat(kSearchCursor, std::llround(hit.score * 10'000), ".", hit.model.id);
}

Result<store::ModelSearch::Start> start_of(const Cursor& cursor) {
  std::string_view position = cursor.position;
  if (!consume_prefix(&position, kSearchCursor)) return bad_cursor();
  const auto dot = position.find('.');
  if (dot == std::string_view::npos) return bad_cursor();
  const auto score = parse_number<std::int32_t>(position.substr(0, dot));
  const auto model = parse_number<ModelId>(position.substr(dot + 1));
  if (!score || !model) return bad_cursor();
  store::ModelSearch::Start start;
  start.score = *score / 10'000.0;
  start.id = *model;
  start.is_backward = cursor.direction == PageDirection::kBackward;
  return start;
}

// Public models that fit the text, best first. Links hold the text: clients follow them with GET.
Answer search_page(Api& api, Call& call, std::string text) {
  store::ModelSearch search;
  search.text = std::move(text);
  search.limit = kPageSize + 1;
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  if (cursor) {
    MIMEO_CO_ASSIGN_OR_RETURN(search.start, start_of(*cursor));
  }
  auto read = [discovery = &api.parts.discovery, search] {
    return discovery->search_models(search);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::SearchHit> hits,
                            co_await api.parts.pool.run(std::move(read)));
  const PageLinks links(api.urls.api("/models"), *call.head, search.text);
  std::vector<store::Model> models;
  for (const store::SearchHit& hit : hits) models.push_back(hit.model);
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<std::string> texts,
                            co_await model_page_texts(api, std::move(models), cursor));
  co_return json_response(
      200, page_of(std::move(hits), std::move(texts), kPageSize, cursor, links, hit_position));
}

// The list when there is no text: everything fits.
Answer list_or_search(Api& api, Call& call, std::string text) {
  if (text.size() > kLongestQuery) {
    co_return absl::InvalidArgumentError("The query must be at most 1000 bytes long");
  }
  if (text.empty()) co_return co_await list_page(api, call);
  store::ModelFilter order;  // A search has its own; unknown words are refused all the same.
  MIMEO_CO_RETURN_IF_ERROR(read_order(call, order));
  co_return co_await search_page(api, call, std::move(text));
}

std::string query_parameter(const Call& call) {
  return std::string(trimmed(call.head->parameter("query").value_or("")));
}

store::Model model_of(BodyFields& fields, const store::Account& account) {
  store::Model model;
  model.owner_id = account.id;
  model.owner = fields.required_text("owner");
  model.name = fields.required_text("name");
  const std::string visibility = fields.required_text("visibility");
  model.sku = fields.required_text("hardware");
  model.description = fields.text("description").value_or("");
  model.github_url = fields.text("github_url").value_or("");
  model.paper_url = fields.text("paper_url").value_or("");
  model.license_url = fields.text("license_url").value_or("");
  model.cover_image_url = fields.text("cover_image_url").value_or("");
  model.visibility =
      visibility == "public" ? store::Visibility::kPublic : store::Visibility::kPrivate;
  if (!visibility.empty() && visibility != "public" && visibility != "private") {
    fields.add_problem("visibility", concat("\"", visibility, "\" is not a valid choice."));
  }
  if (const Status name = check_name(model.name); !model.name.empty() && !name.ok()) {
    fields.add_problem("name", message_of(name));
  }
  return model;
}

// Text in the body of a QUERY: raw, or one JSON string in quotes, whatever the media type says.
std::string query_text(const std::string& body) {
  const auto first = body.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || body[first] != '"') return body;
  const nlohmann::json parsed = nlohmann::json::parse(body, nullptr, false);
  return parsed.is_string() ? parsed.get<std::string>() : body;
}

}  // namespace

Answer list_models(Api& api, Call& call) {
  return list_or_search(api, call, query_parameter(call));
}

// The body counts; without one the parameter does, which the links of its pages have.
Answer query_models(Api& api, Call& call) {
  std::string text(trimmed(query_text(call.body)));
  if (text.empty()) text = query_parameter(call);
  return list_or_search(api, call, std::move(text));
}

Answer create_model(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const std::vector<Hardware>> hardware,
                            co_await api.reader.hardware());
  store::Model model = model_of(fields, call.account());
  call.audit.target = concat(model.owner, "/", model.name);
  if (!model.sku.empty()) check_sku(fields, model.sku, *hardware);
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  if (model.owner != call.account().username) {
    co_return problem::forbidden(
        concat("You cannot create a model for the owner \"", model.owner, "\"."));
  }
  model.created_at = api.parts.clock.now();
  // Two creates at once may both be the last one: no harm.
  auto count = [discovery = &api.parts.discovery, owner = model.owner_id] {
    return discovery->count_models(owner);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const std::int64_t models,
                            co_await api.parts.pool.run(std::move(count)));
  auto write = [catalog = &api.parts.catalog, model] { return catalog->create_model(model); };
  if (models >= store::kMostModels) {
    co_return problem::conflict("An account can have at most 1,000 models.");
  }
  Result<store::Model> created = co_await api.parts.pool.run(std::move(write));
  if (absl::IsAlreadyExists(created.status())) co_return problem::model_exists();
  if (!created.ok()) co_return created.status();
  co_return co_await show_model(api, *std::move(created), 201);
}

Answer get_model(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(store::Model model, co_await read_model(api, call));
  co_return co_await show_model(api, std::move(model), 200);
}

Answer update_model(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Model model, co_await read_own_model(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  store::ModelChange change;
  // Null empties a field; a field that is not named stays.
  const auto take = [&fields](const char* name, std::optional<std::string>& into) {
    if (fields.has(name)) into = fields.text(name).value_or("");
  };
  take("description", change.description);
  take("readme", change.readme);
  take("github_url", change.github_url);
  take("paper_url", change.paper_url);
  take("weights_url", change.weights_url);
  take("license_url", change.license_url);
  fields.close({"description", "readme", "github_url", "paper_url", "weights_url", "license_url"});
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  auto write = [catalog = &api.parts.catalog, id = model.id, change] {
    return catalog->update_model(id, change);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(store::Model changed, co_await api.parts.pool.run(std::move(write)));
  api.reader.forget_model(model.owner, model.name);
  co_return co_await show_model(api, std::move(changed), 200);
}

Answer delete_model(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Model model, co_await read_own_model(api, call));
  auto write = [catalog = &api.parts.catalog, id = model.id] { return catalog->delete_model(id); };
  MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.pool.run(std::move(write)));
  api.reader.forget_model(model.owner, model.name);
  co_return empty_response(204);
}

Answer get_readme(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Model model, co_await read_model(api, call));
  if (model.readme.empty()) co_return problem::not_found();
  http::Response response = empty_response(200);
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.body = model.readme;
  co_return response;
}

}  // namespace mimeo::control
