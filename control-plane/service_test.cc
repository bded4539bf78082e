#include "control-plane/service.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/async/blocking_pool.h"
#include "common/crypto/crypto.h"
#include "common/http/client.h"
#include "common/rpc/server.h"
#include "common/store/memory/memory_store.h"
#include "control-plane/testing/fake_files.h"
#include "control-plane/testing/fake_scheduler_server.h"
#include "control-plane/testing/fake_worker.h"
#include "control-plane/testing/test_loop.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr const char* kToken = "r8_test";

// A whole control plane over a store in memory, a scheduler that always has a slot, and a worker
// that the test plays.
class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    EXPECT_TRUE(store_.ensure_cell(1).ok());
    grant_.fence.cell = 1;
    grant_.fence.epoch = store_.take_cell(1, ids_.next(), "here:1", 1h)->epoch;
    grant_.instance = ids_.next();
    grant_.worker = ids_.next();
    grant_.incarnation = 1;
    fill_catalog();
    grant_.version = version_.id;
    scheduler_.grant = grant_;
    scheduler_.start();
    store::Replica replica;
    replica.id = ids_.next();
    replica.role = store::ReplicaRole::kScheduler;
    replica.addr = scheduler_.address();
    EXPECT_TRUE(store_.heartbeat_replica(replica, 1h).ok());
    start();
  }
  ~ServiceTest() override {
    stop();
    scheduler_.stop();
    loop_.drive([&] { return !scheduler_.link; });
  }

  void fill_catalog() {
    store::Account account;
    account.username = "acme";
    account.name = "Acme";
    account_ = *store_.create_account(account);
    store::Token token;
    token.account = account_.id;
    token.hash = crypto::sha256(kToken);
    EXPECT_TRUE(store_.create_token(token).ok());
    EXPECT_TRUE(store_.create_worker_token(crypto::sha256("join"), "w", 1).ok());
    Hardware cpu;
    cpu.sku = "cpu";
    cpu.name = "CPU";
    EXPECT_TRUE(store_.put_hardware(cpu, 0).ok());
    store::Model model;
    model.owner_id = account_.id;
    model.name = "hello";
    model.sku = "cpu";
    model_ = *store_.create_model(model);
    version_.id = *VersionId::parse(std::string(64, 'a'));
    version_.model = model_.id;
    version_.cog_version = "0.16.0";
    version_.repository = "acme/hello";
    version_.image_digest = "sha256:" + std::string(64, 'a');
    version_.openapi_schema = R"({"openapi":"3.0.2","components":{"schemas":{
      "Input":{"type":"object","properties":{"text":{"type":"string","x-order":0}},
               "required":["text"]},
      "Output":{"type":"string"}}}})";
    version_ = *store_.put_version(version_);
  }

  void start() {
    ControlPlaneConfig config;
    config.http_listen = "127.0.0.1:0";
    config.grpc_listen = "127.0.0.1:0";
    config.external_url = "https://mimeo.example";
    config.drain_timeout = 1s;
    metrics_ = std::make_unique<Metrics>();
    service_ = std::make_unique<Service>(
        ServiceParts{loop_.executor(), clock_, random_, *metrics_, store_, store_, files_, store_,
                     store_, store_, blobs_, nullptr},
        config);
    const Status status = loop_.run(service_->start());
    ASSERT_TRUE(status.ok()) << status;
    loop_.drive([&] { return scheduler_.link != nullptr && !scheduler_.received.empty(); });
    hub_ = v1::EventHub::NewStub(rpc::make_channel(service_->grpc_address()));
  }
  void stop() {
    loop_.run(stopped(service_.get()));
    service_.reset();
  }
  static boost::asio::awaitable<bool> stopped(Service* service) {
    co_await service->stop();
    co_return true;
  }

  static boost::asio::awaitable<Result<http::Response>> request(std::uint16_t port,
                                                                std::string method,
                                                                std::string target,
                                                                std::string body,
                                                                std::string prefer) {
    MIMEO_CO_ASSIGN_OR_RETURN(auto connection,
                              co_await http::ClientConnection::connect_tcp("127.0.0.1", port, 10s));
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers.add("Authorization", std::string("Bearer ") + kToken);
    request.headers.add("Content-Type", "application/json");
    if (!prefer.empty()) request.headers.add("Prefer", prefer);
    Result<http::Response> response = co_await connection->request(std::move(request));
    co_return response;
  }
  std::future<Result<http::Response>> begin(std::string method, std::string target,
                                            std::string body = "", std::string prefer = "") {
    return loop_.start(request(service_->http_port(), std::move(method), std::move(target),
                               std::move(body), std::move(prefer)));
  }
  http::Response call(std::string method, std::string target, std::string body = "",
                      std::string prefer = "") {
    auto future = begin(std::move(method), std::move(target), std::move(body), std::move(prefer));
    auto response = loop_.finish(future);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(http::Response{});
  }
  std::string create_body() const {
    return json{{"version", version_.id.hex()}, {"input", {{"text", "hi"}}}}.dump();
  }
  // Of the `nth` prediction that the scheduler was told to run.
  PredictionId granted(std::size_t nth) {
    const auto find = [&] {
      std::vector<std::string> ids;
      for (const auto& message : scheduler_.received) {
        if (message.has_granted()) ids.push_back(message.granted().prediction_id());
      }
      return ids;
    };
    loop_.drive([&] { return find().size() > nth; });
    return *Uuid::parse(find().at(nth));
  }

  TestLoop loop_;
  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_{clock_, random_};
  store::MemoryStore store_{clock_};
  OneFile files_;
  MemoryBlobs blobs_;
  store::Account account_;
  store::Model model_;
  store::Version version_;
  store::Grant grant_;
  FakeSchedulerServer scheduler_{loop_, {1}};
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<v1::EventHub::Stub> hub_;
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
  worker.wait_for([](const v1::HubMessage& m) { return m.has_ack() && m.ack().seq() == 2; });
  const json running = json::parse(call("GET", "/v1/predictions/" + id).body);
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
  ASSERT_EQ(store_.list_replicas(store::ReplicaRole::kControlPlane)->size(), 1U);
  FakeWorker worker(loop_, *hub_, "join");
  auto creating = begin("POST", "/v1/predictions", create_body(), "wait=30");
  const PredictionId id = granted(0);
  auto stopping = loop_.start(stopped(service_.get()));
  loop_.drive([&] { return store_.list_replicas(store::ReplicaRole::kControlPlane)->empty(); });
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
