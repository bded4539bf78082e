// Reads of the catalog for the hot path: what a create or a stream needs, remembered for a moment,
// so that a warm create reads nothing from the database. Listings and edits go to the store itself.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/store/catalog.h"
#include "common/store/discovery.h"
#include "control-plane/http/read_cache.h"
#include "control-plane/validation/input_validator.h"

namespace mimeo::control {

// A version with what running it takes.
struct KnownVersion {
  store::Version version;
  store::Model model;  // As it was when this was read; its id, names, visibility and owner hold.
  std::shared_ptr<const VersionSchema> schema;
  bool is_official = false;  // Of the model; as old as the rest.

  [[nodiscard]] bool is_visible_to(AccountId viewer) const {
    return model.visibility == store::Visibility::kPublic || model.owner_id == viewer;
  }
};

struct KnownDeployment {
  store::Deployment deployment;
  store::Target target;
};

// Lives on the HTTP thread. Everything is at most a second old, versions (which never change) a
// few; what this process changes itself is forgotten at once.
class CatalogReader {
 public:
  template <class T>
  using Read = boost::asio::awaitable<Result<std::shared_ptr<const T>>>;

  CatalogReader(store::CatalogStore& catalog, store::DiscoveryStore& discovery, BlockingPool& pool,
                const Clock& clock);

  // kNotFound also when the viewer may not see it, or when it is not ready.
  Read<KnownVersion> version(VersionId id, AccountId viewer);
  // Whoever asks.
  Read<KnownVersion> any_version(VersionId id);
  Read<store::Model> model(std::string owner, std::string name, AccountId viewer);
  // The newest push to the model that did not become a version, if newer than its latest version.
  // For the eyes of its owner: kNotFound for others, too. Not remembered.
  Read<store::Version> refused_push(std::string owner, std::string name, AccountId viewer);
  // kNotFound also for others than its owner, who are answered no sooner than when there is none.
  Read<KnownDeployment> deployment(std::string owner, std::string name, AccountId viewer);
  Read<store::Target> version_pool(VersionId id, std::string sku, std::int32_t max_instances);
  Read<std::vector<Hardware>> hardware();
  Read<store::Account> account(AccountId id);

  void forget_model(const std::string& owner, const std::string& name);
  void forget_deployment(const std::string& owner, const std::string& name);
  void forget_version(VersionId id);

 private:
  Read<KnownVersion> load_version(VersionId id);

  store::CatalogStore& catalog_;
  store::DiscoveryStore& discovery_;
  BlockingPool& pool_;
  ReadCache<VersionId, KnownVersion> versions_;
  ReadCache<VersionId, VersionSchema> schemas_;  // Compiled ones, for longer: they never change.
  ReadCache<std::string, store::Model> models_;  // By "owner/name".
  ReadCache<std::string, KnownDeployment> deployments_;
  ReadCache<std::string, store::Target> pools_;  // By version and sku.
  ReadCache<int, std::vector<Hardware>> hardware_;
  ReadCache<AccountId, store::Account> accounts_;
};

}  // namespace mimeo::control
