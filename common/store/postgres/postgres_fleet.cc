// The FleetStore part of PostgresStore.

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <map>

#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_fleet.h"

namespace mimeo::store {
namespace {

InstanceRow instance_of(const pqxx::row& row) {
  RowReader reader(row);
  InstanceRow instance;
  instance.id = reader.uuid();
  instance.target = reader.integer();
  instance.version = reader.version();
  instance.release = reader.integer_as<std::int32_t>();
  instance.worker = reader.uuid();
  instance.incarnation = reader.integer_as<std::uint64_t>();
  instance.sku = reader.text();
  std::string gpus = reader.text();  // "{0,3}"
  for (std::size_t at = 1; at + 1 < gpus.size();) {
    std::size_t used = 0;
    instance.gpu_indices.push_back(static_cast<std::uint32_t>(std::stoul(gpus.substr(at), &used)));
    at += used + 1;
  }
  instance.state = reader.integer_as<InstanceState>();
  instance.state_since = reader.time();
  instance.ready_at = reader.maybe_time();
  instance.detail = reader.text();
  return instance;
}

template <class Rows>
std::vector<InstanceRow> instances_of(const Rows& rows) {
  std::vector<InstanceRow> instances;
  for (const pqxx::row& row : rows) instances.push_back(instance_of(row));
  return instances;
}

}  // namespace

Status PostgresStore::heartbeat_replica(const Replica& replica, std::chrono::milliseconds ttl) {
  return pool_->with("renewing a replica", [&](Connection& connection) -> Status {
    connection.run(kHeartbeatReplica, replica.id.hex(), static_cast<int>(replica.role),
                   replica.addr, replica.version, sql_interval(ttl));
    return absl::OkStatus();
  });
}

Status PostgresStore::remove_replica(ReplicaId id) {
  return pool_->with("removing a replica", [&](Connection& connection) -> Status {
    connection.run(kRemoveReplica, id.hex());
    return absl::OkStatus();
  });
}

Result<std::vector<Replica>> PostgresStore::list_replicas(ReplicaRole role) {
  using Answer = Result<std::vector<Replica>>;
  return pool_->with("listing replicas", [&](Connection& connection) -> Answer {
    std::vector<Replica> replicas;
    for (const pqxx::row& row : connection.run(kListReplicas, static_cast<int>(role))) {
      RowReader reader(row);
      Replica replica;
      replica.id = reader.uuid();
      replica.role = reader.integer_as<ReplicaRole>();
      replica.addr = reader.text();
      replica.version = reader.text();
      replicas.push_back(std::move(replica));
    }
    return replicas;
  });
}

Status PostgresStore::ensure_cell(CellId cell) {
  return pool_->with("making a cell", [&](Connection& connection) -> Status {
    connection.run(kEnsureCell, cell);
    return absl::OkStatus();
  });
}

Result<std::vector<CellLease>> PostgresStore::list_cells() {
  using Answer = Result<std::vector<CellLease>>;
  return pool_->with("listing cells", [&](Connection& connection) -> Answer {
    std::vector<CellLease> cells;
    for (const pqxx::row& row : connection.run(kListCells)) {
      RowReader reader(row);
      CellLease lease;
      lease.cell = reader.integer_as<CellId>();
      lease.owner = reader.uuid();
      lease.owner_addr = reader.text();
      lease.epoch = reader.integer_as<std::uint64_t>();
      lease.is_held = reader.boolean();
      cells.push_back(std::move(lease));
    }
    return cells;
  });
}

Result<CellLease> PostgresStore::take_cell(CellId cell, ReplicaId owner,
                                           std::string_view owner_addr,
                                           std::chrono::milliseconds lease) {
  using Answer = Result<CellLease>;
  return pool_->with("taking a cell", [&](Connection& connection) -> Answer {
    CellLease taken;
    taken.cell = cell;
    taken.owner = owner;
    taken.owner_addr = owner_addr;
    taken.is_held = true;
    const pqxx::row row =
        connection.run(kTakeCell, cell, owner.hex(), taken.owner_addr, sql_interval(lease))[0];
    RowReader reader(row);
    if (!reader.boolean()) return absl::NotFoundError(absl::StrCat("there is no cell ", cell));
    const auto epoch = reader.maybe_integer();
    if (!epoch.has_value()) return absl::AbortedError("another scheduler holds the cell");
    taken.epoch = static_cast<std::uint64_t>(*epoch);
    return taken;
  });
}

Status PostgresStore::renew_cell(const Fence& fence, ReplicaId owner,
                                 std::chrono::milliseconds lease) {
  return pool_->with("renewing a cell", [&](Connection& connection) -> Status {
    const pqxx::result result =
        connection.run(kRenewCell, fence.cell, static_cast<std::int64_t>(fence.epoch), owner.hex(),
                       sql_interval(lease));
    return result.affected_rows() == 1 ? absl::OkStatus()
                                       : absl::AbortedError("the cell is not ours any more");
  });
}

Status PostgresStore::release_cell(const Fence& fence, ReplicaId owner) {
  return pool_->with("releasing a cell", [&](Connection& connection) -> Status {
    connection.run(kReleaseCell, fence.cell, static_cast<std::int64_t>(fence.epoch), owner.hex());
    return absl::OkStatus();
  });
}

Status PostgresStore::create_worker_token(std::string_view hash, std::string_view name,
                                          CellId cell) {
  return pool_->with("creating a worker token", [&](Connection& connection) -> Status {
    connection.run(kCreateWorkerToken, sql_bytea(hash), std::string(name), cell);
    return absl::OkStatus();
  });
}

Result<CellId> PostgresStore::check_worker_token(std::string_view hash) {
  using Answer = Result<CellId>;
  return pool_->with("checking a worker token", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(kCheckWorkerToken, sql_bytea(hash));
    if (rows.empty()) return absl::UnauthenticatedError("unknown worker token");
    return rows[0][0].as<CellId>();
  });
}

Result<std::uint64_t> PostgresStore::register_worker(const WorkerRow& row) {
  using Answer = Result<std::uint64_t>;
  return pool_->with("registering a worker", [&](Connection& connection) -> Answer {
    const std::string inventory = row.inventory.empty() ? "{}" : row.inventory;
    return connection
        .run(kRegisterWorker, row.id.hex(), row.cell, static_cast<std::int64_t>(row.incarnation),
             row.hostname, inventory)[0][0]
        .as<std::uint64_t>();
  });
}

Status PostgresStore::set_worker_state(WorkerId id, WorkerState state) {
  return pool_->with("changing a worker's state", [&](Connection& connection) -> Status {
    const pqxx::result result = connection.run(kSetWorkerState, id.hex(), static_cast<int>(state));
    return result.affected_rows() == 1 ? absl::OkStatus() : absl::NotFoundError("no such worker");
  });
}

Result<std::vector<WorkerRow>> PostgresStore::list_workers(CellId cell) {
  using Answer = Result<std::vector<WorkerRow>>;
  return pool_->with("listing workers", [&](Connection& connection) -> Answer {
    std::vector<WorkerRow> workers;
    for (const pqxx::row& row : connection.run(kListWorkers, cell)) {
      RowReader reader(row);
      WorkerRow worker;
      worker.id = reader.uuid();
      worker.cell = reader.integer_as<CellId>();
      worker.incarnation = reader.integer_as<std::uint64_t>();
      worker.hostname = reader.text();
      worker.inventory = reader.text();
      worker.state = reader.integer_as<WorkerState>();
      worker.state_since = reader.time();
      workers.push_back(std::move(worker));
    }
    return workers;
  });
}

Status PostgresStore::insert_instances(const Fence& fence, std::span<const InstanceRow> rows) {
  return pool_->with("inserting instances", [&](Connection& connection) -> Status {
    SqlArray id, target, version, release, worker, incarnation, sku, gpus, state, ready, detail;
    SqlArray started_for;
    for (const InstanceRow& row : rows) {
      id.add(row.id);
      target.add(row.target);
      version.add(row.version);
      release.add(static_cast<std::int64_t>(row.release));
      worker.add(row.worker);
      incarnation.add(static_cast<std::int64_t>(row.incarnation));
      sku.add_text(row.sku);
      gpus.add_text(absl::StrCat("{", absl::StrJoin(row.gpu_indices, ","), "}"));
      state.add(static_cast<std::int64_t>(row.state));
      ready.add(row.ready_at);
      detail.add_text(row.detail);
      started_for.add(row.started_for);
    }
    const pqxx::result result = connection.run(
        kInsertInstances, fence.cell, static_cast<std::int64_t>(fence.epoch), id.take(),
        target.take(), version.take(), release.take(), worker.take(), incarnation.take(),
        sku.take(), gpus.take(), state.take(), ready.take(), detail.take(), started_for.take());
    return result[0][0].as<bool>() ? absl::OkStatus()
                                   : absl::AbortedError("another scheduler owns the cell");
  });
}

Status PostgresStore::update_instances(std::span<const InstanceChange> changes) {
  // Of several changes of one instance the last counts, but none after a terminal one; in the order
  // of ids, so that two batches lock their rows in the same order.
  std::map<InstanceId, InstanceChange> last;
  for (const InstanceChange& change : changes) {
    const auto [entry, is_new] = last.emplace(change.id, change);
    if (!is_new && !is_terminal(entry->second.state)) {
      std::string detail = change.detail.empty() ? entry->second.detail : change.detail;
      entry->second = {change.id, change.state, std::move(detail)};
    }
  }
  return pool_->with("updating instances", [&](Connection& connection) -> Status {
    SqlArray id, state, detail;
    for (const auto& [key, change] : last) {
      id.add(key);
      state.add(static_cast<std::int64_t>(change.state));
      detail.add_text_or_null(change.detail);
    }
    connection.run(kUpdateInstances, id.take(), state.take(), detail.take());
    return absl::OkStatus();
  });
}

Result<std::vector<InstanceRow>> PostgresStore::list_live_instances(CellId cell) {
  using Answer = Result<std::vector<InstanceRow>>;
  return pool_->with("listing instances", [&](Connection& connection) -> Answer {
    return instances_of(connection.run(kListLiveInstances, cell));
  });
}

Result<std::vector<InstanceRow>> PostgresStore::list_target_instances(TargetId target,
                                                                      std::size_t limit) {
  using Answer = Result<std::vector<InstanceRow>>;
  return pool_->with("listing instances", [&](Connection& connection) -> Answer {
    return instances_of(connection.run(kListTargetInstances, target, limit));
  });
}

}  // namespace mimeo::store
