// All of the persistence in Postgres. The only place in the project, with migrations/, that knows
// SQL.
//
// The statements are in statements_*.h; pqxx types do not leave this folder.

#pragma once

#include <memory>

#include "common/store/account_limits.h"
#include "common/store/accounts.h"
#include "common/store/catalog.h"
#include "common/store/discovery.h"
#include "common/store/files.h"
#include "common/store/fleet.h"
#include "common/store/outbox.h"
#include "common/store/postgres/postgres_options.h"
#include "common/store/predictions.h"
#include "common/store/retention.h"
#include "common/store/trainings.h"
#include "common/store/usage.h"
#include "common/store/version_deletion.h"

namespace mimeo::store {

class ConnectionPool;

// Implements every store interface over one pool of connections. Safe from any thread; every method
// blocks for at least a round trip, so call it from a BlockingPool with at most
// PostgresOptions::max_connections threads (more would wait for each other). Opens connections when
// they are needed and again after they broke: kUnavailable while the server cannot be reached.
class PostgresStore final : public PredictionStore,
                            public CatalogStore,
                            public AccountsStore,
                            public FleetStore,
                            public FilesStore,
                            public OutboxStore,
                            public TrainingStore,
                            public UsageStore,
                            public WebhookLogStore,
                            public DiscoveryStore,
                            public VersionDeletionStore,
                            public AccountLimitsStore,
                            public MaintenanceStore,
                            public RetentionStore {
 public:
  explicit PostgresStore(PostgresOptions options);
  ~PostgresStore() override;

  // PredictionStore
  Result<std::vector<Created>> create(std::span<const NewPrediction> batch) override;
  Result<std::vector<Assigned>> assign(const Fence& fence,
                                       std::span<const Assignment> batch) override;
  Result<std::vector<bool>> mark_started(std::span<const Started> batch) override;
  Result<std::vector<FinishOutcome>> finish(std::span<const Finish> batch) override;
  Result<std::vector<bool>> requeue(const Fence& fence, std::span<const Requeue> batch) override;
  Result<Canceled> cancel(PredictionId id, AccountId account, WallTime now) override;
  Status mark_output_seen(std::span<const PredictionId> ids) override;
  Result<PredictionView> get(PredictionId id, AccountId account) override;
  Result<PredictionView> get_by_stream_token(PredictionId id, std::string_view token) override;
  Result<std::string> get_input(PredictionId id) override;
  Result<std::vector<PredictionView>> list(const PredictionFilter& filter) override;
  Result<std::vector<PredictionId>> which_are_terminal(std::span<const PredictionId> ids) override;
  Result<std::vector<ActiveRow>> scan_active(CellId cell, PredictionId after,
                                             std::size_t limit) override;
  Result<std::int64_t> count_active(AccountId account) override;

  // CatalogStore
  Result<Account> create_account(const Account& account) override;
  Result<Account> get_account(AccountId id) override;
  Result<Account> get_account_by_username(std::string_view username) override;
  Result<std::vector<Account>> list_accounts() override;
  Result<Token> create_token(const Token& token) override;
  Result<TokenOwner> get_token_owner(std::string_view hash) override;
  Result<std::vector<Token>> list_tokens(AccountId account) override;
  Status touch_token(std::int64_t token_id, WallTime now) override;
  Result<std::vector<Hardware>> list_hardware() override;
  Status put_hardware(const Hardware& hardware, std::int32_t position) override;
  Result<Model> create_model(const Model& model) override;
  Result<Model> get_model(std::string_view owner, std::string_view name, AccountId viewer) override;
  Result<Model> get_model_by_id(ModelId id) override;
  Result<std::vector<Model>> list_models(const ModelFilter& filter) override;
  Result<Model> update_model(ModelId id, const ModelChange& change) override;
  Status delete_model(ModelId id) override;
  Result<Version> put_version(const Version& version) override;
  Result<Version> get_version(VersionId id, AccountId viewer) override;
  Result<std::vector<Version>> list_versions(ModelId model, std::optional<WallTime> before,
                                             std::size_t limit) override;
  Result<std::optional<Version>> find_refusal(ModelId model) override;
  Status delete_version(VersionId id) override;
  Result<Target> ensure_version_pool(VersionId version, std::string_view sku,
                                     std::int32_t max_instances) override;
  Result<RunnableTarget> get_runnable_target(TargetId id) override;
  Result<std::vector<RunnableTarget>> list_runnable_targets(CellId cell, std::int64_t after_seq,
                                                            std::size_t limit) override;
  Result<Deployment> create_deployment(const Deployment& deployment) override;
  Result<Deployment> get_deployment(std::string_view owner, std::string_view name) override;
  Result<std::vector<Deployment>> list_deployments(AccountId owner, std::optional<WallTime> before,
                                                   std::size_t limit) override;
  Result<Deployment> update_deployment(DeploymentId id, const DeploymentChange& change,
                                       AccountId by, WallTime now) override;
  Status delete_deployment(DeploymentId id, std::chrono::seconds idle_for) override;
  Status set_release_state(DeploymentId id, std::int32_t number, ReleaseState from,
                           ReleaseState to) override;

  // AccountsStore
  Result<Account> add_account(const Account& account, AccountId owner, const AccountBounds& limits,
                              const AuditEntry& entry) override;
  Result<Account> update_account(AccountId id, const AccountChange& change,
                                 const AuditEntry& entry) override;
  Result<std::vector<Membership>> list_members(AccountId organization, std::string_view after,
                                               std::size_t limit) override;
  Result<std::vector<Membership>> list_organizations(AccountId user) override;
  Result<std::optional<Role>> find_role(AccountId organization, AccountId user) override;
  Status put_member(const Membership& member, const std::optional<MemberExpectation>& expected,
                    const AccountBounds& limits, const AuditEntry& entry) override;
  Status remove_member(AccountId organization, AccountId user,
                       const std::optional<MemberExpectation>& expected,
                       const AuditEntry& entry) override;
  Result<Token> add_token(const Token& token, const AccountBounds& limits,
                          const AuditEntry& entry) override;
  Result<Token> get_token(std::int64_t id) override;
  Result<std::vector<Token>> page_tokens(AccountId account, AccountId created_by,
                                         std::int64_t below_id, std::size_t limit) override;
  Result<Token> update_token(std::int64_t id, const TokenChange& change,
                             const AuditEntry& entry) override;
  Status append_audit(const AuditEntry& entry) override;
  Result<std::vector<AuditEntry>> list_audit(const AuditFilter& filter) override;
  Result<std::size_t> forget_access(WallTime before, std::size_t limit) override;

  // FleetStore
  Status heartbeat_replica(const Replica& replica, std::chrono::milliseconds ttl) override;
  Status remove_replica(ReplicaId id) override;
  Result<std::vector<Replica>> list_replicas(ReplicaRole role) override;
  Status ensure_cell(CellId cell) override;
  Result<std::vector<CellLease>> list_cells() override;
  Result<CellLease> take_cell(CellId cell, ReplicaId owner, std::string_view owner_addr,
                              std::chrono::milliseconds lease) override;
  Status renew_cell(const Fence& fence, ReplicaId owner, std::chrono::milliseconds lease) override;
  Status release_cell(const Fence& fence, ReplicaId owner) override;
  Status create_worker_token(std::string_view hash, std::string_view name, CellId cell) override;
  Result<CellId> check_worker_token(std::string_view hash) override;
  Result<std::uint64_t> register_worker(const WorkerRow& row) override;
  Status set_worker_state(WorkerId id, WorkerState state) override;
  Result<std::vector<WorkerRow>> list_workers(CellId cell) override;
  Status insert_instances(const Fence& fence, std::span<const InstanceRow> rows) override;
  Status update_instances(std::span<const InstanceChange> changes) override;
  Result<std::vector<InstanceRow>> list_live_instances(CellId cell) override;
  Result<std::vector<InstanceRow>> list_target_instances(TargetId target,
                                                         std::size_t limit) override;

  // FilesStore
  Status create_file(const File& file) override;
  Result<File> get_file(FileId id, AccountId account, WallTime now) override;
  Result<std::vector<File>> list_files(AccountId account, const FilesStart& start, WallTime now,
                                       std::size_t limit) override;
  Status delete_file(FileId id, AccountId account) override;
  Result<std::vector<File>> list_expired_files(WallTime now, std::size_t limit) override;
  Status create_output(const OutputFile& file) override;
  Status share_upload(FileId source, AccountId account, const OutputFile& file) override;
  Result<OutputFile> get_output(PredictionId prediction, std::string_view secret,
                                std::string_view filename) override;
  Status delete_outputs(std::span<const PredictionId> predictions) override;
  Result<std::vector<std::string>> list_dead_blobs(std::string_view after,
                                                   std::size_t limit) override;
  Status forget_dead_blobs(std::span<const std::string> keys) override;
  Result<std::vector<std::string>> find_unknown_blobs(std::span<const std::string> keys) override;

  // OutboxStore
  Result<std::vector<WebhookDelivery>> claim_due(std::size_t limit, std::chrono::milliseconds lease,
                                                 ReplicaId sender) override;
  Status settle(std::span<const WebhookSettlement> batch) override;
  Result<std::vector<WebhookHold>> hold_predictions(std::span<const PredictionId> ids,
                                                    ReplicaId sender,
                                                    std::chrono::milliseconds lease) override;
  Status release_holds(ReplicaId sender) override;

  // WebhookLogStore
  Result<std::vector<LoggedWebhook>> list_webhooks(const WebhookFilter& filter) override;
  Result<LoggedWebhook> get_webhook(std::string_view id, AccountId account) override;
  Result<std::vector<WebhookAttempt>> list_webhook_attempts(std::string_view id) override;
  Result<LoggedWebhook> redeliver_webhook(std::string_view id, AccountId account) override;
  Result<std::int64_t> sweep_webhooks(WallTime before, std::size_t per_account) override;
  Result<WebhookSecrets> get_webhook_secrets(AccountId account, WallTime now) override;
  Status rotate_webhook_secret(AccountId account, std::string_view secret, WallTime until) override;

  // TrainingStore
  Result<Target> ensure_training_pool(VersionId version, std::string_view sku,
                                      std::int32_t max_instances) override;
  Result<FinishOutcome> finish_with_version(const Finish& finish, const Version& version) override;

  // UsageStore
  Result<Metered> meter(WallTime now, std::size_t max_predictions) override;
  Status seal_usage(WallTime before) override;
  Result<std::vector<UsageLine>> list_usage(const UsageQuery& query) override;
  Result<std::vector<PredictionUsage>> list_prediction_usage(
      const PredictionUsageQuery& query) override;
  Result<std::vector<Price>> list_prices(std::string_view sku) override;
  Result<Spend> get_spend(AccountId account, WallTime now) override;
  Result<bool> is_limit_reached(AccountId account, WallTime now) override;
  Status set_spend_limit(AccountId account, LimitSetter setter,
                         std::optional<std::int64_t> micros) override;
  Result<std::int64_t> pause_deployments(WallTime now, Pausing pausing) override;

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

  // MaintenanceStore
  Status make_partitions(WallTime now, std::chrono::hours ahead) override;
  Status ping() override;
  Result<WallTime> now() override;
  Result<std::int32_t> drop_expired(WallTime now, const Retention& keep) override;

  // RetentionStore
  Result<KeepRules> get_keep_rules(AccountId account) override;
  Status set_keep_rule(AccountId account, PredictionSource source, KeepFor keep) override;
  Status reset_keep_rule(AccountId account, PredictionSource source) override;
  Status keep_prediction(PredictionId id) override;
  Status release_prediction(PredictionId id) override;
  Result<std::vector<DueRemoval>> list_due(WallTime now, std::size_t limit) override;
  Result<std::vector<PredictionId>> remove_data(std::span<const DueRemoval> due) override;

 private:
  Status move_removals(AccountId account, PredictionSource source);

  std::unique_ptr<ConnectionPool> pool_;
};

}  // namespace mimeo::store
