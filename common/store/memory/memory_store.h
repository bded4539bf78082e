// All of the persistence in memory, for tests, the simulator and trying things out: passes the same
// contract suites as postgres/postgres_store.h, forgets everything at the end.

#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "common/base/clock.h"
#include "common/store/accounts.h"
#include "common/store/catalog.h"
#include "common/store/fleet.h"
#include "common/store/outbox.h"
#include "common/store/predictions.h"
#include "common/store/trainings.h"
#include "common/store/usage.h"

namespace mimeo::store {

// Implements every store interface over one state, so that a test hands the same object to
// everything that asks for a store. Safe from any thread. The clock stands in for the database's:
// leases, assignment times and due times are measured with it.
class MemoryStore final : public PredictionStore,
                          public CatalogStore,
                          public AccountsStore,
                          public FleetStore,
                          public OutboxStore,
                          public TrainingStore,
                          public WebhookLogStore,
                          public MaintenanceStore {
 public:
  // `clock` must outlive the store.
  explicit MemoryStore(const Clock& clock) : clock_(clock) {}

  // For MemoryRetention. Predictions that have ended and have their data.
  std::vector<PredictionView> ended_with_data();
  // False when it has none, or there is no such prediction.
  bool has_data(PredictionId id);
  void remove_content(PredictionId id);
  // Neither its content nor its record is dropped, whatever its age.
  void keep(PredictionId id);
  // Without effect while it is an example.
  void release(PredictionId id);
  bool is_kept(PredictionId id);
  // Called with each prediction whose content drop_expired() drops.
  void set_on_dropped(std::function<void(PredictionId)> on_dropped);

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

  // MaintenanceStore
  Status make_partitions(WallTime now, std::chrono::hours ahead) override;
  Status ping() override;
  Result<WallTime> now() override;
  Result<std::int32_t> drop_expired(WallTime now, const Retention& keep) override;

 private:
  friend class MemoryUsage;      // Derives usage from the rows of all others.
  friend class MemoryDiscovery;  // Further interfaces over the same state.

  // One row of `active` with what else the statements keep there.
  struct Active {
    ActiveRow row;
    VersionId version;
    std::int32_t release = 0;
  };
  struct Outcome {
    Finish finish;
    std::uint32_t attempt = 0;
    VersionId version;
  };
  struct ModelRecord {
    Model model;
    bool is_deleted = false;
  };
  struct DeploymentRecord {
    Deployment deployment;
    std::vector<Release> releases;  // By number.
    bool is_deleted = false;
  };
  struct CellRecord {
    CellLease lease;
    WallTime until;
  };
  struct OutboxRecord {
    WebhookDelivery delivery;
    WallTime due_at;
    bool is_claimed = false;
  };
  struct WebhookRecord {
    LoggedWebhook delivery;
    std::vector<WebhookAttempt> attempts;
  };
  // What an instance was ordered for, and who pays for it then: settled with its row.
  struct InstanceTerms {
    UsageKind kind = UsageKind::kPublicModel;
    AccountId payer = kUnbilled;
  };
  struct HoldRecord {
    ReplicaId sender;
    WallTime until;
  };

  std::int32_t drop_old(WallTime now, const Retention& keep,
                        std::vector<PredictionId>& without_content);

  // All of these with mutex_ held.
  [[nodiscard]] bool fence_holds(const Fence& fence) const;
  [[nodiscard]] UsageKind usage_kind(TargetId target, ModelId model) const;
  [[nodiscard]] InstanceTerms terms_of(const InstanceRow& instance) const;
  Created create_one(const NewPrediction& item);
  Assigned assign_one(const Assignment& item);
  FinishOutcome finish_one(const Finish& item);
  [[nodiscard]] static std::chrono::milliseconds ran(const ActiveRow& row, const Finish& item);
  [[nodiscard]] FinishOutcome why_not_finished(const Finish& item) const;
  void add_delivery(PredictionId id, WebhookEvent event);
  void add_deliveries(const Active& active, const Finish& item);
  [[nodiscard]] bool may_claim(const OutboxRecord& record, ReplicaId sender) const;
  [[nodiscard]] bool settle_outbox(const WebhookSettlement& item);
  void log_webhook(const WebhookSettlement& item, bool is_stale);
  void forget_attempts(PredictionId id);  // All webhooks' of it.
  [[nodiscard]] PredictionView view_of(const NewPrediction& prediction) const;
  [[nodiscard]] bool matches(const PredictionFilter& filter, const NewPrediction& p) const;
  [[nodiscard]] Model shown(const ModelRecord& record) const;
  [[nodiscard]] Model listed(const ModelRecord& record) const;  // Without its README.
  [[nodiscard]] const ModelRecord* find_model(std::string_view owner, std::string_view name) const;
  [[nodiscard]] bool is_visible(const Model& model, const ModelFilter& filter) const;
  void refresh_latest(ModelId id);
  void touch_target(TargetId id);
  void touch_targets_of(VersionId version);
  Target make_target(Target target);
  Result<Target> ensure_pool(TargetKind kind, VersionId version, std::string_view sku,
                             std::int32_t max_instances);
  Result<Version> put_version_locked(const Version& version);
  [[nodiscard]] Hardware hardware_of(const std::string& sku) const;
  [[nodiscard]] RunnableTarget runnable(const Target& target) const;
  [[nodiscard]] Deployment shown(const DeploymentRecord& record) const;
  DeploymentRecord* find_deployment(DeploymentId id);
  [[nodiscard]] Membership shown(const Membership& member) const;
  [[nodiscard]] Token shown(const Token& token) const;
  // Whether one whose account is enabled would be left without this user.
  [[nodiscard]] bool has_owner_besides(AccountId organization, AccountId user) const;
  // kAborted when something is not as expected any more.
  [[nodiscard]] Status check_expected(AccountId organization, AccountId user,
                                      const std::optional<MemberExpectation>& expected) const;
  Result<Account> insert_account(const Account& account);
  std::string next_file_secret();
  Result<Token> insert_token(const Token& token);
  Status may_join(const Membership& member, const AccountBounds& limits) const;
  void log_change(AuditEntry entry);

  const Clock& clock_;
  mutable std::mutex mutex_;

  // Everything below is guarded by mutex_.
  std::map<PredictionId, NewPrediction> predictions_;
  std::map<PredictionId, Active> active_;
  std::unordered_map<PredictionId, Outcome> results_;
  std::set<PredictionId> without_content_;
  std::set<PredictionId> kept_;
  std::function<void(PredictionId)> on_dropped_ = [](PredictionId) {};
  std::set<PredictionId> examples_;  // Of MemoryDiscovery; all of them are kept.
  std::map<std::pair<AccountId, std::string>, PredictionId> idempotency_;
  std::unordered_map<ModelId, std::int64_t> run_counts_;
  std::map<std::int64_t, OutboxRecord> outbox_;
  std::map<PredictionId, HoldRecord> webhook_holds_;
  std::map<std::string, WebhookRecord, std::less<>> webhooks_;
  std::map<AccountId, std::pair<std::string, WallTime>> replaced_secrets_;  // Until when.
  std::int64_t last_file_secret_ = 0;
  std::int64_t last_id_ = 0;
  std::int64_t last_config_seq_ = 0;
  std::map<AccountId, Account> accounts_;
  std::map<std::int64_t, Token> tokens_;
  std::map<std::pair<AccountId, AccountId>, Membership> members_;  // By organization and user.
  std::map<std::int64_t, AuditEntry> audit_;
  std::vector<std::pair<std::int32_t, Hardware>> hardware_;
  // By sku, since when which price (micro-units a second); the first since ever.
  std::map<std::string, std::map<WallTime, std::int64_t>, std::less<>> prices_;
  std::map<ModelId, ModelRecord> models_;
  std::set<ModelId> official_models_;
  std::unordered_map<VersionId, Version> versions_;
  std::map<TargetId, Target> targets_;
  std::map<DeploymentId, DeploymentRecord> deployments_;
  std::map<ReplicaId, std::pair<Replica, WallTime>> replicas_;
  std::map<CellId, CellRecord> cells_;
  std::map<std::string, CellId, std::less<>> worker_tokens_;
  std::map<WorkerId, WorkerRow> workers_;
  std::map<InstanceId, InstanceRow> instances_;
  std::map<InstanceId, InstanceTerms> instance_terms_;  // One per instance.
};

}  // namespace mimeo::store
