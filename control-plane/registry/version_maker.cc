#include "control-plane/registry/version_maker.h"

#include <utility>

#include "common/crypto/crypto.h"
#include "common/domain/names.h"
#include "common/telemetry/log.h"
#include "control-plane/registry/image_reading.h"

namespace mimeo::control {

namespace {

// "sha256:<hex>" -> the id of a version.
Result<VersionId> id_of(std::string_view digest) {
  return VersionId::parse(digest.substr(digest.find(':') + 1));
}

// Faults of the image, not of the moment: trying again would change nothing.
bool is_fault_of_image(const Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status);
}

// The image that `reference` stands for, and what it says about itself. Also with an error, as much
// of `resolved` as is known is filled in: a refusal is kept under its digest.
Result<ModelImage> read_image(const oci::RegistryClient& registry, const Push& push,
                              oci::ResolvedImage& resolved) {
  resolved.digest = push.digest;
  resolved.image_digest = push.digest;
  MIMEO_ASSIGN_OR_RETURN(resolved, registry.resolve(push.repository, push.digest));
  if (!resolved.image.artifact_type.empty()) {
    return absl::InvalidArgumentError("this is an artifact (" + resolved.image.artifact_type +
                                      "), no image");
  }
  MIMEO_ASSIGN_OR_RETURN(const auto config, registry.get_config(push.repository, resolved.image));
  return read_model_image(config);
}

store::Version describe(const oci::ResolvedImage& resolved, const Result<ModelImage>& image) {
  store::Version version;
  version.image_digest = resolved.image_digest;
  version.image_bytes = image_bytes(resolved.image);
  if (!image.ok()) {
    version.state = store::VersionState::kRefused;
    version.refusal = std::string(image.status().message());
    version.cog_version = "unknown";
    version.config = "{}";
    return version;
  }
  version.cog_version = image->cog_version;
  version.openapi_schema = image->openapi_schema;
  version.config = image->config;
  version.needs_gpu = image->needs_gpu;
  version.concurrency = image->concurrency;
  return version;
}

}  // namespace

VersionMaker::VersionMaker(const oci::RegistryClient& registry, store::CatalogStore& catalog,
                           store::DiscoveryStore& discovery, store::AccountsStore& accounts,
                           const Clock& clock, std::string default_sku)
    : registry_(registry),
      catalog_(catalog),
      discovery_(discovery),
      accounts_(accounts),
      clock_(clock),
      default_sku_(std::move(default_sku)) {}

Status VersionMaker::tell(const store::Account& owner, const Push& push, std::string action,
                          std::string target, store::AuditOutcome outcome) {
  store::AuditEntry entry;
  entry.at = clock_.now();
  entry.account = owner.id;
  entry.action = std::move(action);
  entry.target = std::move(target);
  entry.outcome = outcome;
  // A push that only reconciling found names nobody.
  entry.actor = !push.member.empty() ? push.member : push.pushed_by;
  if (entry.actor.empty()) entry.actor = "registry";
  entry.actor_account = push.pushed_by == owner.username ? owner.id : 0;
  entry.token = push.token;
  entry.address = push.address;
  entry.request_id = push.request_id;
  return accounts_.append_audit(entry);
}

// The digest itself, unless another repository has a version of the same image already: ids are
// unique, so the second one gets an id from its name and the digest together.
Result<VersionId> VersionMaker::id_for(std::string_view repository, std::string_view digest) {
  MIMEO_ASSIGN_OR_RETURN(const VersionId id, id_of(digest));
  const auto found = catalog_.get_version(id, /*viewer=*/0);
  if (absl::IsNotFound(found.status())) return id;
  MIMEO_RETURN_IF_ERROR(found.status());
  if (found->repository == repository) return id;
  return VersionId::from_bytes(crypto::sha256(std::string(repository) + "@" + std::string(digest)));
}

Result<bool> VersionMaker::is_known(std::string_view repository, std::string_view digest) {
  MIMEO_ASSIGN_OR_RETURN(const VersionId id, id_for(repository, digest));
  const auto found = catalog_.get_version(id, /*viewer=*/0);
  if (absl::IsNotFound(found.status())) return false;
  MIMEO_RETURN_IF_ERROR(found.status());
  return true;
}

Result<std::string> VersionMaker::refusal_of(const store::Account& owner, const Push& push) {
  if (push.token == 0) return std::string();
  const auto token = accounts_.get_token(push.token);
  if (absl::IsNotFound(token.status())) return std::string("its token does not exist any more");
  MIMEO_RETURN_IF_ERROR(token.status());
  MIMEO_ASSIGN_OR_RETURN(const store::TokenOwner caller, catalog_.get_token_owner(token->hash));
  const std::string name = "the token \"" + token->name + "\" that pushed it ";
  if (!caller.is_valid(clock_.now())) return name + "does not work any more";
  const bool may_push = caller.account.id == owner.id && caller.scopes().has(Scope::kModels);
  return may_push ? std::string() : name + "may not push to " + push.repository + " any more";
}

Result<std::optional<store::Model>> VersionMaker::ensure_model(const store::Account& owner,
                                                               const std::string& name,
                                                               const Push& push) {
  auto found = catalog_.get_model(owner.username, name, /*viewer=*/0);
  if (found.ok()) return std::optional<store::Model>(*std::move(found));
  if (!absl::IsNotFound(found.status())) return found.status();
  const std::string target = owner.username + "/" + name;
  MIMEO_ASSIGN_OR_RETURN(const std::int64_t models, discovery_.count_models(owner.id));
  if (models >= store::kMostModels) {
    log::warn("push passed by: {} has as many models as it may have repository={}", owner.username,
              push.repository);
    if (!push.pushed_by.empty()) {  // Reconciling finds it again and again.
      MIMEO_RETURN_IF_ERROR(
          tell(owner, push, "model.create", target, store::AuditOutcome::kRefused));
    }
    return std::optional<store::Model>();
  }
  store::Model model;
  model.owner_id = owner.id;
  model.owner = owner.username;
  model.name = name;
  model.visibility = store::Visibility::kPrivate;
  model.sku = default_sku_;
  model.created_at = clock_.now();
  MIMEO_RETURN_IF_ERROR(tell(owner, push, "model.create", target));
  auto created = catalog_.create_model(model);
  if (absl::IsAlreadyExists(created.status())) {  // Another control plane was first.
    created = catalog_.get_model(owner.username, name, /*viewer=*/0);
  }
  MIMEO_RETURN_IF_ERROR(created.status());
  return std::optional<store::Model>(*std::move(created));
}

Result<PushOutcome> VersionMaker::make(const Push& push, PushOrigin origin) {
  const auto name = split_model_name(push.repository);
  if (!name.ok() || !can_make_version(push.tag)) return PushOutcome::kPassedBy;
  const auto owner = catalog_.get_account_by_username(name->first);
  if (absl::IsNotFound(owner.status())) return PushOutcome::kPassedBy;
  MIMEO_RETURN_IF_ERROR(owner.status());

  oci::ResolvedImage resolved;
  const auto image = read_image(registry_, push, resolved);
  if (absl::IsNotFound(image.status())) return PushOutcome::kPassedBy;
  if (!image.ok() && !is_fault_of_image(image.status())) return image.status();
  store::Version version = describe(resolved, image);
  MIMEO_ASSIGN_OR_RETURN(const std::string refusal, refusal_of(*owner, push));
  if (!refusal.empty()) {
    version.state = store::VersionState::kRefused;
    version.refusal = refusal;
  }

  // Weights belong to the version, so the index that names them is its id; an index without any
  // adds nothing, and the same build pushed with and without it is one version.
  const std::string& digest = resolved.weights.empty() ? resolved.image_digest : resolved.digest;
  MIMEO_ASSIGN_OR_RETURN(version.id, id_for(push.repository, digest));
  const auto before = catalog_.get_version(version.id, /*viewer=*/0);
  if (before.ok() && (origin == PushOrigin::kReconciled || before->state == version.state ||
                      before->state == store::VersionState::kReady)) {
    return PushOutcome::kKnown;
  }
  MIMEO_ASSIGN_OR_RETURN(const auto model, ensure_model(*owner, name->second, push));
  if (!model) return PushOutcome::kPassedBy;
  version.model = model->id;
  version.repository = push.repository;
  version.pushed_by = push.pushed_by;
  version.created_at = clock_.now();
  const bool is_ready = version.state == store::VersionState::kReady;
  if (is_ready || !refusal.empty()) {
    MIMEO_RETURN_IF_ERROR(
        tell(*owner, push, "version.create", push.repository + "/" + version.id.hex(),
             is_ready ? store::AuditOutcome::kDone : store::AuditOutcome::kRefused));
  }
  MIMEO_RETURN_IF_ERROR(catalog_.put_version(version).status());
  return is_ready ? PushOutcome::kMade : PushOutcome::kRefused;
}

}  // namespace mimeo::control
