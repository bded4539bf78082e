// The part of MemoryDiscovery for deletions of versions and limits of accounts.

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/store/memory/memory_discovery.h"

namespace mimeo::store {

Status MemoryDiscovery::note_version_user(VersionId version, AccountId account) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = store_.versions_.find(version);
  if (found == store_.versions_.end()) return absl::OkStatus();
  if (store_.models_.at(found->second.model).model.owner_id == account) return absl::OkStatus();
  version_users_.emplace(version, account);
  return absl::OkStatus();
}

Status MemoryDiscovery::why_not_deleted(const Version& version, const Model& model) const {
  if (model.visibility == Visibility::kPublic) {
    return absl::FailedPreconditionError("Versions of public models cannot be deleted.");
  }
  if (std::any_of(version_users_.begin(), version_users_.end(), [&](const auto& user) {
        return user.first == version.id && user.second != model.owner_id;
      })) {
    return absl::FailedPreconditionError(
        "The version cannot be deleted: somebody else has run predictions with it.");
  }
  for (const auto& [id, p] : store_.predictions_) {
    if (p.is_training && p.version == version.id && p.account == model.owner_id) {
      return absl::FailedPreconditionError(
          "The version cannot be deleted: it is the base of a training.");
    }
  }
  for (const auto& [id, record] : store_.deployments_) {
    if (record.is_deleted) continue;
    for (const Release& release : record.releases) {
      const bool is_in_use = release.state == ReleaseState::kRolling ||
                             release.state == ReleaseState::kLive ||
                             release.number == record.releases.back().number;
      if (release.version != version.id || !is_in_use) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("The version cannot be deleted: the deployment ", record.deployment.owner,
                       "/", record.deployment.name, " uses it."));
    }
  }
  return absl::OkStatus();
}

Status MemoryDiscovery::begin_version_deletion(VersionId version, WallTime now) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = store_.versions_.find(version);
  if (found == store_.versions_.end() || found->second.state != VersionState::kReady) {
    return absl::NotFoundError("no such version");
  }
  const Model& model = store_.models_.at(found->second.model).model;
  MIMEO_RETURN_IF_ERROR(why_not_deleted(found->second, model));
  found->second.state = VersionState::kDeleted;
  deletions_.try_emplace(version, Deletion{{version, model.owner_id}, now, {}});
  store_.refresh_latest(found->second.model);
  store_.touch_targets_of(version);
  return absl::OkStatus();
}

Result<std::optional<VersionDeletion>> MemoryDiscovery::claim_version_deletion(
    std::chrono::milliseconds lease) {
  const std::scoped_lock lock(store_.mutex_);
  const WallTime now = store_.clock_.now();
  std::erase_if(deletions_, [this](const auto& entry) {
    return store_.versions_.at(entry.first).state != VersionState::kDeleted;
  });
  Deletion* oldest = nullptr;
  for (auto& [id, deletion] : deletions_) {
    if (deletion.claimed_until >= now) continue;
    if (oldest == nullptr || deletion.requested_at < oldest->requested_at) oldest = &deletion;
  }
  if (oldest == nullptr) return std::optional<VersionDeletion>();
  oldest->claimed_until = now + lease;
  return std::optional<VersionDeletion>(oldest->deletion);
}

Result<VersionPredictions> MemoryDiscovery::list_version_predictions(
    const VersionDeletion& deletion, PredictionId before, std::size_t scan) {
  const std::scoped_lock lock(store_.mutex_);
  VersionPredictions found;
  std::size_t seen = 0;
  for (auto it = store_.predictions_.rbegin(); it != store_.predictions_.rend(); ++it) {
    const auto& [id, p] = *it;
    if (p.account != deletion.owner || (!before.is_nil() && id >= before)) continue;
    if (seen == scan) return found;
    ++seen;
    found.after = id;
    VersionId ran = p.version;
    const auto active = store_.active_.find(id);
    if (active != store_.active_.end()) ran = active->second.version;
    if (const auto result = store_.results_.find(id); result != store_.results_.end()) {
      ran = result->second.version;
    }
    if (ran != deletion.version) continue;
    if (active != store_.active_.end()) {
      found.has_active = true;
    } else {
      found.ended.push_back(id);
    }
  }
  if (seen < scan) found.after.reset();
  return found;
}

Status MemoryDiscovery::erase_predictions(std::span<const PredictionId> ids) {
  const std::scoped_lock lock(store_.mutex_);
  for (const PredictionId& id : ids) {
    if (store_.results_.erase(id) == 0) continue;
    store_.predictions_.erase(id);
    store_.without_content_.erase(id);
    store_.forget_attempts(id);
  }
  return absl::OkStatus();
}

Status MemoryDiscovery::finish_version_deletion(VersionId version) {
  const std::scoped_lock lock(store_.mutex_);
  deletions_.erase(version);
  return absl::OkStatus();
}

Status MemoryDiscovery::put_off_version_deletion(VersionId version,
                                                 std::chrono::milliseconds delay) {
  const std::scoped_lock lock(store_.mutex_);
  const auto found = deletions_.find(version);
  if (found != deletions_.end()) found->second.claimed_until = store_.clock_.now() + delay;
  return absl::OkStatus();
}

Result<std::vector<AccountLimits>> MemoryDiscovery::list_account_limits() {
  const std::scoped_lock lock(store_.mutex_);
  std::map<AccountId, AccountLimits> all = limits_;
  for (const auto& [id, account] : store_.accounts_) {
    const auto makers = limits_.find(account.created_by);
    if (makers == limits_.end() || limits_.contains(id)) continue;
    all[id] = makers->second;
    all[id].account = id;
  }
  std::vector<AccountLimits> listed;
  for (const auto& [account, limits] : all) listed.push_back(limits);
  return listed;
}

Result<AccountLimits> MemoryDiscovery::get_account_limits(AccountId account) {
  const std::scoped_lock lock(store_.mutex_);
  if (const auto found = limits_.find(account); found != limits_.end()) return found->second;
  AccountLimits none;
  none.account = account;
  return none;
}

Status MemoryDiscovery::put_account_limits(const AccountLimits& limits) {
  const std::scoped_lock lock(store_.mutex_);
  AccountLimits none;
  none.account = limits.account;
  if (limits == none) {
    limits_.erase(limits.account);
    return absl::OkStatus();
  }
  if (!store_.accounts_.contains(limits.account)) return absl::NotFoundError("no such account");
  limits_[limits.account] = limits;
  return absl::OkStatus();
}

}  // namespace mimeo::store
