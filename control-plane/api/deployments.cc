// /deployments. What was sent comes back exactly as sent: configuration tools compare.

#include <utility>

#include "common/domain/names.h"
#include "control-plane/api/body_fields.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kPageSize = 25;
constexpr std::int32_t kHighestMin = 5;
constexpr std::int32_t kHighestMax = 20;
constexpr std::chrono::days kStopHistory{7};  // How far back a stop looks for what still runs.

// The caller's own deployment; everybody else's is not there.
boost::asio::awaitable<Result<store::Deployment>> read_own(Api& api, Call& call) {
  auto read = [catalog = &api.parts.catalog, owner = call.param(0), name = call.param(1)] {
    return catalog->get_deployment(owner, name);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(store::Deployment deployment,
                            co_await api.parts.pool.run(std::move(read)));
  if (deployment.owner_id != call.viewer()) co_return absl::NotFoundError("no such deployment");
  co_return deployment;
}

// An account that is gone is shown as null.
boost::asio::awaitable<Result<std::string>> show(Api& api, store::Deployment deployment) {
  auto created_by = co_await api.reader.account(deployment.current.created_by);
  if (!created_by.ok() && !absl::IsNotFound(created_by.status())) co_return created_by.status();
  const store::Account* account = created_by.ok() ? created_by->get() : nullptr;
  co_return deployment_json(deployment, account);
}

// The version that `text` names, if it is one of this model that the caller may run; notes a
// problem otherwise.
boost::asio::awaitable<Result<std::shared_ptr<const KnownVersion>>> check_version(
    Api& api, BodyFields* fields, std::string text, std::string model, AccountId viewer) {
  std::shared_ptr<const KnownVersion> none;
  const Result<VersionId> id = VersionId::parse(text);
  Result<std::shared_ptr<const KnownVersion>> version = none;
  if (id.ok()) version = co_await api.reader.version(*id, viewer);
  if (!version.ok() && !absl::IsNotFound(version.status())) co_return version.status();
  const bool is_found = version.ok() && *version != nullptr;
  if (is_found && concat((*version)->model.owner, "/", (*version)->model.name) == model) {
    co_return *version;
  }
  fields->add_problem("version", concat("The version ", text, " does not exist in the model ",
                                        model, ", or you are not permitted to use it."));
  co_return none;
}

void check_bounds(BodyFields& fields, std::int32_t low, std::int32_t high) {
  if (low > high) {
    fields.add_problem("min_instances", "min_instances must not be greater than max_instances.");
  }
}

// The body's own fields, apart from model and version.
store::Deployment deployment_of(BodyFields& fields, const store::Account& account,
                                const std::vector<Hardware>& hardware) {
  store::Deployment deployment;
  deployment.owner_id = account.id;
  deployment.owner = account.username;
  deployment.name = fields.required_text("name");
  if (deployment.name.starts_with(account.username + "/")) {
    deployment.name.erase(0, account.username.size() + 1);  // As people type it.
  }
  if (const Status name = check_name(deployment.name); !deployment.name.empty() && !name.ok()) {
    fields.add_problem("name", message_of(name));
  }
  store::Release& release = deployment.current;
  release.number = 1;
  release.created_by = account.id;
  release.sku = fields.required_text("hardware");
  if (!release.sku.empty()) check_sku(fields, release.sku, hardware);
  release.min_instances = fields.required_integer("min_instances", 0, kHighestMin);
  release.max_instances = fields.required_integer("max_instances", 0, kHighestMax);
  if (fields.problems().empty()) check_bounds(fields, release.min_instances, release.max_instances);
  return deployment;
}

// Cancels what is queued or runs, after max_instances became 0.
boost::asio::awaitable<void> cancel_all(Api* api, store::PredictionFilter filter) {
  while (true) {
    auto read = [store = &api->parts.predictions, filter] { return store->list(filter); };
    const auto page = co_await api->parts.pool.run(std::move(read));
    if (!page.ok()) co_return;
    for (const store::PredictionView& view : *page) {
      if (is_terminal(view.status)) continue;
      (void)co_await api->parts.intake.cancel(view.id, filter.account);
    }
    if (page->size() < filter.limit) co_return;
    filter.before = page->back().id;
  }
}

}  // namespace

Answer list_deployments(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::optional<Cursor> cursor, cursor_of(*call.head));
  std::optional<store::PageStart<DeploymentId>> start;
  if (cursor) {
    MIMEO_CO_ASSIGN_OR_RETURN(const auto position, parse_row_position(cursor->position));
    start.emplace();
    start->at = position.first;
    start->key = position.second;
    start->is_backward = cursor->direction == PageDirection::kBackward;
  }
  auto read = [discovery = &api.parts.discovery, owner = call.viewer(), start] {
    return discovery->page_deployments(owner, start, kPageSize + 1);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<store::Deployment> deployments,
                            co_await api.parts.pool.run(std::move(read)));
  const PageLinks links(api.urls.api("/deployments"), *call.head);
  const PageEnds ends =
      end_page(deployments, kPageSize, cursor, links, [](const store::Deployment& deployment) {
        return row_position(deployment.created_at, deployment.id);
      });
  std::vector<std::string> results;
  for (store::Deployment& deployment : deployments) {
    MIMEO_CO_ASSIGN_OR_RETURN(std::string text, co_await show(api, std::move(deployment)));
    results.push_back(std::move(text));
  }
  co_return json_response(200, page_json(ends.next, ends.previous, results));
}

Answer create_deployment(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const std::vector<Hardware>> hardware,
                            co_await api.reader.hardware());
  store::Deployment deployment = deployment_of(fields, call.account(), *hardware);
  call.audit.target = concat(deployment.owner, "/", deployment.name);
  const std::string model = fields.required_text("model");
  const std::string version_text = fields.required_text("version");
  std::shared_ptr<const KnownVersion> version;
  if (!model.empty() && !version_text.empty()) {
    MIMEO_CO_ASSIGN_OR_RETURN(
        version, co_await check_version(api, &fields, version_text, model, call.viewer()));
  }
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());
  deployment.model = version->model.id;
  deployment.model_owner = version->model.owner;
  deployment.model_name = version->model.name;
  deployment.current.version = version->version.id;
  deployment.created_at = deployment.current.created_at = api.parts.clock.now();
  auto write = [catalog = &api.parts.catalog, deployment] {
    return catalog->create_deployment(deployment);
  };
  Result<store::Deployment> created = co_await api.parts.pool.run(std::move(write));
  if (absl::IsAlreadyExists(created.status())) {
    co_return problem::conflict("A deployment with that name and owner already exists.");
  }
  if (!created.ok()) co_return created.status();
  api.reader.forget_deployment(created->owner, created->name);
  api.parts.scheduler.target_changed(created->target);
  MIMEO_CO_ASSIGN_OR_RETURN(std::string text, co_await show(api, *std::move(created)));
  co_return json_response(200, std::move(text));
}

Answer get_deployment(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(store::Deployment deployment, co_await read_own(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(std::string text, co_await show(api, std::move(deployment)));
  co_return json_response(200, std::move(text));
}

Answer update_deployment(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Deployment before, co_await read_own(api, call));
  MIMEO_CO_ASSIGN_OR_RETURN(BodyFields fields, BodyFields::parse(call.body));
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const std::vector<Hardware>> hardware,
                            co_await api.reader.hardware());
  store::DeploymentChange change;
  const std::string model = concat(before.model_owner, "/", before.model_name);
  if (fields.text("model").value_or(model) != model) {
    fields.add_problem("model", "The model of a deployment cannot be changed.");
  }
  change.sku = fields.text("hardware");
  if (change.sku) check_sku(fields, *change.sku, *hardware);
  change.min_instances = fields.integer("min_instances", 0, kHighestMin);
  change.max_instances = fields.integer("max_instances", 0, kHighestMax);
  if (fields.problems().empty()) {
    check_bounds(fields, change.min_instances.value_or(before.current.min_instances),
                 change.max_instances.value_or(before.current.max_instances));
  }
  if (const std::optional<std::string> text = fields.text("version")) {
    MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const KnownVersion> version,
                              co_await check_version(api, &fields, *text, model, call.viewer()));
    if (version != nullptr) change.version = version->version.id;
  }
  if (!fields.problems().empty()) co_return problem::validation_failed(fields.problems());

  auto write = [catalog = &api.parts.catalog, id = before.id, change, by = call.viewer(),
                now = api.parts.clock.now()] {
    return catalog->update_deployment(id, change, by, now);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(store::Deployment after, co_await api.parts.pool.run(std::move(write)));
  api.reader.forget_deployment(after.owner, after.name);
  api.parts.scheduler.target_changed(after.target);
  if (after.current.max_instances == 0 && before.current.max_instances != 0) {
    store::PredictionFilter filter;
    filter.account = call.viewer();
    filter.deployment = after.id;
    filter.created_after = api.parts.clock.now() - kStopHistory;
    api.tasks.spawn("cancel predictions of a stopped deployment", cancel_all(&api, filter));
  }
  MIMEO_CO_ASSIGN_OR_RETURN(std::string text, co_await show(api, std::move(after)));
  co_return json_response(200, std::move(text));
}

Answer delete_deployment(Api& api, Call& call) {
  MIMEO_CO_ASSIGN_OR_RETURN(const store::Deployment deployment, co_await read_own(api, call));
  auto write = [catalog = &api.parts.catalog, id = deployment.id,
                idle = api.settings.deployment_idle] {
    return catalog->delete_deployment(id, idle);
  };
  const Status deleted = co_await api.parts.pool.run(std::move(write));
  if (absl::IsFailedPrecondition(deleted)) {
    co_return problem::conflict(
        "A deployment can be deleted when it has been offline and unused for at least 15 minutes.");
  }
  if (!deleted.ok()) co_return deleted;
  api.reader.forget_deployment(deployment.owner, deployment.name);
  api.parts.scheduler.target_changed(deployment.target);
  co_return empty_response(204);
}

}  // namespace mimeo::control
