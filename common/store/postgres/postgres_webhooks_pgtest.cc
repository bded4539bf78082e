// What holds of webhooks with several control planes over one database, each with its own store.

#include <gtest/gtest.h>

#include <future>
#include <map>
#include <mutex>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>
#include <set>
#include <thread>

#include "common/store/contract/outbox_fixture.h"
#include "common/store/postgres/postgres_store.h"
#include "tests/support/private_postgres.h"

namespace mimeo::store {
namespace {

constexpr const char* kWaitsForLocks =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
    "datname = current_database()";

std::string database_of_test;  // Set by the factory; one test runs at a time.

class PostgresUnderTest final : public StoreUnderTest {
 public:
  PostgresUnderTest() : store_({.conninfo = database_of_test}) {}
  PredictionStore& predictions() override { return store_; }
  CatalogStore& catalog() override { return store_; }
  FleetStore& fleet() override { return store_; }
  OutboxStore& outbox() override { return store_; }
  WebhookLogStore& webhooks() override { return store_; }
  MaintenanceStore& maintenance() override { return store_; }

 private:
  PostgresStore store_;
};

StoreKind postgres() {
  return {"postgres", [] {
            database_of_test = testing_support::PrivatePostgres::shared().make_database();
            return std::make_unique<PostgresUnderTest>();
          }};
}

// What senders did, in the order in which they did it.
class Record {
 public:
  explicit Record(std::size_t expected) : expected_(expected) {}

  // `sender` sends `output` of it, until end_progress().
  void begin_progress(ReplicaId sender, PredictionId id) {
    const std::lock_guard lock(mutex_);
    if (ended_.contains(id)) problems_.push_back("output behind the end of " + id.str());
    sending_[id] = sender;
  }
  void end_progress(ReplicaId sender) {
    const std::lock_guard lock(mutex_);
    std::erase_if(sending_, [&](const auto& entry) { return entry.second == sender; });
  }
  void deliver(ReplicaId sender, const WebhookDelivery& delivery) {
    const std::lock_guard lock(mutex_);
    const PredictionId id = delivery.prediction;
    if (!delivered_.insert({id, delivery.event}).second) {
      problems_.push_back("twice: an event of " + id.str());
    }
    if (delivery.event != WebhookEvent::kCompleted) return;
    ended_.insert(id);
    if (!delivered_.contains({id, WebhookEvent::kStart})) {
      problems_.push_back("the end before the start of " + id.str());
    }
    if (sending_.contains(id) && sending_.at(id) != sender) {
      problems_.push_back("the end while another one sends output of " + id.str());
    }
  }
  bool is_complete() {
    const std::lock_guard lock(mutex_);
    return delivered_.size() >= expected_;
  }
  std::vector<std::string> problems() {
    const std::lock_guard lock(mutex_);
    return problems_;
  }

 private:
  const std::size_t expected_;
  std::mutex mutex_;
  std::map<PredictionId, ReplicaId> sending_;                  // Guarded by mutex_.
  std::set<std::pair<PredictionId, WebhookEvent>> delivered_;  // Guarded by mutex_.
  std::set<PredictionId> ended_;                               // Guarded by mutex_.
  std::vector<std::string> problems_;                          // Guarded by mutex_.
};

class WebhooksOfManyPlanes : public OutboxFixture {
 protected:
  // One control plane's sender, until all is delivered.
  static void send(ReplicaId sender, std::span<const PredictionId> ids, Record& record) {
    PostgresStore store({.conninfo = database_of_test});
    SystemRandom random;
    const SystemClock clock;
    const SteadyTime end = clock.steady() + std::chrono::minutes{2};
    while (!record.is_complete() && clock.steady() < end) {
      const PredictionId id = ids[random.below(ids.size())];
      const auto held = store.hold_predictions({&id, 1}, sender, std::chrono::minutes{1});
      ASSERT_TRUE(held.ok()) << held.status();
      if (held->at(0).is_held && held->at(0).is_active && !is_terminal(store.get(id, 0)->status)) {
        record.begin_progress(sender, id);
      }
      const auto due = store.claim_due(5, std::chrono::minutes{5}, sender);
      ASSERT_TRUE(due.ok()) << due.status();
      for (const WebhookDelivery& one : *due) record.deliver(sender, one);
      std::vector<WebhookSettlement> settled;
      for (const WebhookDelivery& one : *due) settled.push_back(removal(one));
      ASSERT_EQ(store.settle(settled), absl::OkStatus());
      record.end_progress(sender);
      ASSERT_EQ(store.release_holds(sender), absl::OkStatus());
    }
  }
  // Their ends, every second one behind a start that was written.
  static void end_all(std::span<const PredictionId> ids, WallTime at) {
    PostgresStore store({.conninfo = database_of_test});
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const Started started{ids[i], 1, at};
      if (i % 2 == 0) {
        ASSERT_TRUE(store.mark_started({&started, 1}).ok());
      }
      Finish finish;
      finish.id = ids[i];
      finish.attempt = 1;
      finish.status = PredictionStatus::kSucceeded;
      finish.started_at = at;
      finish.completed_at = at + std::chrono::seconds{1};
      finish.output = "1";
      ASSERT_TRUE(store.finish({&finish, 1}).ok());
    }
  }
  // Straight to the database, past the store.
  static std::int64_t number(const std::string& query) {
    pqxx::connection connection(database_of_test);
    return pqxx::nontransaction(connection).exec(query)[0][0].as<std::int64_t>();
  }
};

TEST_P(WebhooksOfManyPlanes, EachEventIsHandedOutOnceAndInOrder) {
  constexpr std::size_t kPredictions = 150;
  std::vector<PredictionId> ids;
  for (std::size_t i = 0; i < kPredictions; ++i) ids.push_back(hooked(1 | 2 | 8).id);
  Record record(2 * kPredictions);
  std::vector<std::thread> threads;
  for (const ReplicaId sender : {sender_, other_, ids_.next()}) {
    threads.emplace_back([&, sender] { send(sender, ids, record); });
  }
  const std::span<const PredictionId> all(ids);
  threads.emplace_back([&] { end_all(all.first(kPredictions / 2), now_); });
  threads.emplace_back([&] { end_all(all.subspan(kPredictions / 2), now_); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(record.problems(), std::vector<std::string>{});
  EXPECT_TRUE(record.is_complete());
  EXPECT_EQ(number("SELECT count(*) FROM webhook_outbox"), 0);
}

// The content is being removed at this moment: what was sent of it is not kept.
TEST_P(WebhooksOfManyPlanes, WhatWasSentIsNotLoggedBehindARemoval) {
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  const WebhookDelivery claimed = claim(std::chrono::minutes{1}).at(0);
  pqxx::connection connection(database_of_test);
  pqxx::work removing(connection);
  removing.exec("SELECT 1 FROM payloads WHERE id = '" + p.id.hex() + "' AND kind = 0 FOR UPDATE");
  auto settling = std::async(std::launch::async,
                             [&] { settle(outcome(claimed, "msg_1", DeliveryState::kDelivered)); });
  while (settling.wait_for(std::chrono::seconds{0}) != std::future_status::ready &&
         number(kWaitsForLocks) == 0) {
    std::this_thread::yield();
  }
  removing.exec("DELETE FROM payloads WHERE id = '" + p.id.hex() + "'");
  removing.commit();
  settling.get();
  const auto attempts = webhooks().list_webhook_attempts("msg_1");
  ASSERT_EQ(attempts->size(), 1u);
  EXPECT_EQ(attempts->at(0).request_body, "");
  EXPECT_EQ(attempts->at(0).response_body, "");
  EXPECT_EQ(attempts->at(0).response_status, 500);
}

// The other way round: what is being logged at this moment is removed as well.
TEST_P(WebhooksOfManyPlanes, AnErasureWaitsForWhatIsBeingLogged) {
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  settle(outcome(claim(std::chrono::minutes{1}).at(0), "msg_1", DeliveryState::kDelivered));
  pqxx::connection connection(database_of_test);
  pqxx::work logging(connection);
  const std::string id = "'" + p.id.hex() + "'";
  logging.exec("SELECT FROM payloads WHERE id = " + id + " AND kind = 0 FOR KEY SHARE");
  logging.exec(
      "INSERT INTO webhook_attempts (id, delivery_id, n, at, took_ms, request_body, "
      "request_bytes, response_status) VALUES (" +
      id + ", 'msg_1', 2, now(), 0, '{}', 2, 200)");
  auto erasing = std::async(std::launch::async, [&] {
    return PostgresStore({.conninfo = database_of_test}).erase_predictions({&p.id, 1});
  });
  while (erasing.wait_for(std::chrono::seconds{0}) != std::future_status::ready &&
         number(kWaitsForLocks) == 0) {
    std::this_thread::yield();
  }
  logging.commit();
  ASSERT_EQ(erasing.get(), absl::OkStatus());
  EXPECT_TRUE(webhooks().list_webhook_attempts("msg_1")->empty());
}

INSTANTIATE_TEST_SUITE_P(Postgres, WebhooksOfManyPlanes, testing::Values(postgres()));

}  // namespace
}  // namespace mimeo::store
