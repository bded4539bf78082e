// Persistence of who owns what and which machines there are: cells with their leases, live
// processes, workers and instances. Same rules as predictions.h. Leases are compared with the
// database's own clock. Heartbeats are never written here.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/domain/instance.h"
#include "common/store/predictions.h"

namespace mimeo::store {

enum class ReplicaRole : std::uint8_t { kControlPlane = 0, kScheduler = 1 };
struct Replica {
  ReplicaId id;
  ReplicaRole role = ReplicaRole::kControlPlane;
  std::string addr;  // gRPC target string for the other processes.
  std::string version;
};

struct CellLease {
  CellId cell = 0;
  ReplicaId owner;
  std::string owner_addr;
  std::uint64_t epoch = 0;
  bool is_held = false;  // The lease has not expired (by the database's clock).
};

enum class WorkerState : std::uint8_t { kReady = 0, kDraining = 1, kLost = 2, kGone = 3 };
struct WorkerRow {
  WorkerId id;
  CellId cell = 0;
  std::uint64_t incarnation = 0;
  std::string hostname;
  std::string inventory;  // JSON: skus, total, gpus, labels, version, runtime.
  WorkerState state = WorkerState::kReady;
  WallTime state_since;
};

struct InstanceRow {
  InstanceId id;
  TargetId target = 0;
  VersionId version;
  std::int32_t release = 0;
  WorkerId worker;
  std::uint64_t incarnation = 0;
  std::string sku;
  std::vector<std::uint32_t> gpu_indices;
  InstanceState state = InstanceState::kRequested;
  WallTime state_since;
  std::optional<WallTime> ready_at;
  std::string detail;  // Reason of a failure, with the log's tail.
  // Training pools: whose training it is started for, who therefore pays for its setup (usage.h).
  // 0: not known. For insert_instances only; reads leave it 0.
  AccountId started_for = 0;
};
struct InstanceChange {
  InstanceId id;
  InstanceState state = InstanceState::kRequested;
  std::string detail;
};

class FleetStore {
 public:
  virtual ~FleetStore() = default;

  // Live processes. heartbeat inserts or renews for `ttl`.
  virtual Status heartbeat_replica(const Replica& replica, std::chrono::milliseconds ttl) = 0;
  virtual Status remove_replica(ReplicaId id) = 0;
  virtual Result<std::vector<Replica>> list_replicas(ReplicaRole role) = 0;

  // Cells. ensure_cell makes the row if missing.
  virtual Status ensure_cell(CellId cell) = 0;
  virtual Result<std::vector<CellLease>> list_cells() = 0;
  // Takes an expired or released cell, or one that `owner` holds already: epoch + 1. Returns after
  // every fenced batch of the previous owner was committed or refused. kAborted when somebody else
  // holds it, kNotFound when there is no such cell.
  virtual Result<CellLease> take_cell(CellId cell, ReplicaId owner, std::string_view owner_addr,
                                      std::chrono::milliseconds lease) = 0;
  // kAborted when the cell is not ours with that epoch any more.
  virtual Status renew_cell(const Fence& fence, ReplicaId owner,
                            std::chrono::milliseconds lease) = 0;
  // Gives the lease back at once (planned handover). OK also when it was not ours.
  virtual Status release_cell(const Fence& fence, ReplicaId owner) = 0;

  // Workers. Join tokens are stored as SHA-256. kAlreadyExists.
  virtual Status create_worker_token(std::string_view hash, std::string_view name, CellId cell) = 0;
  // The cell that this token joins; kUnauthenticated when unknown or disabled.
  virtual Result<CellId> check_worker_token(std::string_view hash) = 0;
  // Inserts or updates; returns the incarnation to use: the stored one when it equals or exceeds
  // `row.incarnation` and the worker was not declared lost, else one higher than both. A new worker
  // keeps its own (at least 1). The state becomes kReady, but a draining worker stays kDraining.
  virtual Result<std::uint64_t> register_worker(const WorkerRow& row) = 0;
  // kNotFound.
  virtual Status set_worker_state(WorkerId id, WorkerState state) = 0;
  // By hostname, all states. Cell 0 = of all cells.
  virtual Result<std::vector<WorkerRow>> list_workers(CellId cell) = 0;

  // Instances. insert is fenced (kAborted). It also decides who pays for them (usage.h). One of a
  // training pool with nobody in `started_for` is for the training that has waited longest there.
  virtual Status insert_instances(const Fence& fence, std::span<const InstanceRow> rows) = 0;
  // Never leaves a terminal state; unknown ids are ignored.
  virtual Status update_instances(std::span<const InstanceChange> changes) = 0;
  // Those not in a terminal state whose worker is in the cell. Cell 0 = of all cells.
  virtual Result<std::vector<InstanceRow>> list_live_instances(CellId cell) = 0;
  // Newest first, terminal ones too; for the API and console.
  virtual Result<std::vector<InstanceRow>> list_target_instances(TargetId target,
                                                                 std::size_t limit) = 0;
};

// How long what terminal predictions leave behind is kept at least.
struct Retention {
  std::chrono::hours content{25};       // Inputs, outputs and logs.
  std::chrono::hours records{30 * 24};  // The predictions and their results.
};

// Housekeeping that the service does by itself.
class MaintenanceStore {
 public:
  virtual ~MaintenanceStore() = default;
  // Makes partitions for [now - 1 day, now + ahead]. Idempotent; several processes may call it at
  // once.
  virtual Status make_partitions(WallTime now, std::chrono::hours ahead) = 0;
  // Cheap round trip; for /readyz.
  virtual Status ping() = 0;
  // The database's clock, to measure the offset of ours.
  virtual Result<WallTime> now() = 0;
  // Drops whole partitions that are older than `keep` and hold no active prediction, and forgets
  // processes, idempotency keys and meters of instances (usage.h) long gone. Idempotent; several
  // processes may call it at once. Returns how many partitions were dropped.
  virtual Result<std::int32_t> drop_expired(WallTime now, const Retention& keep) = 0;
};

}  // namespace mimeo::store
