// The part of MemoryStore for targets, deployments and releases.

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <limits>

#include "common/store/memory/memory_store.h"

namespace mimeo::store {

void MemoryStore::touch_target(TargetId id) { targets_.at(id).config_seq = ++last_config_seq_; }

void MemoryStore::touch_targets_of(VersionId version) {
  for (const auto& [id, target] : targets_) {
    if (target.version == version) touch_target(id);
  }
  for (const auto& [id, record] : deployments_) {
    const bool uses = std::any_of(record.releases.begin(), record.releases.end(),
                                  [&](const Release& r) { return r.version == version; });
    if (uses) touch_target(record.deployment.target);
  }
}

Target MemoryStore::make_target(Target target) {
  std::map<CellId, int> targets_in;
  for (const auto& [cell, record] : cells_) targets_in[cell] = 0;
  for (const auto& [id, other] : targets_) ++targets_in[other.cell];
  target.cell = 1;
  int fewest = std::numeric_limits<int>::max();
  for (const auto& [cell, record] : cells_) {
    if (targets_in[cell] < fewest)
      std::tie(fewest, target.cell) = std::pair(targets_in[cell], cell);
  }
  target.id = ++last_id_;
  targets_[target.id] = target;
  touch_target(target.id);
  return targets_[target.id];
}

Result<Target> MemoryStore::ensure_version_pool(VersionId version, std::string_view sku,
                                                std::int32_t max_instances) {
  return ensure_pool(TargetKind::kVersionPool, version, sku, max_instances);
}

Result<Target> MemoryStore::ensure_pool(TargetKind kind, VersionId version, std::string_view sku,
                                        std::int32_t max_instances) {
  const std::scoped_lock lock(mutex_);
  if (!versions_.contains(version)) return absl::NotFoundError("no such version");
  for (auto& [id, target] : targets_) {
    if (target.kind != kind || target.version != version || target.sku != sku) continue;
    if (kind == TargetKind::kTraining && target.max_instances != max_instances) {
      target.max_instances = max_instances;
      touch_target(id);
    }
    return target;
  }
  Target target;
  target.kind = kind;
  target.version = version;
  target.sku = sku;
  target.max_instances = max_instances;
  return make_target(target);
}

Hardware MemoryStore::hardware_of(const std::string& sku) const {
  for (const auto& [position, hardware] : hardware_) {
    if (hardware.sku == sku) return hardware;
  }
  Hardware unknown;
  unknown.sku = unknown.name = sku;
  return unknown;
}

RunnableTarget MemoryStore::runnable(const Target& target) const {
  RunnableTarget answer;
  answer.target = target;
  answer.hardware = hardware_of(target.sku);
  if (target.deployment.has_value()) {
    const DeploymentRecord& record = deployments_.at(*target.deployment);
    answer.owner = record.deployment.owner_id;
    for (auto release = record.releases.rbegin(); release != record.releases.rend(); ++release) {
      if (release->state == ReleaseState::kSuperseded) continue;
      answer.releases.push_back({release->number, release->state, versions_.at(release->version)});
    }
  } else if (target.version.has_value()) {
    const Version& version = versions_.at(*target.version);
    answer.owner = models_.at(version.model).model.owner_id;
    if (version.state == VersionState::kReady) {
      answer.releases.push_back({0, ReleaseState::kLive, version});
    }
  }
  return answer;
}

Result<RunnableTarget> MemoryStore::get_runnable_target(TargetId id) {
  const std::scoped_lock lock(mutex_);
  const auto found = targets_.find(id);
  if (found == targets_.end()) return absl::NotFoundError("no such target");
  return runnable(found->second);
}

Result<std::vector<RunnableTarget>> MemoryStore::list_runnable_targets(CellId cell,
                                                                       std::int64_t after_seq,
                                                                       std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<RunnableTarget> page;
  for (const auto& [id, target] : targets_) {
    if (target.cell == cell && target.config_seq > after_seq) page.push_back(runnable(target));
  }
  std::sort(page.begin(), page.end(), [](const RunnableTarget& a, const RunnableTarget& b) {
    return a.target.config_seq < b.target.config_seq;
  });
  if (page.size() > limit) page.resize(limit);
  return page;
}

Deployment MemoryStore::shown(const DeploymentRecord& record) const {
  Deployment deployment = record.deployment;
  deployment.current = record.releases.back();
  for (const auto& [id, prediction] : predictions_) {
    if (prediction.deployment == deployment.id) deployment.last_used_at = prediction.created_at;
  }
  return deployment;
}

MemoryStore::DeploymentRecord* MemoryStore::find_deployment(DeploymentId id) {
  const auto found = deployments_.find(id);
  return found == deployments_.end() || found->second.is_deleted ? nullptr : &found->second;
}

Result<Deployment> MemoryStore::create_deployment(const Deployment& deployment) {
  const std::scoped_lock lock(mutex_);
  const auto owner = accounts_.find(deployment.owner_id);
  if (owner == accounts_.end()) return absl::NotFoundError("no such account");
  const auto model = models_.find(deployment.model);
  if (model == models_.end() || model->second.is_deleted) {
    return absl::NotFoundError("no such model");
  }
  const auto version = versions_.find(deployment.current.version);
  if (version == versions_.end() || version->second.state != VersionState::kReady) {
    return absl::NotFoundError("no such version");
  }
  for (const auto& [id, record] : deployments_) {
    if (!record.is_deleted && record.deployment.owner_id == deployment.owner_id &&
        record.deployment.name == deployment.name) {
      return absl::AlreadyExistsError("a deployment of this name exists");
    }
  }
  DeploymentRecord record{deployment, {}};
  record.deployment.id = ++last_id_;
  record.deployment.owner = owner->second.username;
  record.deployment.model_owner = model->second.model.owner;
  record.deployment.model_name = model->second.model.name;
  Release first = deployment.current;
  first.deployment = record.deployment.id;
  first.number = 1;
  first.state = ReleaseState::kLive;
  record.releases.push_back(first);
  Target target;
  target.kind = TargetKind::kDeployment;
  target.deployment = record.deployment.id;
  target.sku = first.sku;
  target.min_instances = first.min_instances;
  target.max_instances = first.max_instances;
  record.deployment.target = make_target(target).id;
  const auto stored = deployments_.emplace(record.deployment.id, record).first;
  return shown(stored->second);
}

Result<Deployment> MemoryStore::get_deployment(std::string_view owner, std::string_view name) {
  const std::scoped_lock lock(mutex_);
  for (const auto& [id, record] : deployments_) {
    if (!record.is_deleted && record.deployment.owner == owner && record.deployment.name == name) {
      return shown(record);
    }
  }
  return absl::NotFoundError("no such deployment");
}

Result<std::vector<Deployment>> MemoryStore::list_deployments(AccountId owner,
                                                              std::optional<WallTime> before,
                                                              std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<Deployment> page;
  for (const auto& [id, record] : deployments_) {
    if (!record.is_deleted && record.deployment.owner_id == owner &&
        (!before.has_value() || record.deployment.created_at < *before)) {
      page.push_back(shown(record));
    }
  }
  std::sort(page.begin(), page.end(), [](const Deployment& a, const Deployment& b) {
    return std::tie(a.created_at, a.id) > std::tie(b.created_at, b.id);
  });
  if (page.size() > limit) page.resize(limit);
  return page;
}

Result<Deployment> MemoryStore::update_deployment(DeploymentId id, const DeploymentChange& change,
                                                  AccountId by, WallTime now) {
  const std::scoped_lock lock(mutex_);
  DeploymentRecord* record = find_deployment(id);
  if (record == nullptr) return absl::NotFoundError("no such deployment");
  const Release current = record->releases.back();
  Release next = current;
  next.version = change.version.value_or(current.version);
  next.sku = change.sku.value_or(current.sku);
  next.min_instances = change.min_instances.value_or(current.min_instances);
  next.max_instances = change.max_instances.value_or(current.max_instances);
  const bool same_container = next.version == current.version && next.sku == current.sku;
  if (same_container && next.min_instances == current.min_instances &&
      next.max_instances == current.max_instances) {
    return shown(*record);
  }
  const auto version = versions_.find(next.version);
  if (version == versions_.end() || version->second.state != VersionState::kReady) {
    return absl::NotFoundError("no such version");
  }
  ++next.number;
  next.created_by = by;
  next.created_at = now;
  next.state = same_container ? current.state : ReleaseState::kRolling;
  if (same_container || current.state == ReleaseState::kRolling) {
    record->releases.back().state = ReleaseState::kSuperseded;
  }
  record->releases.push_back(next);
  Target& target = targets_.at(record->deployment.target);
  target.sku = next.sku;
  target.min_instances = next.min_instances;
  target.max_instances = next.max_instances;
  touch_target(target.id);
  return shown(*record);
}

Status MemoryStore::delete_deployment(DeploymentId id, std::chrono::seconds idle_for) {
  const std::scoped_lock lock(mutex_);
  DeploymentRecord* record = find_deployment(id);
  if (record == nullptr) return absl::NotFoundError("no such deployment");
  const WallTime since = clock_.now() - idle_for;
  const auto last_used = shown(*record).last_used_at;
  if (last_used.has_value() && *last_used > since) {
    return absl::FailedPreconditionError("the deployment was used not long ago");
  }
  const TargetId target_id = record->deployment.target;
  for (const auto& [instance_id, row] : instances_) {
    if (row.target == target_id && (!is_terminal(row.state) || row.state_since > since)) {
      return absl::FailedPreconditionError("the deployment had instances not long ago");
    }
  }
  record->is_deleted = true;
  for (Release& release : record->releases) release.state = ReleaseState::kSuperseded;
  Target& target = targets_.at(target_id);
  target.min_instances = target.max_instances = 0;
  touch_target(target_id);
  return absl::OkStatus();
}

Status MemoryStore::set_release_state(DeploymentId id, std::int32_t number, ReleaseState from,
                                      ReleaseState to) {
  const std::scoped_lock lock(mutex_);
  DeploymentRecord* record = find_deployment(id);
  if (record == nullptr) return absl::NotFoundError("no such deployment");
  for (Release& release : record->releases) {
    if (release.number != number) continue;
    if (release.state != from) return absl::AbortedError("the release is in another state");
    release.state = to;
    if (to == ReleaseState::kLive) {
      for (Release& older : record->releases) {
        if (older.number < number) older.state = ReleaseState::kSuperseded;
      }
    }
    touch_target(record->deployment.target);
    return absl::OkStatus();
  }
  return absl::NotFoundError("no such release");
}

}  // namespace mimeo::store
