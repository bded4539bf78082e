// /models/{owner}/{name}/versions.
#include <utility>

#include "control-plane/api/model_views.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 25;

// The version of the path, if it belongs to the model of the path and the caller may see it.
CatalogReader::Read<KnownVersion> version_of_path(Api& api, Call& call) {
  const Result<VersionId> id = VersionId::parse(call.param(2));
  if (!id.ok()) co_return absl::NotFoundError("no such version");
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const KnownVersion> version,
                            co_await api.reader.version(*id, call.viewer()));
  if (version->model.owner != call.param(0) || version->model.name != call.param(1)) {
    co_return absl::NotFoundError("the version belongs to another model");
  }
  co_return version;
}

// On a pool thread. Those of an official model are not shown: clients then call its endpoint
// without a version.
Result<std::vector<store::Version>> read_page(
    const ApiParts& parts, const std::string& owner, const std::string& name, AccountId viewer,
    const std::optional<store::PageStart<VersionId>>& start) {
  MIMEO_ASSIGN_OR_RETURN(const store::Model model, parts.catalog.get_model(owner, name, viewer));
  MIMEO_ASSIGN_OR_RETURN(const bool is_official, parts.discovery.is_official(model.id));
  if (is_official) return std::vector<store::Version>();
  return parts.discovery.page_versions(model.id, start, kPageSize + 1);
}

}  // namespace

Answer list_versions(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  std::optional<store::PageStart<VersionId>> start;
  if (cursor) {
    MIMEO_CO_ASSIGN_OR_RETURN(const auto position, parse_key_position(cursor->position));
    const Result<VersionId> id = VersionId::parse(position.second);
    if (!id.ok()) co_return bad_cursor();
    start.emplace();
    start->at = position.first;
    start->key = *id;
    start->is_backward = cursor->direction == PageDirection::kBackward;
  }
  auto read = [parts = &api.parts, owner = call.param(0), name = call.param(1),
               viewer = call.viewer(),
               start] { return read_page(*parts, owner, name, viewer, start); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Version> versions,
                            co_await api.parts.pool.run(std::move(read)));
  const PageLinks links(model_url(api, call, "/versions"), *call.head);
  std::vector<std::string> texts;
  for (const store::Version& version : versions) texts.push_back(version_json(version));
  const auto position_of = [](const store::Version& version) {
    return key_position(version.created_at, version.id.hex());
  };
  co_return json_response(
      200, page_of(std::move(versions), std::move(texts), kPageSize, cursor, links, position_of));
}

Answer get_version(Api& api, Call& call) {
  const auto version = co_await version_of_path(api, call);
  if (absl::IsNotFound(version.status())) {
    const auto refused =
        co_await api.reader.refused_push(call.param(0), call.param(1), call.viewer());
    if (refused.ok() && (*refused)->id.hex() == call.param(2)) {
      co_return problem::push_refused((*refused)->image_digest, (*refused)->refusal);
    }
  }
  if (!version.ok()) co_return version.status();
  co_return json_response(200, version_json((*version)->version));
}

// The refusals that take nothing but the model are decided here, the others with the deletion.
// What the version left is removed in the background (version_eraser.h).
Answer delete_version(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const KnownVersion> version,
                            co_await version_of_path(api, call));
  if (version->model.owner_id != call.viewer()) {
    co_return problem::forbidden("Only the owner of a model can delete its versions.");
  }
  auto write = [deletions = &api.parts.deletions, id = version->version.id,
                now = api.parts.clock.now()] { return deletions->begin_version_deletion(id, now); };
  MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.pool.run(std::move(write)));
  api.reader.forget_version(version->version.id);
  api.reader.forget_model(version->model.owner, version->model.name);
  co_return empty_response(202);
}

}  // namespace mimeo::control
