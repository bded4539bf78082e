// The FleetStore part of MemoryStore.

#include <algorithm>

#include "common/store/memory/memory_store.h"

namespace mimeo::store {

Status MemoryStore::heartbeat_replica(const Replica& replica, std::chrono::milliseconds ttl) {
  const std::scoped_lock lock(mutex_);
  replicas_[replica.id] = {replica, clock_.now() + ttl};
  return absl::OkStatus();
}

Status MemoryStore::remove_replica(ReplicaId id) {
  const std::scoped_lock lock(mutex_);
  replicas_.erase(id);
  return absl::OkStatus();
}

Result<std::vector<Replica>> MemoryStore::list_replicas(ReplicaRole role) {
  const std::scoped_lock lock(mutex_);
  std::vector<Replica> live;
  for (const auto& [id, entry] : replicas_) {
    if (entry.first.role == role && entry.second > clock_.now()) live.push_back(entry.first);
  }
  return live;
}

Status MemoryStore::ensure_cell(CellId cell) {
  const std::scoped_lock lock(mutex_);
  cells_[cell].lease.cell = cell;
  return absl::OkStatus();
}

Result<std::vector<CellLease>> MemoryStore::list_cells() {
  const std::scoped_lock lock(mutex_);
  std::vector<CellLease> cells;
  for (const auto& [id, record] : cells_) {
    cells.push_back(record.lease);
    cells.back().is_held = !record.lease.owner.is_nil() && record.until > clock_.now();
  }
  return cells;
}

Result<CellLease> MemoryStore::take_cell(CellId cell, ReplicaId owner, std::string_view owner_addr,
                                         std::chrono::milliseconds lease) {
  const std::scoped_lock lock(mutex_);
  const auto found = cells_.find(cell);
  if (found == cells_.end()) return absl::NotFoundError("no such cell");
  CellRecord& record = found->second;
  const bool held = !record.lease.owner.is_nil() && record.until > clock_.now();
  if (held && record.lease.owner != owner) return absl::AbortedError("the cell is held");
  record.lease.owner = owner;
  record.lease.owner_addr = owner_addr;
  ++record.lease.epoch;
  record.until = clock_.now() + lease;
  CellLease answer = record.lease;
  answer.is_held = true;
  return answer;
}

Status MemoryStore::renew_cell(const Fence& fence, ReplicaId owner,
                               std::chrono::milliseconds lease) {
  const std::scoped_lock lock(mutex_);
  if (!fence_holds(fence) || cells_.at(fence.cell).lease.owner != owner) {
    return absl::AbortedError("the cell is not ours any more");
  }
  cells_.at(fence.cell).until = clock_.now() + lease;
  return absl::OkStatus();
}

Status MemoryStore::release_cell(const Fence& fence, ReplicaId owner) {
  const std::scoped_lock lock(mutex_);
  if (fence_holds(fence) && cells_.at(fence.cell).lease.owner == owner) {
    cells_.at(fence.cell).lease.owner = {};
    cells_.at(fence.cell).lease.owner_addr.clear();
  }
  return absl::OkStatus();
}

Status MemoryStore::create_worker_token(std::string_view hash, std::string_view, CellId cell) {
  const std::scoped_lock lock(mutex_);
  return worker_tokens_.emplace(hash, cell).second ? absl::OkStatus()
                                                   : absl::AlreadyExistsError("this token exists");
}

Result<CellId> MemoryStore::check_worker_token(std::string_view hash) {
  const std::scoped_lock lock(mutex_);
  const auto found = worker_tokens_.find(hash);
  if (found == worker_tokens_.end()) return absl::UnauthenticatedError("unknown worker token");
  return found->second;
}

Result<std::uint64_t> MemoryStore::register_worker(const WorkerRow& row) {
  const std::scoped_lock lock(mutex_);
  WorkerRow stored = row;
  stored.state_since = clock_.now();
  stored.state = WorkerState::kReady;
  stored.incarnation = std::max<std::uint64_t>(row.incarnation, 1);
  if (const auto found = workers_.find(row.id); found != workers_.end()) {
    const WorkerRow& old = found->second;
    const bool was_given_up = old.state == WorkerState::kLost || old.state == WorkerState::kGone;
    stored.incarnation = !was_given_up && old.incarnation >= row.incarnation
                             ? old.incarnation
                             : std::max(old.incarnation, row.incarnation) + 1;
    if (!was_given_up) {
      stored.state = old.state;
      stored.state_since = old.state_since;
    }
  }
  workers_[row.id] = stored;
  return stored.incarnation;
}

Status MemoryStore::set_worker_state(WorkerId id, WorkerState state) {
  const std::scoped_lock lock(mutex_);
  const auto found = workers_.find(id);
  if (found == workers_.end()) return absl::NotFoundError("no such worker");
  if (found->second.state != state) {
    found->second.state = state;
    found->second.state_since = clock_.now();
  }
  return absl::OkStatus();
}

Result<std::vector<WorkerRow>> MemoryStore::list_workers(CellId cell) {
  const std::scoped_lock lock(mutex_);
  std::vector<WorkerRow> rows;
  for (const auto& [id, row] : workers_) {
    if (cell == 0 || row.cell == cell) rows.push_back(row);
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const WorkerRow& a, const WorkerRow& b) { return a.hostname < b.hostname; });
  return rows;
}

// What runs on the target with this model, as things are now.
UsageKind MemoryStore::usage_kind(TargetId target, ModelId model) const {
  const auto found = targets_.find(target);
  if (found == targets_.end()) return UsageKind::kPublicModel;
  if (found->second.kind == TargetKind::kTraining) return UsageKind::kTraining;
  if (found->second.kind == TargetKind::kDeployment) return UsageKind::kDeployment;
  const auto record = models_.find(model);
  const bool is_private =
      record != models_.end() && record->second.model.visibility == Visibility::kPrivate;
  return is_private ? UsageKind::kPrivateModel : UsageKind::kPublicModel;
}

MemoryStore::InstanceTerms MemoryStore::terms_of(const InstanceRow& instance) const {
  const auto version = versions_.find(instance.version);
  const ModelId model = version == versions_.end() ? 0 : version->second.model;
  InstanceTerms terms{usage_kind(instance.target, model), kUnbilled};
  if (terms.kind == UsageKind::kDeployment) {
    const auto owner = deployments_.find(targets_.at(instance.target).deployment.value_or(0));
    if (owner != deployments_.end()) terms.payer = owner->second.deployment.owner_id;
  } else if (terms.kind == UsageKind::kPrivateModel) {
    terms.payer = models_.at(model).model.owner_id;
  } else if (terms.kind == UsageKind::kTraining) {
    terms.payer = instance.started_for;
    for (auto it = active_.begin(); it != active_.end() && terms.payer == kUnbilled; ++it) {
      const ActiveRow& row = it->second.row;
      const bool waits = row.target == instance.target && row.state == ActiveState::kQueued;
      if (waits) terms.payer = row.account;
    }
  }
  return terms;
}

Status MemoryStore::insert_instances(const Fence& fence, std::span<const InstanceRow> rows) {
  const std::scoped_lock lock(mutex_);
  if (!fence_holds(fence)) return absl::AbortedError("another scheduler owns the cell");
  for (const InstanceRow& row : rows) {
    InstanceRow stored = row;
    stored.state_since = clock_.now();
    stored.started_for = 0;
    // A repeated one stays as it is.
    if (!instances_.emplace(row.id, stored).second) continue;
    instance_terms_.emplace(row.id, terms_of(row));
  }
  return absl::OkStatus();
}

Status MemoryStore::update_instances(std::span<const InstanceChange> changes) {
  const std::scoped_lock lock(mutex_);
  for (const InstanceChange& change : changes) {
    const auto found = instances_.find(change.id);
    if (found == instances_.end() || is_terminal(found->second.state)) continue;
    InstanceRow& row = found->second;
    if (row.state != change.state) row.state_since = clock_.now();
    row.state = change.state;
    if (!change.detail.empty()) row.detail = change.detail;
    if (change.state == InstanceState::kReady && !row.ready_at.has_value()) {
      row.ready_at = clock_.now();
    }
  }
  return absl::OkStatus();
}

Result<std::vector<InstanceRow>> MemoryStore::list_live_instances(CellId cell) {
  const std::scoped_lock lock(mutex_);
  std::vector<InstanceRow> rows;
  for (const auto& [id, row] : instances_) {
    const auto worker = workers_.find(row.worker);
    const CellId at = worker == workers_.end() ? 0 : worker->second.cell;
    if (!is_terminal(row.state) && (cell == 0 || at == cell)) rows.push_back(row);
  }
  return rows;
}

Result<std::vector<InstanceRow>> MemoryStore::list_target_instances(TargetId target,
                                                                    std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<InstanceRow> rows;
  for (auto it = instances_.rbegin(); it != instances_.rend() && rows.size() < limit; ++it) {
    if (it->second.target == target) rows.push_back(it->second);
  }
  return rows;
}

}  // namespace mimeo::store
