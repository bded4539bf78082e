#include "control-plane/service.h"

#include "common/store/memory/memory_discovery.h"
#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_retention.h"
#include "common/store/memory/memory_store.h"
#include "common/store/memory/memory_usage.h"
#include "control-plane/testing/service_fixture.h"

namespace mimeo::control {
namespace {

struct InMemory {
  SystemClock system;
  store::MemoryStore memory{system};
  store::MemoryFiles files;
  store::MemoryRetention retention{memory, files};
  store::MemoryUsage usage{memory};
  store::MemoryDiscovery discovery{memory};
};

class ServiceTest : private InMemory, public ServiceFixture {
 protected:
  ServiceTest()
      : ServiceFixture(ServiceStores{memory, memory, memory, memory, memory, memory, files, memory,
                                     retention, usage, discovery, discovery, discovery}) {}
};

TEST_F(ServiceTest, ASynchronousPredictionGoesAllTheWay) {
  FakeWorker worker(loop_, *hub_, "join");
  auto creating = begin("POST", "/v1/predictions", create_body(), "wait=30");
  const PredictionId id = granted(0);
  worker.event(id, 1, v1::Event::KIND_STARTED, "");
  worker.complete(id, "\"hello hi\"");
  const auto response = loop_.finish(creating);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 201) << response->body;
  const json answer = json::parse(response->body);
  EXPECT_EQ(answer["status"], "succeeded");
  EXPECT_EQ(answer["output"], "hello hi");
  EXPECT_EQ(answer["id"], id.str());
  const json read = json::parse(call("GET", "/v1/predictions/" + id.str()).body);
  EXPECT_EQ(read, answer);
}

TEST_F(ServiceTest, AnAsynchronousPredictionIsPolledAndCanceled) {
  const auto created = call("POST", "/v1/predictions", create_body());
  EXPECT_EQ(created.status, 201) << created.body;
  const std::string id = json::parse(created.body)["id"];
  FakeWorker worker(loop_, *hub_, "join");
  worker.event(*Uuid::parse(id), 1, v1::Event::KIND_STARTED, "");
  worker.event(*Uuid::parse(id), 2, v1::Event::KIND_LOG, "at work\n");
  json running;
  loop_.drive([&] {
    running = json::parse(call("GET", "/v1/predictions/" + id).body);
    return running["logs"] != "";
  });
  EXPECT_EQ(running["status"], "processing");
  EXPECT_EQ(running["logs"], "at work\n");
  const json canceled = json::parse(call("POST", "/v1/predictions/" + id + "/cancel").body);
  EXPECT_EQ(canceled["status"], "canceled");
  EXPECT_EQ(canceled["logs"], "at work\n");
}

TEST_F(ServiceTest, TheAddressesForPeopleSayHowToCallTheApi) {
  const json created = json::parse(call("POST", "/v1/predictions", create_body()).body);
  const json model = json::parse(call("GET", "/v1/models/acme/hello").body);
  const std::string site = "https://mimeo.example";
  for (const std::string address : {created["urls"]["web"], model["url"]}) {
    ASSERT_TRUE(address.starts_with(site)) << address;
    const http::Response page = visit("GET", address.substr(site.size()));
    EXPECT_EQ(page.status, 200) << address;
    EXPECT_EQ(page.headers.get("Content-Type"), "text/html; charset=utf-8") << address;
    const http::Response head = visit("HEAD", address.substr(site.size()));
    EXPECT_EQ(head.status, 200) << address;
    EXPECT_EQ(head.body, "") << address;
  }
  EXPECT_EQ(visit("GET", "/acme/nothing").status, 200) << "it does not tell what there is";
  EXPECT_EQ(call("GET", "/acme/nothing").status, 404) << "with a token it is a call";
  for (const char* path : {"/hardware/x", "/predictions/x", "/registry/x", "/v1/acme/hello"}) {
    const http::Response none = visit("GET", path);
    EXPECT_GE(none.status, 401) << path;
    EXPECT_EQ(none.headers.get("Content-Type"), "application/problem+json") << path;
  }
}

TEST_F(ServiceTest, ItSaysWhetherItIsReadyAndWhatItMeasured) {
  EXPECT_EQ(call("GET", "/readyz").status, 200);
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  call("POST", "/v1/predictions", create_body());
  const std::string metrics = call("GET", "/metrics").body;
  for (const std::string name :
       {"mimeo_control_plane_reserve_seconds", "mimeo_control_plane_create_commit_seconds",
        "mimeo_control_plane_create_batch_size", "mimeo_control_plane_finish_batch_size",
        "mimeo_control_plane_scheduler_links 1", "mimeo_http_requests_total"}) {
    EXPECT_NE(metrics.find(name), std::string::npos) << name;
  }
}

TEST_F(ServiceTest, ItListsItselfWhileItRunsAndAWaitingRequestGetsItsAnswerAtTheStop) {
  ASSERT_EQ(stores_.fleet.list_replicas(store::ReplicaRole::kControlPlane)->size(), 1U);
  FakeWorker worker(loop_, *hub_, "join");
  auto creating = begin("POST", "/v1/predictions", create_body(), "wait=30");
  const PredictionId id = granted(0);
  auto stopping = loop_.start(stopped(service_.get()));
  loop_.drive(
      [&] { return stores_.fleet.list_replicas(store::ReplicaRole::kControlPlane)->empty(); });
  worker.complete(id, "\"late\"");
  const auto response = loop_.finish(creating);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(json::parse(response->body)["output"], "late");
  loop_.finish(stopping);
}

// What others change, as the test says it.
class FakeFeed : public store::AccessFeed {
 public:
  void start(Heard heard) override { heard_ = std::move(heard); }
  void stop() override { heard_ = nullptr; }
  void tell(AccountId account) {
    ASSERT_TRUE(heard_) << "nobody listens";
    heard_(account);
  }

 private:
  Heard heard_;
};

TEST_F(ServiceTest, WhatIsDisabledElsewhereIsRefusedThoughNoTimePasses) {
  const FakeClock still;
  FakeFeed feed;
  Metrics metrics;
  const auto other = make_service(metrics, &still, &feed);
  const std::uint16_t port = other->http_port();
  EXPECT_EQ(call_at(port, "GET", "/v1/account").status, 200);
  store::TokenChange disabled;
  disabled.disabled_at = clock_.now();
  const std::int64_t token = stores_.catalog.list_tokens(account_.id)->front().id;
  ASSERT_TRUE(stores_.accounts.update_token(token, disabled, {}).ok());
  EXPECT_EQ(call_at(port, "GET", "/v1/account").status, 200) << "it is remembered";
  feed.tell(account_.id);
  EXPECT_EQ(call_at(port, "GET", "/v1/account").status, 401);
  loop_.run(stopped(other.get()));
}

TEST_F(ServiceTest, AfterARestartEverythingIsStillThere) {
  FakeWorker worker(loop_, *hub_, "join");
  const std::string id = json::parse(call("POST", "/v1/predictions", create_body()).body)["id"];
  worker.complete(*Uuid::parse(id), "\"kept\"");
  worker.wait_for([](const v1::HubMessage& m) { return m.has_completed(); });
  stop();
  start();
  EXPECT_EQ(json::parse(call("GET", "/v1/predictions/" + id).body)["output"], "kept");
}

}  // namespace
}  // namespace mimeo::control
