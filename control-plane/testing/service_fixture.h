// A whole control plane for tests: over real HTTP and gRPC, with a store of the test's choice and a
// scheduler that always has a slot.

#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/crypto/crypto.h"
#include "common/http/client.h"
#include "common/rpc/server.h"
#include "control-plane/service.h"
#include "control-plane/testing/fake_files.h"
#include "control-plane/testing/fake_scheduler_server.h"
#include "control-plane/testing/fake_worker.h"
#include "control-plane/testing/test_loop.h"

namespace mimeo::control {

using nlohmann::json;
using namespace std::chrono_literals;

inline constexpr const char* kTestToken = "r8_test";

// Every interface of one store, which outlives the fixture.
struct ServiceStores {
  store::PredictionStore& predictions;
  store::CatalogStore& catalog;
  store::FleetStore& fleet;
  store::OutboxStore& outbox;
  store::WebhookLogStore& webhook_log;
  store::MaintenanceStore& maintenance;
  store::FilesStore& files;
  store::AccountsStore& accounts;
  store::RetentionStore& retention;
  store::UsageStore& usage;
  store::DiscoveryStore& discovery;
  store::VersionDeletionStore& deletions;
  store::AccountLimitsStore& limits;
};

// A control plane with a scheduler that always has a slot. Workers are played by the test.
class ServiceFixture : public testing::Test {
 protected:
  explicit ServiceFixture(ServiceStores stores) : stores_(stores) {
    EXPECT_TRUE(stores_.maintenance.make_partitions(clock_.now(), 48h).ok());
    EXPECT_TRUE(stores_.fleet.ensure_cell(1).ok());
    grant_.fence.cell = 1;
    grant_.fence.epoch = stores_.fleet.take_cell(1, ids_.next(), "here:1", 1h)->epoch;
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
    EXPECT_TRUE(stores_.fleet.heartbeat_replica(replica, 1h).ok());
    start();
  }
  ~ServiceFixture() override {
    stop();
    scheduler_.stop();
    loop_.finish_work();  // Streams use the loop until they are closed at both ends.
  }

  void fill_catalog() {
    store::Account account;
    account.username = "acme";
    account.name = "Acme";
    account_ = *stores_.catalog.create_account(account);
    store::Token token;
    token.account = account_.id;
    token.hash = crypto::sha256(kTestToken);
    EXPECT_TRUE(stores_.catalog.create_token(token).ok());
    EXPECT_TRUE(stores_.fleet.create_worker_token(crypto::sha256("join"), "w", 1).ok());
    Hardware cpu;
    cpu.sku = "cpu";
    cpu.name = "CPU";
    EXPECT_TRUE(stores_.catalog.put_hardware(cpu, 0).ok());
    store::Model model;
    model.owner_id = account_.id;
    model.name = "hello";
    model.sku = "cpu";
    model_ = *stores_.catalog.create_model(model);
    version_.id = *VersionId::parse(std::string(64, 'a'));
    version_.model = model_.id;
    version_.cog_version = "0.16.0";
    version_.repository = "acme/hello";
    version_.image_digest = "sha256:" + std::string(64, 'a');
    version_.openapi_schema = R"({"openapi":"3.0.2","components":{"schemas":{
      "Input":{"type":"object","properties":{"text":{"type":"string","x-order":0}},
               "required":["text"]},
      "Output":{"type":"string"}}}})";
    version_ = *stores_.catalog.put_version(version_);
  }

  // Another one, with a clock and a feed of its own if they are given. Both outlive it.
  std::unique_ptr<Service> make_service(Metrics& metrics, const Clock* clock = nullptr,
                                        store::AccessFeed* feed = nullptr) {
    ControlPlaneConfig config;
    config.http_listen = "127.0.0.1:0";
    config.grpc_listen = "127.0.0.1:0";
    config.external_url = "https://mimeo.example";
    config.drain_timeout = 1s;
    config.reserve_limit = 20s;  // The scheduler here always has a slot, if late on a busy machine.
    ServiceParts parts{.executor = loop_.executor(),
                       .clock = clock != nullptr ? *clock : clock_,
                       .random = random_,
                       .metrics = metrics,
                       .predictions = stores_.predictions,
                       .catalog = stores_.catalog,
                       .files = stores_.files,
                       .discovery = stores_.discovery,
                       .deletions = stores_.deletions,
                       .limits = stores_.limits,
                       .fleet = stores_.fleet,
                       .outbox = stores_.outbox,
                       .maintenance = stores_.maintenance,
                       .blobs = blobs_,
                       .accounts = stores_.accounts,
                       .retention = stores_.retention,
                       .webhook_log = stores_.webhook_log,
                       .usage = stores_.usage,
                       .access_feed = feed};
    auto service = std::make_unique<Service>(std::move(parts), config);
    const Status status = loop_.run(service->start());
    EXPECT_TRUE(status.ok()) << status;
    return service;
  }
  void start() {
    scheduler_.received.clear();
    metrics_ = std::make_unique<Metrics>();
    service_ = make_service(*metrics_);
    // Until the scheduler has said which cells it owns, predictions are queued.
    loop_.drive([&] {
      return metrics_->serialize().find("mimeo_control_plane_scheduler_links 1") !=
             std::string::npos;
    });
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

  static boost::asio::awaitable<Result<http::Response>> send(std::uint16_t port,
                                                             http::ClientRequest request) {
    MIMEO_CO_ASSIGN_OR_RETURN(auto connection,
                              co_await http::ClientConnection::connect_tcp("127.0.0.1", port, 10s));
    Result<http::Response> response = co_await connection->request(std::move(request));
    co_return response;
  }
  static boost::asio::awaitable<Result<http::Response>> request(std::uint16_t port,
                                                                std::string method,
                                                                std::string target,
                                                                std::string body,
                                                                std::string prefer) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers.add("Authorization", std::string("Bearer ") + kTestToken);
    request.headers.add("Content-Type", "application/json");
    if (!prefer.empty()) request.headers.add("Prefer", prefer);
    Result<http::Response> response = co_await send(port, std::move(request));
    co_return response;
  }
  // At another port than service_'s: of another control plane.
  http::Response call_at(std::uint16_t port, std::string method, std::string target) {
    auto future = loop_.start(request(port, std::move(method), std::move(target), "", ""));
    auto response = loop_.finish(future);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(http::Response{});
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
  // As a browser: without a token.
  http::Response visit(std::string method, std::string target) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    auto future = loop_.start(send(service_->http_port(), std::move(request)));
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

  ServiceStores stores_;
  TestLoop loop_;
  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_{clock_, random_};
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

}  // namespace mimeo::control
