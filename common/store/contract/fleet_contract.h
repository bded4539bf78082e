// Contract of FleetStore.

#pragma once

#include <thread>

#include "common/store/contract/store_contract.h"

namespace mimeo::store {

class FleetContract : public StoreContract {
 protected:
  static absl::StatusCode code(const Status& status) { return status.code(); }
  static absl::StatusCode code(const auto& result) { return result.status().code(); }

  CellLease cell(CellId id) {
    const auto cells = fleet().list_cells();
    EXPECT_TRUE(cells.ok()) << cells.status();
    for (const CellLease& lease : *cells) {
      if (lease.cell == id) return lease;
    }
    ADD_FAILURE() << "no cell " << id;
    return {};
  }
  // Waits until `done`, which the database's clock decides.
  template <class Condition>
  static bool comes_true(const Condition& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  WorkerRow worker_row(std::uint64_t incarnation) const {
    WorkerRow row;
    row.id = worker_;
    row.cell = 1;
    row.incarnation = incarnation;
    row.hostname = "host-1";
    row.inventory = R"({"skus": ["cpu"]})";
    return row;
  }
  std::uint64_t registered(std::uint64_t incarnation) {
    const auto answer = fleet().register_worker(worker_row(incarnation));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return *answer;
  }
  InstanceRow instance_row() {
    InstanceRow row;
    row.id = ids_.next();
    row.target = target_.id;
    row.version = version_;
    row.release = 2;
    row.worker = worker_;
    row.incarnation = 3;
    row.sku = "cpu";
    row.gpu_indices = {1, 4};
    return row;
  }
};

// --- replicas ---

TEST_P(FleetContract, LiveProcessesAreListedByRole) {
  const Replica a{ids_.next(), ReplicaRole::kControlPlane, "127.0.0.1:1", "1.0"};
  const Replica b{ids_.next(), ReplicaRole::kScheduler, "unix:/x", "1.0"};
  ASSERT_TRUE(fleet().heartbeat_replica(a, std::chrono::hours{1}).ok());
  ASSERT_TRUE(fleet().heartbeat_replica(b, std::chrono::hours{1}).ok());
  ASSERT_TRUE(fleet().heartbeat_replica(b, std::chrono::hours{1}).ok());
  const auto schedulers = fleet().list_replicas(ReplicaRole::kScheduler);
  ASSERT_EQ(schedulers->size(), 1u);
  EXPECT_EQ(schedulers->at(0).id, b.id);
  EXPECT_EQ(schedulers->at(0).addr, "unix:/x");
  EXPECT_EQ(schedulers->at(0).version, "1.0");
  ASSERT_TRUE(fleet().remove_replica(b.id).ok());
  ASSERT_TRUE(fleet().remove_replica(b.id).ok());
  EXPECT_TRUE(fleet().list_replicas(ReplicaRole::kScheduler)->empty());
}

TEST_P(FleetContract, AProcessThatStopsRenewingDisappears) {
  const Replica a{ids_.next(), ReplicaRole::kControlPlane, "127.0.0.1:1", "1.0"};
  ASSERT_TRUE(fleet().heartbeat_replica(a, std::chrono::milliseconds{1}).ok());
  EXPECT_TRUE(
      comes_true([&] { return fleet().list_replicas(ReplicaRole::kControlPlane)->empty(); }));
}

// --- cells ---

TEST_P(FleetContract, AHeldCellIsNotTaken) {
  EXPECT_TRUE(cell(1).is_held);
  EXPECT_EQ(cell(1).owner, scheduler_);
  EXPECT_EQ(cell(1).owner_addr, "here:1");
  EXPECT_EQ(code(fleet().take_cell(1, ids_.next(), "x", std::chrono::hours{1})),
            absl::StatusCode::kAborted);
  EXPECT_EQ(cell(1).epoch, fence_.epoch);
  EXPECT_EQ(code(fleet().take_cell(99, ids_.next(), "x", std::chrono::hours{1})),
            absl::StatusCode::kNotFound);
}

TEST_P(FleetContract, TheOwnerMayTakeItsCellAgain) {
  const auto again = fleet().take_cell(1, scheduler_, "here:2", std::chrono::hours{1});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->epoch, fence_.epoch + 1);
  EXPECT_EQ(cell(1).owner_addr, "here:2");
}

TEST_P(FleetContract, AReleasedCellIsTakenAtOnce) {
  ASSERT_TRUE(fleet().release_cell(fence_, scheduler_).ok());
  EXPECT_FALSE(cell(1).is_held);
  const ReplicaId other = ids_.next();
  const auto taken = fleet().take_cell(1, other, "x", std::chrono::hours{1});
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->epoch, fence_.epoch + 1);
  EXPECT_TRUE(taken->is_held);
  EXPECT_EQ(taken->owner, other);
  EXPECT_TRUE(fleet().release_cell(fence_, scheduler_).ok()) << "not ours: nothing happens";
  EXPECT_TRUE(cell(1).is_held);
}

TEST_P(FleetContract, AnExpiredLeaseIsTakenAndCannotBeRenewed) {
  ASSERT_TRUE(fleet().ensure_cell(2).ok());
  const auto mine = fleet().take_cell(2, scheduler_, "here:1", std::chrono::milliseconds{1});
  ASSERT_TRUE(mine.ok()) << mine.status();
  const ReplicaId other = ids_.next();
  EXPECT_TRUE(
      comes_true([&] { return fleet().take_cell(2, other, "x", std::chrono::hours{1}).ok(); }));
  EXPECT_EQ(code(fleet().renew_cell({2, mine->epoch}, scheduler_, std::chrono::hours{1})),
            absl::StatusCode::kAborted);
}

TEST_P(FleetContract, RenewalKeepsTheEpoch) {
  EXPECT_TRUE(fleet().renew_cell(fence_, scheduler_, std::chrono::hours{1}).ok());
  EXPECT_EQ(cell(1).epoch, fence_.epoch);
  EXPECT_EQ(code(fleet().renew_cell(fence_, ids_.next(), std::chrono::hours{1})),
            absl::StatusCode::kAborted);
  EXPECT_EQ(code(fleet().renew_cell({1, fence_.epoch + 1}, scheduler_, std::chrono::hours{1})),
            absl::StatusCode::kAborted);
}

TEST_P(FleetContract, EnsuringACellTwiceKeepsItsOwner) {
  EXPECT_TRUE(fleet().ensure_cell(1).ok());
  EXPECT_EQ(cell(1).owner, scheduler_);
  EXPECT_EQ(cell(1).epoch, fence_.epoch);
}

// --- workers ---

TEST_P(FleetContract, AWorkerTokenJoinsItsCell) {
  const std::string hash = std::string("\0\xFF", 2) + std::string(30, 'h');
  ASSERT_TRUE(fleet().create_worker_token(hash, "rack 1", 1).ok());
  EXPECT_EQ(*fleet().check_worker_token(hash), 1);
  EXPECT_EQ(code(fleet().check_worker_token(std::string(32, 'x'))),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(code(fleet().create_worker_token(hash, "rack 2", 1)), absl::StatusCode::kAlreadyExists);
}

TEST_P(FleetContract, AWorkerKeepsItsIncarnationUntilItIsLost) {
  EXPECT_EQ(registered(0), 1u);
  EXPECT_EQ(registered(1), 1u);
  EXPECT_EQ(registered(0), 1u) << "its file was deleted";
  EXPECT_EQ(registered(5), 6u) << "more than we know of";
  ASSERT_TRUE(fleet().set_worker_state(worker_, WorkerState::kLost).ok());
  EXPECT_EQ(registered(6), 7u);
  const auto rows = fleet().list_workers(1);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->at(0).state, WorkerState::kReady);
  EXPECT_EQ(rows->at(0).incarnation, 7u);
  EXPECT_EQ(rows->at(0).hostname, "host-1");
  EXPECT_NE(rows->at(0).inventory.find("cpu"), std::string::npos);
  EXPECT_TRUE(fleet().list_workers(2)->empty());
  EXPECT_EQ(fleet().list_workers(0)->size(), 1u);
}

TEST_P(FleetContract, ADrainingWorkerStaysSoWhenItReconnects) {
  registered(1);
  ASSERT_TRUE(fleet().set_worker_state(worker_, WorkerState::kDraining).ok());
  registered(1);
  EXPECT_EQ(fleet().list_workers(1)->at(0).state, WorkerState::kDraining);
  EXPECT_EQ(code(fleet().set_worker_state(ids_.next(), WorkerState::kLost)),
            absl::StatusCode::kNotFound);
}

// --- instances ---

TEST_P(FleetContract, InstancesAreInsertedUnderTheFence) {
  registered(1);
  const InstanceRow row = instance_row();
  EXPECT_EQ(code(fleet().insert_instances({1, fence_.epoch + 1}, {&row, 1})),
            absl::StatusCode::kAborted);
  EXPECT_TRUE(fleet().list_live_instances(1)->empty());
  ASSERT_TRUE(fleet().insert_instances(fence_, {&row, 1}).ok());
  ASSERT_TRUE(fleet().insert_instances(fence_, {&row, 1}).ok()) << "repeated";
  const auto rows = fleet().list_live_instances(1);
  ASSERT_EQ(rows->size(), 1u);
  const InstanceRow& found = rows->at(0);
  EXPECT_EQ(found.id, row.id);
  EXPECT_EQ(found.target, target_.id);
  EXPECT_EQ(found.version, version_);
  EXPECT_EQ(found.release, 2);
  EXPECT_EQ(found.worker, worker_);
  EXPECT_EQ(found.incarnation, 3u);
  EXPECT_EQ(found.sku, "cpu");
  EXPECT_EQ(found.gpu_indices, (std::vector<std::uint32_t>{1, 4}));
  EXPECT_EQ(found.state, InstanceState::kRequested);
  EXPECT_FALSE(found.ready_at.has_value());
  EXPECT_TRUE(fleet().list_live_instances(2)->empty());
  EXPECT_EQ(fleet().list_live_instances(0)->size(), 1u);
}

TEST_P(FleetContract, AnInstanceNeverLeavesATerminalState) {
  registered(1);
  InstanceRow row = instance_row();
  row.gpu_indices.clear();
  ASSERT_TRUE(fleet().insert_instances(fence_, {&row, 1}).ok());
  const auto change = [&](InstanceState state, const std::string& detail) {
    const std::vector<InstanceChange> changes = {{row.id, state, detail}, {ids_.next(), state, ""}};
    EXPECT_TRUE(fleet().update_instances(changes).ok());
    return fleet().list_target_instances(target_.id, 10)->at(0);
  };
  EXPECT_TRUE(change(InstanceState::kReady, "").ready_at.has_value());
  const InstanceRow failed = change(InstanceState::kFailed, "setup: {no} \"weights\"");
  EXPECT_EQ(failed.state, InstanceState::kFailed);
  EXPECT_EQ(failed.detail, "setup: {no} \"weights\"");
  EXPECT_EQ(change(InstanceState::kReady, "").state, InstanceState::kFailed);
  EXPECT_TRUE(fleet().list_live_instances(1)->empty());
}

TEST_P(FleetContract, InstancesOfATargetAreListedNewestFirst) {
  registered(1);
  const std::vector<InstanceRow> rows = {instance_row(), instance_row(), instance_row()};
  ASSERT_TRUE(fleet().insert_instances(fence_, rows).ok());
  const auto page = fleet().list_target_instances(target_.id, 2);
  ASSERT_EQ(page->size(), 2u);
  EXPECT_EQ(page->at(0).id, rows[2].id);
  EXPECT_EQ(page->at(1).id, rows[1].id);
  EXPECT_TRUE(fleet().list_target_instances(target_.id + 1000, 10)->empty());
}

TEST_P(FleetContract, OneInstanceTwiceInAChangeTakesTheLast) {
  registered(1);
  const InstanceRow row = instance_row();
  ASSERT_TRUE(fleet().insert_instances(fence_, {&row, 1}).ok());
  const std::vector<InstanceChange> changes = {{row.id, InstanceState::kPreparing, ""},
                                               {row.id, InstanceState::kStarting, ""}};
  ASSERT_TRUE(fleet().update_instances(changes).ok());
  EXPECT_EQ(fleet().list_live_instances(1)->at(0).state, InstanceState::kStarting);
}

}  // namespace mimeo::store
