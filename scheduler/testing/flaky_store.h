// Stands in for a database that goes away: the same store, but every call fails while it is away.

#pragma once

#include <atomic>

#include "common/store/fleet.h"
#include "common/store/predictions.h"

namespace mimeo::scheduler::testing {

// Safe from any thread.
class FlakyStore final : public store::PredictionStore, public store::FleetStore {
 public:
  FlakyStore(store::PredictionStore& predictions, store::FleetStore& fleet)
      : predictions_(predictions), fleet_(fleet) {}

  std::atomic<bool> is_away = false;

  // PredictionStore
  Result<std::vector<store::Created>> create(std::span<const store::NewPrediction> batch) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.create(batch);
  }
  Result<std::vector<store::Assigned>> assign(const store::Fence& fence,
                                              std::span<const store::Assignment> batch) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.assign(fence, batch);
  }
  Result<std::vector<bool>> mark_started(std::span<const store::Started> batch) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.mark_started(batch);
  }
  Result<std::vector<store::FinishOutcome>> finish(std::span<const store::Finish> batch) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.finish(batch);
  }
  Result<std::vector<bool>> requeue(const store::Fence& fence,
                                    std::span<const store::Requeue> batch) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.requeue(fence, batch);
  }
  Result<store::Canceled> cancel(PredictionId id, AccountId account, WallTime now) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.cancel(id, account, now);
  }
  Status mark_output_seen(std::span<const PredictionId> ids) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.mark_output_seen(ids);
  }
  Result<store::PredictionView> get(PredictionId id, AccountId account) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.get(id, account);
  }
  Result<store::PredictionView> get_by_stream_token(PredictionId id,
                                                    std::string_view token) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.get_by_stream_token(id, token);
  }
  Result<std::string> get_input(PredictionId id) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.get_input(id);
  }
  Result<std::vector<store::PredictionView>> list(const store::PredictionFilter& filter) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.list(filter);
  }
  Result<std::vector<PredictionId>> which_are_terminal(std::span<const PredictionId> ids) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.which_are_terminal(ids);
  }
  Result<std::vector<store::ActiveRow>> scan_active(CellId cell, PredictionId after,
                                                    std::size_t limit) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.scan_active(cell, after, limit);
  }
  Result<std::int64_t> count_active(AccountId account) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return predictions_.count_active(account);
  }
  // FleetStore
  Status heartbeat_replica(const store::Replica& replica, std::chrono::milliseconds ttl) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.heartbeat_replica(replica, ttl);
  }
  Status remove_replica(ReplicaId id) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.remove_replica(id);
  }
  Result<std::vector<store::Replica>> list_replicas(store::ReplicaRole role) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.list_replicas(role);
  }
  Status ensure_cell(CellId cell) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.ensure_cell(cell);
  }
  Result<std::vector<store::CellLease>> list_cells() override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.list_cells();
  }
  Result<store::CellLease> take_cell(CellId cell, ReplicaId owner, std::string_view owner_addr,
                                     std::chrono::milliseconds lease) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.take_cell(cell, owner, owner_addr, lease);
  }
  Status renew_cell(const store::Fence& fence, ReplicaId owner,
                    std::chrono::milliseconds lease) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.renew_cell(fence, owner, lease);
  }
  Status release_cell(const store::Fence& fence, ReplicaId owner) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.release_cell(fence, owner);
  }
  Status create_worker_token(std::string_view hash, std::string_view name, CellId cell) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.create_worker_token(hash, name, cell);
  }
  Result<CellId> check_worker_token(std::string_view hash) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.check_worker_token(hash);
  }
  Result<std::uint64_t> register_worker(const store::WorkerRow& row) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.register_worker(row);
  }
  Status set_worker_state(WorkerId id, store::WorkerState state) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.set_worker_state(id, state);
  }
  Result<std::vector<store::WorkerRow>> list_workers(CellId cell) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.list_workers(cell);
  }
  Status insert_instances(const store::Fence& fence,
                          std::span<const store::InstanceRow> rows) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.insert_instances(fence, rows);
  }
  Status update_instances(std::span<const store::InstanceChange> changes) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.update_instances(changes);
  }
  Result<std::vector<store::InstanceRow>> list_live_instances(CellId cell) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.list_live_instances(cell);
  }
  Result<std::vector<store::InstanceRow>> list_target_instances(TargetId target,
                                                                std::size_t limit) override {
    if (is_away) return absl::UnavailableError("the database is away");
    return fleet_.list_target_instances(target, limit);
  }

 private:
  store::PredictionStore& predictions_;
  store::FleetStore& fleet_;
};

}  // namespace mimeo::scheduler::testing
