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
