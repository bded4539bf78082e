// Search, collections, examples, deletions of versions and limits of accounts over a MemoryStore,
// for tests: passes the same contract as the ones in Postgres, with a simpler ranking.

#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/store/account_limits.h"
#include "common/store/discovery.h"
#include "common/store/memory/memory_store.h"
#include "common/store/version_deletion.h"

namespace mimeo::store {

// How well a text fits a model; nullopt = it is no hit.
[[nodiscard]] std::optional<double> search_score(const std::string& text, const Model& model);

// Everything of its own is guarded by the store's mutex, as is what it reads there.
class MemoryDiscovery final : public DiscoveryStore,
                              public VersionDeletionStore,
                              public AccountLimitsStore {
 public:
  // `store` must outlive it.
  explicit MemoryDiscovery(MemoryStore& store) : store_(store) {}

  // DiscoveryStore
  Result<std::vector<SearchHit>> search_models(const ModelSearch& search) override;
  Result<std::vector<ModelFacts>> describe_models(std::span<const ModelId> ids,
                                                  const FactsBounds& bounds) override;
  Result<bool> is_official(ModelId id) override;
  Status set_official(ModelId id, bool is_official) override;
  Result<std::int64_t> count_models(AccountId owner) override;
  Result<std::vector<Version>> page_versions(ModelId model,
                                             const std::optional<PageStart<VersionId>>& start,
                                             std::size_t limit) override;
  Result<std::vector<Deployment>> page_deployments(
      AccountId owner, const std::optional<PageStart<DeploymentId>>& start,
      std::size_t limit) override;
  Result<Collection> create_collection(const Collection& collection) override;
  Result<Collection> get_collection(std::string_view slug) override;
  Status update_collection(std::string_view slug, const CollectionChange& change) override;
  Status delete_collection(std::string_view slug) override;
  Result<std::vector<Collection>> list_collections(std::string_view after, bool is_backward,
                                                   std::size_t limit) override;
  Status add_to_collection(std::string_view slug, ModelId model,
                           std::optional<std::int32_t> position) override;
  Status remove_from_collection(std::string_view slug, ModelId model) override;
  Result<std::vector<Model>> list_collection_models(std::int64_t collection,
                                                    AccountId viewer) override;
  Result<std::vector<CollectionHit>> search_collections(std::string_view text, AccountId viewer,
                                                        std::size_t limit) override;
  Status add_example(const Example& example) override;
  Result<Example> get_example(ModelId model, PredictionId prediction) override;
  Result<std::optional<Example>> find_example(PredictionId prediction, AccountId viewer) override;
  Result<std::vector<Example>> list_examples(ModelId model,
                                             const std::optional<PageStart<PredictionId>>& start,
                                             std::size_t limit) override;
  Result<std::vector<ExampleKey>> list_examples_of_version(VersionId version,
                                                           std::size_t limit) override;
  Status remove_example(ModelId model, PredictionId prediction) override;
  Status set_default_example(ModelId model, PredictionId prediction) override;

  // VersionDeletionStore
  Status note_version_user(VersionId version, AccountId account) override;
  Status begin_version_deletion(VersionId version, WallTime now) override;
  Result<std::optional<VersionDeletion>> claim_version_deletion(
      std::chrono::milliseconds lease) override;
  Result<VersionPredictions> list_version_predictions(const VersionDeletion& deletion,
                                                      PredictionId before,
                                                      std::size_t scan) override;
  Status erase_predictions(std::span<const PredictionId> ids) override;
  Status finish_version_deletion(VersionId version) override;
  Status put_off_version_deletion(VersionId version, std::chrono::milliseconds delay) override;

  // AccountLimitsStore
  Result<std::vector<AccountLimits>> list_account_limits() override;
  Result<AccountLimits> get_account_limits(AccountId account) override;
  Status put_account_limits(const AccountLimits& limits) override;

 private:
  struct CollectionRecord {
    Collection collection;
    std::vector<ModelId> models;  // In order.
  };
  struct Deletion {
    VersionDeletion deletion;
    WallTime requested_at;
    WallTime claimed_until;
  };

  // All of these with the store's mutex held.
  [[nodiscard]] const Model* find(ModelId id) const;
  [[nodiscard]] bool is_visible(const Model& model, AccountId viewer) const;
  [[nodiscard]] Example shown(const Example& example) const;
  [[nodiscard]] std::optional<Version> latest_of(const Model& model) const;
  [[nodiscard]] std::vector<std::string> tags_of(ModelId id) const;
  [[nodiscard]] Status why_not_deleted(const Version& version, const Model& model) const;
  void refresh_default_example(ModelId id);

  MemoryStore& store_;
  std::map<std::string, CollectionRecord, std::less<>> collections_;  // By slug.
  std::map<std::pair<ModelId, PredictionId>, Example> examples_;
  std::set<std::pair<VersionId, AccountId>> version_users_;
  std::map<VersionId, Deletion> deletions_;
  std::map<AccountId, AccountLimits> limits_;
};

}  // namespace mimeo::store
