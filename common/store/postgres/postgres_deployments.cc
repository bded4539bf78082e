// The part of PostgresStore for targets, deployments and releases.

#include <absl/strings/str_cat.h>

#include <unordered_map>

#include "common/store/postgres/catalog_rows.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_deployments.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

Status no_such(const char* what) { return absl::NotFoundError(absl::StrCat("no such ", what)); }

// In the order of MIMEO_RUNNABLE_SELECT; without releases.
RunnableTarget read_runnable(const pqxx::row& row) {
  RowReader reader(row);
  RunnableTarget runnable;
  runnable.target = read_target(reader);
  runnable.owner = reader.integer();
  Hardware& hardware = runnable.hardware;
  hardware.sku = runnable.target.sku;
  hardware.name = reader.text();
  hardware.resources.cpu_milli = reader.integer_as<std::uint32_t>();
  hardware.resources.memory.count = reader.integer_as<std::uint64_t>();
  hardware.resources.gpus = reader.integer_as<std::uint32_t>();
  hardware.resources.gpu_memory.count = reader.integer_as<std::uint64_t>();
  hardware.resources.scratch.count = reader.integer_as<std::uint64_t>();
  hardware.price_micros_per_second = reader.integer();
  return runnable;
}

// A change between reading the targets and their releases shows in the next reading: its config_seq
// is higher.
std::vector<RunnableTarget> with_releases(Connection& connection, const pqxx::result& rows) {
  std::vector<RunnableTarget> targets;
  std::unordered_map<TargetId, std::size_t> index;
  SqlArray ids;
  for (const pqxx::row& row : rows) {
    targets.push_back(read_runnable(row));
    index[targets.back().target.id] = targets.size() - 1;
    ids.add(targets.back().target.id);
  }
  if (targets.empty()) return targets;
  for (const pqxx::row& row : connection.run(kReleasesOfTargets, ids.take())) {
    RowReader reader(row);
    const TargetId id = reader.integer();
    RunnableRelease release;
    release.number = reader.integer_as<std::int32_t>();
    release.state = reader.integer_as<ReleaseState>();
    release.version = read_version(reader);
    targets[index.at(id)].releases.push_back(std::move(release));
  }
  return targets;
}

Result<Deployment> only(const pqxx::result& rows) {
  if (rows.empty()) return no_such("deployment");
  const pqxx::row row = rows[0];
  RowReader reader(row);
  return read_deployment(reader);
}

void insert_release(Connection& connection, pqxx::transaction_base& transaction,
                    const Release& release) {
  connection.run_in(transaction, kCreateRelease, release.deployment, release.number,
                    sql_version(release.version), release.sku, release.min_instances,
                    release.max_instances, release.created_by, sql_time(release.created_at),
                    static_cast<int>(release.state));
}

Target target_in(const pqxx::result& rows) {
  const pqxx::row row = rows[0];
  RowReader reader(row);
  return read_target(reader);
}

}  // namespace

Result<Target> PostgresStore::ensure_version_pool(VersionId version, std::string_view sku,
                                                  std::int32_t max_instances) {
  using Answer = Result<Target>;
  return pool_->with("making a version pool", [&](Connection& connection) -> Answer {
    const std::string key = sql_version(version);
    const std::string hardware = sanitize_text(sku);
    pqxx::result rows = connection.run(kFindPool, key, hardware);
    if (rows.empty()) {
      connection.run(kMakePool, key, hardware, max_instances,
                     static_cast<int>(TargetKind::kVersionPool));
      rows = connection.run(kFindPool, key, hardware);
    }
    if (rows.empty()) return no_such("version");
    return target_in(rows);
  });
}

Result<RunnableTarget> PostgresStore::get_runnable_target(TargetId id) {
  using Answer = Result<RunnableTarget>;
  return pool_->with("reading a target", [&](Connection& connection) -> Answer {
    auto found = with_releases(connection, connection.run(kGetRunnable, id));
    if (found.empty()) return no_such("target");
    return std::move(found[0]);
  });
}

Result<std::vector<RunnableTarget>> PostgresStore::list_runnable_targets(CellId cell,
                                                                         std::int64_t after_seq,
                                                                         std::size_t limit) {
  using Answer = Result<std::vector<RunnableTarget>>;
  return pool_->with("listing targets", [&](Connection& connection) -> Answer {
    return with_releases(connection, connection.run(kListRunnable, cell, after_seq, limit));
  });
}

Result<Deployment> PostgresStore::create_deployment(const Deployment& deployment) {
  using Answer = Result<Deployment>;
  return pool_->with("creating a deployment", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    if (connection.run_in(transaction, kShareModel, deployment.model).empty()) {
      return no_such("model");
    }
    Release first = deployment.current;
    if (connection.run_in(transaction, kShareVersion, sql_version(first.version)).empty()) {
      return no_such("version");
    }
    const pqxx::result made =
        connection.run_in(transaction, kCreateDeployment, deployment.owner_id, deployment.name,
                          deployment.model, sql_time(deployment.created_at));
    if (made.empty()) return no_such("account");
    first.deployment = made[0][0].as<DeploymentId>();
    first.number = 1;
    first.state = ReleaseState::kLive;
    insert_release(connection, transaction, first);
    connection.run_in(transaction, kMakeDeploymentTarget, first.deployment, first.sku,
                      first.min_instances, first.max_instances);
    auto stored = only(connection.run_in(transaction, kGetDeploymentById, first.deployment));
    transaction.commit();
    return stored;
  });
}

Result<Deployment> PostgresStore::get_deployment(std::string_view owner, std::string_view name) {
  using Answer = Result<Deployment>;
  return pool_->with("reading a deployment", [&](Connection& connection) -> Answer {
    return only(connection.run(kGetDeployment, sanitize_text(owner), sanitize_text(name)));
  });
}

Result<std::vector<Deployment>> PostgresStore::list_deployments(AccountId owner,
                                                                std::optional<WallTime> before,
                                                                std::size_t limit) {
  using Answer = Result<std::vector<Deployment>>;
  return pool_->with("listing deployments", [&](Connection& connection) -> Answer {
    std::vector<Deployment> page;
    for (const pqxx::row& row : connection.run(kListDeployments, owner, sql_time(before), limit)) {
      RowReader reader(row);
      page.push_back(read_deployment(reader));
    }
    return page;
  });
}

Result<Deployment> PostgresStore::update_deployment(DeploymentId id, const DeploymentChange& change,
                                                    AccountId by, WallTime now) {
  using Answer = Result<Deployment>;
  return pool_->with("changing a deployment", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    if (connection.run_in(transaction, kLockDeployment, id).empty()) return no_such("deployment");
    MIMEO_ASSIGN_OR_RETURN(const Deployment before,
                           only(connection.run_in(transaction, kGetDeploymentById, id)));
    const Release& current = before.current;
    Release next = current;
    next.version = change.version.value_or(current.version);
    next.sku = change.sku.value_or(current.sku);
    next.min_instances = change.min_instances.value_or(current.min_instances);
    next.max_instances = change.max_instances.value_or(current.max_instances);
    const bool same_container = next.version == current.version && next.sku == current.sku;
    if (same_container && next.min_instances == current.min_instances &&
        next.max_instances == current.max_instances) {
      return before;
    }
    if (connection.run_in(transaction, kShareVersion, sql_version(next.version)).empty()) {
      return no_such("version");
    }
    ++next.number;
    next.created_by = by;
    next.created_at = now;
    next.state = same_container ? current.state : ReleaseState::kRolling;
    if (same_container || current.state == ReleaseState::kRolling) {
      connection.run_in(transaction, kSupersedeRelease, id, current.number);
    }
    insert_release(connection, transaction, next);
    connection.run_in(transaction, kSetTarget, id, next.sku, next.min_instances,
                      next.max_instances);
    auto stored = only(connection.run_in(transaction, kGetDeploymentById, id));
    transaction.commit();
    return stored;
  });
}

Status PostgresStore::delete_deployment(DeploymentId id, std::chrono::seconds idle_for) {
  return pool_->with("deleting a deployment", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    if (connection.run_in(transaction, kLockDeployment, id).empty()) return no_such("deployment");
    const pqxx::row busy =
        connection.run_in(transaction, kIsDeploymentBusy, id, sql_interval(idle_for))[0];
    if (busy[0].as<bool>()) {
      return absl::FailedPreconditionError("the deployment was used not long ago");
    }
    if (busy[1].as<bool>()) {
      return absl::FailedPreconditionError("the deployment had instances not long ago");
    }
    connection.run_in(transaction, kDeleteDeployment, id);
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::set_release_state(DeploymentId id, std::int32_t number, ReleaseState from,
                                        ReleaseState to) {
  return pool_->with("changing a release", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    if (connection.run_in(transaction, kLockDeployment, id).empty()) return no_such("deployment");
    const pqxx::result changed = connection.run_in(transaction, kSetReleaseState, id, number,
                                                   static_cast<int>(from), static_cast<int>(to));
    if (changed.affected_rows() == 0) {
      if (connection.run_in(transaction, kHasRelease, id, number).empty()) {
        return no_such("release");
      }
      return absl::AbortedError("the release is in another state");
    }
    if (to == ReleaseState::kLive) {
      connection.run_in(transaction, kSupersedeOlderReleases, id, number);
    }
    connection.run_in(transaction, kTouchDeploymentTarget, id);
    transaction.commit();
    return absl::OkStatus();
  });
}

}  // namespace mimeo::store
