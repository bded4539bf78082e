// A CatalogStore whose database does not answer: everything is kUnavailable.

#pragma once

#include "common/store/catalog.h"

namespace mimeo::control {

class BrokenCatalog final : public store::CatalogStore {
 public:
  Result<store::Account> create_account(const store::Account&) override { return down(); }
  Result<store::Account> get_account(AccountId) override { return down(); }
  Result<store::Account> get_account_by_username(std::string_view) override { return down(); }
  Result<std::vector<store::Account>> list_accounts() override { return down(); }
  Result<store::Token> create_token(const store::Token&) override { return down(); }
  Result<store::TokenOwner> get_token_owner(std::string_view) override { return down(); }
  Result<std::vector<store::Token>> list_tokens(AccountId) override { return down(); }
  Status touch_token(std::int64_t, WallTime) override { return down(); }
  Result<std::vector<Hardware>> list_hardware() override { return down(); }
  Status put_hardware(const Hardware&, std::int32_t) override { return down(); }
  Result<store::Model> create_model(const store::Model&) override { return down(); }
  Result<store::Model> get_model(std::string_view, std::string_view, AccountId) override {
    return down();
  }
  Result<store::Model> get_model_by_id(ModelId) override { return down(); }
  Result<std::vector<store::Model>> list_models(const store::ModelFilter&) override {
    return down();
  }
  Result<store::Model> update_model(ModelId, const store::ModelChange&) override { return down(); }
  Status delete_model(ModelId) override { return down(); }
  Result<store::Version> put_version(const store::Version&) override { return down(); }
  Result<store::Version> get_version(VersionId, AccountId) override { return down(); }
  Result<std::vector<store::Version>> list_versions(ModelId, std::optional<WallTime>,
                                                    std::size_t) override {
    return down();
  }
  Result<std::optional<store::Version>> find_refusal(ModelId) override { return down(); }
  Status delete_version(VersionId) override { return down(); }
  Result<store::Target> ensure_version_pool(VersionId, std::string_view, std::int32_t) override {
    return down();
  }
  Result<store::RunnableTarget> get_runnable_target(TargetId) override { return down(); }
  Result<std::vector<store::RunnableTarget>> list_runnable_targets(CellId, std::int64_t,
                                                                   std::size_t) override {
    return down();
  }
  Result<store::Deployment> create_deployment(const store::Deployment&) override { return down(); }
  Result<store::Deployment> get_deployment(std::string_view, std::string_view) override {
    return down();
  }
  Result<std::vector<store::Deployment>> list_deployments(AccountId, std::optional<WallTime>,
                                                          std::size_t) override {
    return down();
  }
  Result<store::Deployment> update_deployment(DeploymentId, const store::DeploymentChange&,
                                              AccountId, WallTime) override {
    return down();
  }
  Status delete_deployment(DeploymentId, std::chrono::seconds) override { return down(); }
  Status set_release_state(DeploymentId, std::int32_t, store::ReleaseState,
                           store::ReleaseState) override {
    return down();
  }

 private:
  static Status down() { return absl::UnavailableError("the database does not answer"); }
};

}  // namespace mimeo::control
