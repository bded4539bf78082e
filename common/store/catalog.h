// Persistence of what changes rarely: accounts, tokens, models, versions, hardware, targets,
// deployments and their releases. Same rules as predictions.h: methods block, are thread-safe, may
// be repeated, and are one transaction each.
//
// Every lookup by a caller's name takes the viewer's account where visibility matters; what the
// viewer may not see is kNotFound.

#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/domain/access.h"
#include "common/domain/resources.h"

namespace mimeo::store {

enum class AccountType : std::uint8_t { kUser = 0, kOrganization = 1 };
enum class Visibility : std::uint8_t { kPublic = 0, kPrivate = 1 };

struct Account {
  AccountId id = 0;
  AccountType type = AccountType::kUser;
  std::string username;  // Unique over users and organizations.
  std::string name;      // For people; never empty (username by default).
  std::string github_url;
  std::string avatar_url;
  double weight = 1.0;           // Share in fair queueing.
  std::int32_t max_running = 0;  // 0 = no limit.
  std::int32_t max_queued = 10'000;
  std::string webhook_secret;  // "whsec_" + standard base64 of 24 bytes.
  // "fsec_" + base64url of 32 bytes: signs links to uploaded files. Made by the store, anew with
  // every rotation of the webhook secret.
  std::string file_secret;
  AccountId created_by = 0;  // Of an organization: the user who made it; 0 = the operator.
  WallTime created_at;
  std::optional<WallTime> disabled_at;  // Since then none of its tokens works.
};

// A token is stored as SHA-256 of its text only. accounts.h lists and changes them.
struct Token {
  std::int64_t id = 0;
  AccountId account = 0;
  std::string name;
  std::string hash;    // 32 raw bytes.
  std::string prefix;  // First characters, to recognise it: "r8_abcd".
  WallTime created_at;
  std::optional<WallTime> expires_at;
  std::optional<WallTime> disabled_at;
  std::optional<WallTime> last_used_at;
  Scopes scopes = Scopes::all();
  AccountId created_by = 0;  // Of an organization's: the member who made it; 0 = the operator.
  std::string creator;       // Username of created_by; filled by reads.
};
// What authentication needs, in one read.
struct TokenOwner {
  Token token;
  Account account;
  // Of token.created_by, where that is set: its role in the account now (nullopt = it left), and
  // whether it is disabled.
  std::optional<Role> creator_role;
  bool is_creator_disabled = false;

  // Whether the token may be used at all. Expired ones, disabled ones, those of disabled accounts
  // and those whose maker left may not.
  [[nodiscard]] bool is_valid(WallTime now) const {
    if (token.disabled_at || account.disabled_at) return false;
    if (token.expires_at && *token.expires_at <= now) return false;
    return token.created_by == 0 || (creator_role.has_value() && !is_creator_disabled);
  }
  // What it may do: its own scopes, within its maker's role.
  [[nodiscard]] Scopes scopes() const {
    return creator_role ? token.scopes & scopes_of(*creator_role) : token.scopes;
  }
};

struct Model {
  ModelId id = 0;
  AccountId owner_id = 0;
  std::string owner;  // Username.
  std::string name;
  Visibility visibility = Visibility::kPrivate;
  std::string description;
  std::string sku;  // Default hardware of its version pools.
  std::string github_url;
  std::string paper_url;
  std::string license_url;
  std::string weights_url;
  std::string cover_image_url;
  std::string readme;
  std::int64_t run_count = 0;
  std::optional<PredictionId> default_example;
  std::optional<VersionId> latest_version;
  WallTime created_at;
  std::optional<WallTime> latest_version_at;
};

enum class VersionState : std::uint8_t {
  kReady = 0,
  kRefused =
      1,  // A push that is no model: `refusal` says why. Never runnable, never listed by the API.
  kDeleted = 2,
};
struct Version {
  VersionId id;
  ModelId model = 0;
  VersionState state = VersionState::kReady;
  std::string refusal;
  std::string repository;    // "owner/name" in the registry.
  std::string image_digest;  // "sha256:..." that workers pull.
  std::int64_t image_bytes = 0;
  std::string cog_version;     // Never empty.
  std::string openapi_schema;  // JSON text, never empty when ready.
  std::string config;          // JSON of run.cog.config; "{}" when absent.
  bool needs_gpu = false;
  std::int32_t concurrency = 1;
  std::string pushed_by;  // Username.
  WallTime created_at;
};

enum class TargetKind : std::uint8_t { kDeployment = 0, kVersionPool = 1, kTraining = 2 };
// What is queued and scaled as one.
struct Target {
  TargetId id = 0;
  TargetKind kind = TargetKind::kVersionPool;
  std::optional<DeploymentId> deployment;
  std::optional<VersionId> version;  // Of a version pool or training.
  std::string sku;
  CellId cell = 0;
  std::int32_t min_instances = 0;
  std::int32_t max_instances = 1;
  std::int64_t config_seq = 0;  // Grows with every change.
};

enum class ReleaseState : std::uint8_t {
  kRolling = 0,  // Being brought up beside the live one.
  kLive = 1,
  kSuperseded = 2,
  kFailed = 3,  // Setup failed: halted, the previous one keeps serving.
};
struct Release {
  DeploymentId deployment = 0;
  std::int32_t number = 0;
  VersionId version;
  std::string sku;
  std::int32_t min_instances = 0;
  std::int32_t max_instances = 1;
  AccountId created_by = 0;
  WallTime created_at;
  ReleaseState state = ReleaseState::kRolling;
};
struct Deployment {
  DeploymentId id = 0;
  AccountId owner_id = 0;
  std::string owner;
  std::string name;
  ModelId model = 0;
  std::string model_owner;
  std::string model_name;
  TargetId target = 0;
  Release current;  // The newest release: what the API shows.
  std::optional<WallTime> last_used_at;
  WallTime created_at;
};

// Everything a scheduler needs to run one target: its bounds and its releases newest first (for a
// version pool one pseudo-release with number 0), each with its version. No release left: the
// deployment or the version was deleted, so stop its instances and fail its queue.
struct RunnableRelease {
  std::int32_t number = 0;
  ReleaseState state = ReleaseState::kLive;
  Version version;
};
struct RunnableTarget {
  Target target;
  AccountId owner = 0;  // Of the deployment, or of a version pool's model.
  Hardware hardware;    // Of the newest release; only the sku when the operator removed it.
  std::vector<RunnableRelease> releases;  // Those not superseded, newest first.
};

// What becomes a new release; unset = as before.
struct DeploymentChange {
  std::optional<VersionId> version;
  std::optional<std::string> sku;
  std::optional<std::int32_t> min_instances;
  std::optional<std::int32_t> max_instances;
};
struct ModelChange {
  std::optional<std::string> description, readme, github_url, paper_url, weights_url, license_url;
  std::optional<std::string> cover_image_url, sku;
  std::optional<Visibility> visibility;
  std::optional<PredictionId> default_example;
};

// kLatestVersion: a model without a version counts by its creation.
enum class ModelSort : std::uint8_t { kLatestVersion, kCreated };
enum class SortDirection : std::uint8_t { kDescending, kAscending };
struct ModelFilter {
  AccountId viewer = 0;
  bool include_private = false;  // Of the viewer; viewer 0 = internal: those of everybody.
  ModelSort sort = ModelSort::kLatestVersion;
  SortDirection direction = SortDirection::kDescending;
  std::optional<std::pair<WallTime, ModelId>> after;  // Cursor: position in that order.
  std::size_t limit = 25;
};

class CatalogStore {
 public:
  virtual ~CatalogStore() = default;

  // Accounts and tokens. kAlreadyExists when the username or token is taken.
  virtual Result<Account> create_account(const Account& account) = 0;
  virtual Result<Account> get_account(AccountId id) = 0;
  virtual Result<Account> get_account_by_username(std::string_view username) = 0;
  // By username.
  virtual Result<std::vector<Account>> list_accounts() = 0;
  virtual Result<Token> create_token(const Token& token) = 0;
  // By SHA-256 of the token; kNotFound. Disabled and expired ones are returned too: the caller
  // decides.
  virtual Result<TokenOwner> get_token_owner(std::string_view hash) = 0;
  virtual Result<std::vector<Token>> list_tokens(AccountId account) = 0;
  // Notes its use, at most once a minute. Unknown ones are ignored.
  virtual Status touch_token(std::int64_t token_id, WallTime now) = 0;

  // Hardware, in the operator's order. put: kInvalidArgument for a price out of its range.
  virtual Result<std::vector<Hardware>> list_hardware() = 0;
  virtual Status put_hardware(const Hardware& hardware, std::int32_t position) = 0;

  // Models. create: kAlreadyExists. get: viewer 0 = internal, sees all.
  virtual Result<Model> create_model(const Model& model) = 0;
  virtual Result<Model> get_model(std::string_view owner, std::string_view name,
                                  AccountId viewer) = 0;
  virtual Result<Model> get_model_by_id(ModelId id) = 0;
  // Without their READMEs.
  virtual Result<std::vector<Model>> list_models(const ModelFilter& filter) = 0;
  virtual Result<Model> update_model(ModelId id, const ModelChange& change) = 0;
  // kFailedPrecondition when it has versions or is public.
  virtual Status delete_model(ModelId id) = 0;

  // Versions. put: inserts once per id (idempotent) and, when ready, becomes the model's latest.
  // One that was deleted or refused before is replaced.
  virtual Result<Version> put_version(const Version& version) = 0;
  // kNotFound also when its model is private to somebody else (viewer 0 = internal, sees all).
  virtual Result<Version> get_version(VersionId id, AccountId viewer) = 0;
  // Ready ones, newest first; `before` = cursor (created_at of the last seen).
  virtual Result<std::vector<Version>> list_versions(ModelId model, std::optional<WallTime> before,
                                                     std::size_t limit) = 0;
  // The newest refused push of the model, if newer than its latest version.
  virtual Result<std::optional<Version>> find_refusal(ModelId model) = 0;
  // kFailedPrecondition when a deployment's current release uses it. The model's latest becomes its
  // newest ready one. kNotFound.
  virtual Status delete_version(VersionId id) = 0;

  // Targets. The version pool of (version, sku), made when missing, in the cell with the fewest
  // targets (cell 1 when there is none). kNotFound when there is no such version.
  virtual Result<Target> ensure_version_pool(VersionId version, std::string_view sku,
                                             std::int32_t max_instances) = 0;
  virtual Result<RunnableTarget> get_runnable_target(TargetId id) = 0;
  // All targets of a cell with config_seq > `after_seq`, oldest change first. Changes become
  // visible in the order of their config_seq: reading on from the highest one seen misses none.
  virtual Result<std::vector<RunnableTarget>> list_runnable_targets(CellId cell,
                                                                    std::int64_t after_seq,
                                                                    std::size_t limit) = 0;

  // Deployments. create: kAlreadyExists; makes release 1 (kLive: there is none beside it) and the
  // target. kNotFound when the model or version is missing.
  virtual Result<Deployment> create_deployment(const Deployment& deployment) = 0;
  virtual Result<Deployment> get_deployment(std::string_view owner, std::string_view name) = 0;
  virtual Result<std::vector<Deployment>> list_deployments(AccountId owner,
                                                           std::optional<WallTime> before,
                                                           std::size_t limit) = 0;
  // A new release when anything differs from the current one; else the same deployment unchanged.
  // With another version or sku it is kRolling, with other bounds alone it takes the place (and
  // state) of the current one at once: instances carry over by version and sku. The bounds of the
  // target change at once in either case. An older release still kRolling is superseded.
  virtual Result<Deployment> update_deployment(DeploymentId id, const DeploymentChange& change,
                                               AccountId by, WallTime now) = 0;
  // kFailedPrecondition when it was used or had instances within `idle_for`. Its target stays, with
  // bounds of zero and no release.
  virtual Status delete_deployment(DeploymentId id, std::chrono::seconds idle_for) = 0;
  // Compare-and-set on the state; kAborted when it was another. Superseding releases older ones is
  // part of kRolling -> kLive.
  virtual Status set_release_state(DeploymentId id, std::int32_t number, ReleaseState from,
                                   ReleaseState to) = 0;
};

}  // namespace mimeo::store
