#include "control-plane/scheduler_client.h"

#include <gtest/gtest.h>

#include "common/base/random.h"
#include "common/store/memory/memory_store.h"
#include "control-plane/testing/fake_scheduler_server.h"
#include "control-plane/testing/test_loop.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;

class SchedulerClientTest : public testing::Test {
 protected:
  SchedulerClientTest() {
    grant_.fence.cell = 1;
    grant_.fence.epoch = 9;
    grant_.instance = ids_.next();
    grant_.worker = ids_.next();
    grant_.incarnation = 4;
    grant_.version = *VersionId::parse(std::string(64, 'a'));
    SchedulerClientOptions options;
    options.replica = ids_.next();
    options.hub_addr = "unix:/hub";
    options.refresh_every = 10ms;
    client_ = make_scheduler_client(loop_.executor(), pool_, store_, system_, metrics_, options);
    client_->start();
  }
  ~SchedulerClientTest() override {
    loop_.run(stop(client_.get()));
    first_.stop();
    second_.stop();
    loop_.finish_work();  // Streams use the loop until they are closed at both ends.
  }
  static boost::asio::awaitable<bool> stop(LinkedSchedulerClient* client) {
    co_await client->stop();
    co_return true;
  }

  void enlist(const FakeSchedulerServer& server) {
    store::Replica replica;
    replica.id = ids_.next();
    replica.role = store::ReplicaRole::kScheduler;
    replica.addr = server.address();
    ASSERT_TRUE(store_.heartbeat_replica(replica, 1h).ok());
  }
  void start(FakeSchedulerServer& server, CellId cell) {
    server.start();
    enlist(server);
    loop_.drive([&] { return client_->owns(cell); });
  }
  std::optional<HeldSlot> reserve(CellId cell, std::chrono::milliseconds limit = 10s) {
    ReserveRequest request;
    request.cell = cell;
    request.target = 5;
    request.account = 6;
    request.run_limit = 7s;
    return loop_.run(client_->reserve(request, limit));
  }
  Dispatch dispatch(CellId cell) {
    Dispatch dispatch;
    dispatch.id = ids_.next();
    dispatch.cell = cell;
    dispatch.target = 5;
    dispatch.account = 6;
    dispatch.priority = Priority::kBatch;
    dispatch.run_limit = 7s;
    dispatch.deadline_left = 8s;
    return dispatch;
  }
  const v1::ControlPlaneMessage& last(FakeSchedulerServer& server, std::size_t count) {
    loop_.drive([&] { return server.received.size() >= count; });
    return server.received.at(count - 1);
  }

  TestLoop loop_;
  FakeClock clock_;
  SystemClock system_;
  SeededRandom random_{5};
  IdGenerator ids_{clock_, random_};
  store::MemoryStore store_{clock_};
  BlockingPool pool_{1};
  Metrics metrics_;
  store::Grant grant_;
  FakeSchedulerServer first_{loop_, {1}};
  FakeSchedulerServer second_{loop_, {2, 3}};
  std::unique_ptr<LinkedSchedulerClient> client_;
};

TEST_F(SchedulerClientTest, SaysWhoItIsToEachSchedulerInTheTable) {
  start(first_, 1);
  start(second_, 3);
  EXPECT_EQ(first_.received.at(0).hello().hub_addr(), "unix:/hub");
  EXPECT_EQ(second_.received.at(0).hello().hub_addr(), "unix:/hub");
}

TEST_F(SchedulerClientTest, AGrantedSlotCarriesEverythingForTheInsert) {
  first_.grant = grant_;
  start(first_, 1);
  const std::optional<HeldSlot> slot = reserve(1);
  ASSERT_TRUE(slot.has_value());
  EXPECT_EQ(slot->grant.fence.cell, 1);
  EXPECT_EQ(slot->grant.fence.epoch, 9U);
  EXPECT_EQ(slot->grant.instance, grant_.instance);
  EXPECT_EQ(slot->grant.worker, grant_.worker);
  EXPECT_EQ(slot->grant.incarnation, 4U);
  EXPECT_EQ(slot->grant.version, grant_.version);
  EXPECT_EQ(slot->hold, 2s);
  EXPECT_EQ(first_.received.at(1).reserve().target_id(), 5);
  EXPECT_EQ(first_.received.at(1).reserve().run_limit_ms(), 7000U);
}

TEST_F(SchedulerClientTest, ARefusalIsNoSlot) {
  start(first_, 1);
  EXPECT_FALSE(reserve(1).has_value());
}

TEST_F(SchedulerClientTest, WithoutAnOwnerOfTheCellThereIsNoSlotAndNoWaiting) {
  start(first_, 1);
  EXPECT_FALSE(reserve(2, 1h).has_value());
}

TEST_F(SchedulerClientTest, ASlotThatComesTooLateIsGivenBack) {
  first_.answers_reserves = false;
  start(first_, 1);
  EXPECT_FALSE(reserve(1, 1ms).has_value());
  const v1::Reserve asked = last(first_, 2).reserve();
  first_.answer(asked, grant_);
  EXPECT_EQ(last(first_, 3).grant_dropped().grant_id(), 77U);
}

TEST_F(SchedulerClientTest, ALinkThatBreaksEndsTheWaitForASlot) {
  first_.answers_reserves = false;
  start(first_, 1);
  ReserveRequest request;
  request.cell = 1;
  auto waiting = loop_.start(client_->reserve(request, 1h));
  last(first_, 2);
  first_.link->close();
  EXPECT_FALSE(loop_.finish(waiting).has_value());
}

TEST_F(SchedulerClientTest, ABrokenLinkIsMadeAnew) {
  first_.grant = grant_;
  start(first_, 1);
  const std::string address = first_.address();
  first_.stop();
  loop_.drive([&] { return !client_->owns(1); });
  EXPECT_FALSE(reserve(1).has_value());
  first_.start(address);
  loop_.drive([&] { return client_->owns(1); });
  EXPECT_TRUE(reserve(1).has_value());
}

TEST_F(SchedulerClientTest, WhatWasCommittedGoesToTheOwnerOfTheCell) {
  start(first_, 1);
  start(second_, 2);
  const Dispatch queued = dispatch(2);
  client_->queued(queued);
  const v1::Queued sent = last(second_, 2).queued();
  EXPECT_EQ(sent.prediction_id(), queued.id.str());
  EXPECT_EQ(sent.target_id(), 5);
  EXPECT_EQ(sent.account_id(), 6);
  EXPECT_EQ(sent.priority(), 2U);
  EXPECT_EQ(sent.run_limit_ms(), 7000U);
  EXPECT_EQ(sent.deadline_ms(), 8000U);
  EXPECT_EQ(first_.received.size(), 1U);
}

TEST_F(SchedulerClientTest, AUsedSlotIsToldToTheSchedulerThatGaveIt) {
  first_.grant = grant_;
  start(first_, 1);
  start(second_, 2);
  const std::optional<HeldSlot> slot = reserve(1);
  const Dispatch granted = dispatch(1);
  client_->granted(*slot, granted, "{\"a\":1}");
  const v1::Granted sent = last(first_, 3).granted();
  EXPECT_EQ(sent.grant_id(), 77U);
  EXPECT_EQ(sent.prediction_id(), granted.id.str());
  EXPECT_EQ(sent.input(), "{\"a\":1}");
  client_->dropped(*slot);
  EXPECT_EQ(last(first_, 4).grant_dropped().grant_id(), 77U);
}

TEST_F(SchedulerClientTest, CancelsAndChangedTargetsAreToldToAll) {
  start(first_, 1);
  start(second_, 2);
  const PredictionId id = ids_.next();
  client_->canceled(id, 5, kOnlyQueued);
  client_->target_changed(8);
  for (FakeSchedulerServer* server : {&first_, &second_}) {
    EXPECT_EQ(last(*server, 2).cancel().prediction_id(), id.str());
    EXPECT_TRUE(last(*server, 2).cancel().was_queued());
    EXPECT_EQ(last(*server, 3).target().target_id(), 8);
  }
}

TEST_F(SchedulerClientTest, ASnapshotIsWhatTheOwnerAnswers) {
  start(first_, 1);
  auto asking = loop_.start(client_->snapshot(5, 10s));
  EXPECT_TRUE(last(first_, 2).target().want_snapshot());
  v1::SchedulerLinkMessage message;
  message.mutable_target()->set_target_id(5);
  message.mutable_target()->set_queued(3);
  message.mutable_target()->set_unmet_reason("no worker has sku gpu");
  first_.send(std::move(message));
  const auto snapshot = loop_.finish(asking);
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_EQ(snapshot->queued, 3U);
  EXPECT_EQ(snapshot->unmet_reason, "no worker has sku gpu");
}

}  // namespace
}  // namespace mimeo::control
