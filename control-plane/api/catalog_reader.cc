#include "control-plane/api/catalog_reader.h"

#include <utility>

#include "common/telemetry/log.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kVersions = 1'000;  // A schema of 50 KB each: 50 MB at the most.
constexpr std::size_t kNames = 10'000;

std::string name_key(const std::string& owner, const std::string& name) {
  return concat(owner, "/", name);
}

bool is_visible(const store::Model& model, AccountId viewer) {
  return model.visibility == store::Visibility::kPublic || model.owner_id == viewer;
}

// A version whose schema cannot be compiled still runs: its container checks the input itself.
std::shared_ptr<const VersionSchema> compile(const store::Version& version) {
  auto compiled = VersionSchema::compile(version.openapi_schema);
  if (compiled.ok()) return *compiled;
  log::warn("version={} is not validated: {}", version.id.hex(), message_of(compiled.status()));
  return *VersionSchema::compile("{}");
}

}  // namespace

CatalogReader::CatalogReader(store::CatalogStore& catalog, store::DiscoveryStore& discovery,
                             BlockingPool& pool, const Clock& clock)
    : catalog_(catalog),
      discovery_(discovery),
      pool_(pool),
      versions_(clock, 5s, kVersions),
      schemas_(clock, 1h, kVersions),
      models_(clock, 1s, kNames),
      deployments_(clock, 1s, kNames),
      pools_(clock, 10s, kNames),
      hardware_(clock, 2s, 1),
      accounts_(clock, 10s, kNames) {}

CatalogReader::Read<KnownVersion> CatalogReader::version(VersionId id, AccountId viewer) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const KnownVersion> known,
                            co_await any_version(id));
  if (!known->is_visible_to(viewer)) co_return absl::NotFoundError("no such version");
  co_return known;
}

CatalogReader::Read<KnownVersion> CatalogReader::any_version(VersionId id) {
  std::shared_ptr<const KnownVersion> known = versions_.find(id);
  if (known == nullptr) {
    MIMEO_CO_ASSIGN_OR_RETURN(known, co_await load_version(id));
  }
  co_return known;
}

CatalogReader::Read<KnownVersion> CatalogReader::load_version(VersionId id) {
  std::shared_ptr<const VersionSchema> schema = schemas_.find(id);
  auto read = [catalog = &catalog_, discovery = &discovery_, id,
               schema]() -> Result<std::shared_ptr<const KnownVersion>> {
    auto known = std::make_shared<KnownVersion>();
    MIMEO_ASSIGN_OR_RETURN(known->version, catalog->get_version(id, 0));
    if (known->version.state != store::VersionState::kReady) {
      return absl::NotFoundError("no such version");
    }
    MIMEO_ASSIGN_OR_RETURN(known->model, catalog->get_model_by_id(known->version.model));
    MIMEO_ASSIGN_OR_RETURN(known->is_official, discovery->is_official(known->model.id));
    known->schema = schema != nullptr ? schema : compile(known->version);
    return known;
  };
  MIMEO_CO_ASSIGN_OR_RETURN(std::shared_ptr<const KnownVersion> known,
                            co_await pool_.run(std::move(read)));
  schemas_.put(id, known->schema);
  versions_.put(id, known);
  co_return known;
}

CatalogReader::Read<store::Model> CatalogReader::model(std::string owner, std::string name,
                                                       AccountId viewer) {
  const std::string key = name_key(owner, name);
  std::shared_ptr<const store::Model> known = models_.find(key);
  if (known == nullptr || !is_visible(*known, viewer)) {
    auto read = [catalog = &catalog_, owner, name, viewer] {
      return catalog->get_model(owner, name, viewer);
    };
    MIMEO_CO_ASSIGN_OR_RETURN(store::Model found, co_await pool_.run(std::move(read)));
    known = std::make_shared<const store::Model>(std::move(found));
    // One without a version gets its first soon, perhaps from another process, and is run at once.
    if (known->latest_version) models_.put(key, known);
  }
  co_return known;
}

CatalogReader::Read<store::Version> CatalogReader::refused_push(std::string owner, std::string name,
                                                                AccountId viewer) {
  auto read = [catalog = &catalog_, owner, name,
               viewer]() -> Result<std::shared_ptr<const store::Version>> {
    MIMEO_ASSIGN_OR_RETURN(const store::Model model, catalog->get_model(owner, name, viewer));
    if (model.owner_id != viewer) return absl::NotFoundError("the model is not the viewer's");
    MIMEO_ASSIGN_OR_RETURN(std::optional<store::Version> refused, catalog->find_refusal(model.id));
    if (!refused) return absl::NotFoundError("no push was refused");
    return std::make_shared<const store::Version>(*std::move(refused));
  };
  co_return co_await pool_.run(std::move(read));
}

CatalogReader::Read<KnownDeployment> CatalogReader::deployment(std::string owner, std::string name,
                                                               AccountId viewer) {
  const std::string key = name_key(owner, name);
  auto known = deployments_.find(key);
  if (known != nullptr && known->deployment.owner_id == viewer) co_return known;
  auto read = [catalog = &catalog_, owner, name,
               viewer]() -> Result<std::shared_ptr<const KnownDeployment>> {
    auto found = std::make_shared<KnownDeployment>();
    MIMEO_ASSIGN_OR_RETURN(found->deployment, catalog->get_deployment(owner, name));
    if (found->deployment.owner_id != viewer) return absl::NotFoundError("no such deployment");
    MIMEO_ASSIGN_OR_RETURN(const store::RunnableTarget runnable,
                           catalog->get_runnable_target(found->deployment.target));
    found->target = runnable.target;
    return found;
  };
  MIMEO_CO_ASSIGN_OR_RETURN(known, co_await pool_.run(std::move(read)));
  deployments_.put(key, known);
  co_return known;
}

CatalogReader::Read<store::Target> CatalogReader::version_pool(VersionId id, std::string sku,
                                                               std::int32_t max_instances) {
  const std::string key = id.raw() + sku;
  if (auto known = pools_.find(key)) co_return known;
  auto read = [catalog = &catalog_, id, sku, max_instances] {
    return catalog->ensure_version_pool(id, sku, max_instances);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(store::Target found, co_await pool_.run(std::move(read)));
  auto known = std::make_shared<const store::Target>(std::move(found));
  pools_.put(key, known);
  co_return known;
}

CatalogReader::Read<std::vector<Hardware>> CatalogReader::hardware() {
  if (auto known = hardware_.find(0)) co_return known;
  auto read = [catalog = &catalog_] { return catalog->list_hardware(); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::vector<Hardware> found, co_await pool_.run(std::move(read)));
  auto known = std::make_shared<const std::vector<Hardware>>(std::move(found));
  hardware_.put(0, known);
  co_return known;
}

CatalogReader::Read<store::Account> CatalogReader::account(AccountId id) {
  if (auto known = accounts_.find(id)) co_return known;
  auto read = [catalog = &catalog_, id] { return catalog->get_account(id); };
  MIMEO_CO_ASSIGN_OR_RETURN(store::Account found, co_await pool_.run(std::move(read)));
  auto known = std::make_shared<const store::Account>(std::move(found));
  accounts_.put(id, known);
  co_return known;
}

void CatalogReader::forget_model(const std::string& owner, const std::string& name) {
  models_.erase(name_key(owner, name));
}
void CatalogReader::forget_deployment(const std::string& owner, const std::string& name) {
  deployments_.erase(name_key(owner, name));
}
void CatalogReader::forget_version(VersionId id) { versions_.erase(id); }

}  // namespace mimeo::control
