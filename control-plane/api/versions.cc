// /models/{owner}/{name}/versions.
#include <utility>

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

}  // namespace

Answer list_versions(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  std::optional<WallTime> before;
  if (cursor) {
    MIMEO_CO_ASSIGN_OR_RETURN(before, parse_time_position(cursor->position));
  }
  auto read = [catalog = &api.parts.catalog, owner = call.param(0), name = call.param(1),
               viewer = call.viewer(), before]() -> Result<std::vector<store::Version>> {
    MIMEO_ASSIGN_OR_RETURN(const store::Model model, catalog->get_model(owner, name, viewer));
    return catalog->list_versions(model.id, before, kPageSize + 1);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Version> versions,
                            co_await api.parts.pool.run(std::move(read)));
  std::optional<std::string> next;
  if (versions.size() > kPageSize) {
    versions.resize(kPageSize);
    const std::string url = api.urls.api("/models/" + http::percent_encode(call.param(0)) + "/" +
                                         http::percent_encode(call.param(1)) + "/versions");
    const Cursor last{PageDirection::kForward, time_position(versions.back().created_at)};
    next = PageLinks(url, *call.head).to(last);
  }
  std::vector<std::string> results;
  for (const store::Version& version : versions) results.push_back(version_json(version));
  co_return json_response(200, page_json(next, std::nullopt, results));
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

Answer delete_version(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const KnownVersion> version,
                            co_await version_of_path(api, call));
  if (version->model.owner_id != call.viewer()) {
    co_return problem::forbidden("Only the owner of a model can delete its versions.");
  }
  if (version->model.visibility == store::Visibility::kPublic) {
    co_return problem::conflict("Versions of public models cannot be deleted.");
  }
  auto write = [catalog = &api.parts.catalog, id = version->version.id] {
    return catalog->delete_version(id);
  };
  MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.pool.run(std::move(write)));
  api.reader.forget_version(version->version.id);
  api.reader.forget_model(version->model.owner, version->model.name);
  co_return empty_response(202);
}

}  // namespace mimeo::control
