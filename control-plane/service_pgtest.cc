// The control plane over a real Postgres: what depends on the database being one.

#include "common/store/postgres/postgres_store.h"
#include "control-plane/service.h"
#include "control-plane/testing/service_fixture.h"
#include "tests/support/private_postgres.h"

namespace mimeo::control {
namespace {

using testing_support::PrivatePostgres;

struct InPostgres {
  static store::PostgresOptions options() {
    store::PostgresOptions options;
    options.conninfo = PrivatePostgres::shared().make_database();
    options.max_connections = 24;
    return options;
  }
  store::PostgresStore store{options()};
};

class ServicePostgresTest : private InPostgres, public ServiceFixture {
 protected:
  ServicePostgresTest()
      : ServiceFixture(ServiceStores{store, store, store, store, store, store, store, store, store,
                                     store, store, store, store}) {}
};

TEST_F(ServicePostgresTest, ASynchronousAnswerIsExactlyWhatIsStored) {
  FakeWorker worker(loop_, *hub_, "join");
  auto creating = begin("POST", "/v1/predictions", create_body(), "wait=30");
  const PredictionId id = granted(0);
  worker.complete(id, "\"hello hi\"");
  const auto response = loop_.finish(creating);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 201) << response->body;
  stop();  // The next process knows only the database.
  start();
  EXPECT_EQ(json::parse(call("GET", "/v1/predictions/" + id.str()).body),
            json::parse(response->body));
}

TEST_F(ServicePostgresTest, ManyAtOnceEachGetTheirOwnResult) {
  FakeWorker worker(loop_, *hub_, "join");
  constexpr int kCount = 100;
  std::vector<std::future<Result<http::Response>>> creating;
  for (int i = 0; i < kCount; ++i) {
    creating.push_back(begin("POST", "/v1/predictions", create_body(), "wait=30"));
  }
  for (int i = 0; i < kCount; ++i) {
    const PredictionId id = granted(static_cast<std::size_t>(i));
    worker.complete(id, "\"" + id.str() + "\"");
  }
  for (auto& one : creating) {
    const auto response = loop_.finish(one);
    ASSERT_TRUE(response.ok()) << response.status();
    const json answer = json::parse(response->body);
    EXPECT_EQ(answer["status"], "succeeded");
    EXPECT_EQ(answer["output"], answer["id"]);
  }
}

TEST_F(ServicePostgresTest, ARestartOfTheDatabaseLosesNothing) {
  FakeWorker worker(loop_, *hub_, "join");
  const std::string before = json::parse(call("POST", "/v1/predictions", create_body()).body)["id"];
  PrivatePostgres::shared().restart();
  worker.complete(*Uuid::parse(before), "\"kept\"");
  // A client may see a 503 now, and tries again.
  http::Response created;
  loop_.drive([&] {
    created = call("POST", "/v1/predictions", create_body());
    return created.status == 201;
  });
  const std::string after = json::parse(created.body)["id"];
  worker.complete(*Uuid::parse(after), "\"new\"");
  loop_.drive(
      [&] { return json::parse(call("GET", "/v1/predictions/" + after).body)["output"] == "new"; });
  loop_.drive([&] {
    return json::parse(call("GET", "/v1/predictions/" + before).body)["status"] == "succeeded";
  });
}

TEST_F(ServicePostgresTest, TwoControlPlanesOnOneDatabaseServeTheSamePredictions) {
  Metrics metrics;
  const std::unique_ptr<Service> other = make_service(metrics);
  // Created here, run by a worker that publishes to the other one.
  const auto other_hub = v1::EventHub::NewStub(rpc::make_channel(other->grpc_address()));
  FakeWorker worker(loop_, *other_hub, "join");
  auto creating = begin("POST", "/v1/predictions", create_body(), "wait=30");
  const PredictionId id = granted(0);
  worker.complete(id, "\"from afar\"");
  const auto response = loop_.finish(creating);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(json::parse(response->body)["output"], "from afar");
  EXPECT_EQ(json::parse(call_at(other->http_port(), "GET", "/v1/predictions/" + id.str()).body),
            json::parse(response->body));
  loop_.run(stopped(other.get()));
}

}  // namespace
}  // namespace mimeo::control
