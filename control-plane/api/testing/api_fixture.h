// The whole API over a real listener on loopback, with the core of a control plane behind it, a
// store in memory and a scheduler that the test plays. Requests go through a real client, and every
// response is held against the API's description: a test fails on one that is not described.

#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/time_format.h"
#include "common/blobs/local_blobs.h"
#include "common/crypto/crypto.h"
#include "common/http/client.h"
#include "common/store/memory/memory_discovery.h"
#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_retention.h"
#include "common/store/memory/memory_usage.h"
#include "control-plane/api/api.h"
#include "control-plane/api/testing/response_checker.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/middleware.h"
#include "control-plane/testing/core_fixture.h"
#include "control-plane/webhooks/sender.h"

namespace mimeo::control {

struct Reply {
  int status = 0;
  http::Headers headers;
  std::string body;

  [[nodiscard]] nlohmann::json json() const {
    nlohmann::json parsed = nlohmann::json::parse(body, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << status << " " << body;
    return parsed;
  }
  [[nodiscard]] std::string header(std::string_view name) const {
    return std::string(headers.get(name));
  }
};

using Fields = std::vector<std::pair<std::string, std::string>>;

// What a version of the model "acme/hello" accepts in these tests.
inline constexpr const char* kSchema = R"({"openapi":"3.0.2","info":{"title":"Cog"},
  "paths":{},"components":{"schemas":{
    "Input":{"type":"object","required":["text"],"properties":{
      "text":{"type":"string","x-order":0},
      "steps":{"type":"integer","minimum":1,"maximum":4,"default":2},
      "key":{"type":"string","format":"password","x-cog-secret":true}}},
    "Output":{"type":"array","items":{"type":"string"},"x-cog-array-type":"iterator",
              "x-cog-array-display":"concatenate"},
    "TrainingInput":{"type":"object","required":["data"],
                     "properties":{"data":{"type":"string","format":"uri"}}}}}})";

class ApiTest : public CoreTest {
 protected:
  ApiTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("mimeo-api-" + std::to_string(::getpid()) + "-" + random_name())),
        blobs_(*blobs::LocalBlobs::open_directory(directory_)) {
    add_hardware();
    store::Account stranger;
    stranger.username = "stranger";
    stranger.webhook_secret = "whsec_c3RyYW5nZXJzdHJhbmdlcnN0cmFu";
    stranger_ = *store_.create_account(stranger);
    token_ = add_token(account_);
    stranger_token_ = add_token(stranger_);
    version_ = add_version(model_.id, 'b', kSchema);
    grant_.version = version_.id;
    start();
  }

  ~ApiTest() override {
    loop_.run(server_->stop(std::chrono::seconds(5)));
    loop_.run(stop_webhooks(webhooks_.get()));
    plane_->tasks.cancel();
    api_->tasks.cancel();
    api_->spend.cancel();
    loop_.drive([this] {
      return plane_->tasks.size() == 0 && api_->tasks.size() == 0 && api_->spend.is_idle();
    });
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  // Builds everything from `settings_` and `limits_`, which a test may change before.
  void start() {
    if (server_) loop_.run(server_->stop(std::chrono::seconds(5)));
    server_.reset();
    settings_.external_url = "https://mimeo.example";
    authenticator_ = std::make_unique<Authenticator>(store_, pool_, clock_);
    if (!webhooks_) webhooks_ = make_sender();
    ApiParts parts{.catalog = store_,
                   .predictions = store_,
                   .files = files_,
                   .discovery = discovery_,
                   .deletions = discovery_,
                   .blobs = other_blobs_ ? *other_blobs_ : *blobs_,
                   .intake = *plane_->intake,
                   .hub = *plane_->hub,
                   .scheduler = plane_->scheduler,
                   .pool = pool_,
                   .transfers = transfers_,
                   .clock = clock_,
                   .random = random_,
                   .accounts = store_,
                   .retention = retention_,
                   .webhook_log = store_,
                   .usage = usage_,
                   .webhooks = *webhooks_,
                   .authenticator = *authenticator_,
                   .trainings = has_registry_ ? &store_ : nullptr};
    api_ = std::make_unique<Api>(loop_.executor(), std::move(parts), settings_);
    router_ = std::make_unique<Router>();
    router_->add(api_routes(*api_));
    limiter_ = std::make_unique<RateLimiter>(clock_, limits_);
    audit_ = std::make_unique<AuditTrail>(store_, pool_, clock_, plane_->metrics);
    middleware_ = std::make_unique<Middleware>(
        Middleware::Parts{*router_, *authenticator_, *limiter_, clock_, random_, plane_->metrics,
                          *audit_, trusted_proxies_});
    server_ = std::make_unique<http::Server>(
        loop_.executor(), http::ServerOptions{},
        [this](http::Exchange& exchange) { return middleware_->serve(exchange); });
    ASSERT_EQ(server_->start(), absl::OkStatus());
  }

  std::unique_ptr<WebhookSender> make_sender() {
    WebhookParts parts{
        store_,
        store_,
        *plane_->intake,
        *plane_->hub,
        plane_->committer,
        plane_->watch,
        plane_->recent,
        plane_->reads,
        pool_,
        clock_,
        random_,
        plane_->metrics,
        ids_.next(),
        [this](const store::PredictionView& view) { return prediction_json(view, api_->urls); },
        [this](const http::OutboundRequest& request) { return receive_(request); }};
    return make_webhook_sender(loop_.executor(), std::move(parts));
  }
  static boost::asio::awaitable<bool> stop_webhooks(WebhookSender* sender) {
    co_await sender->stop();
    co_return true;
  }

  void add_hardware() {
    Hardware cpu;
    cpu.sku = "cpu";
    cpu.name = "CPU";
    ASSERT_EQ(store_.put_hardware(cpu, 0), absl::OkStatus());
    Hardware gpu;
    gpu.sku = "gpu-t4";
    gpu.name = "Nvidia T4 GPU";
    ASSERT_EQ(store_.put_hardware(gpu, 1), absl::OkStatus());
  }
  std::string add_token(const store::Account& account) {
    const std::string text = crypto::make_api_token(random_);
    store::Token token;
    token.account = account.id;
    token.hash = crypto::sha256(text);
    last_token_ = *store_.create_token(token);
    return text;
  }
  store::Version add_version(ModelId model, char digit, const char* schema) {
    clock_.advance(std::chrono::seconds(1));
    store::Version version;
    version.id = *VersionId::parse(std::string(64, digit));
    version.model = model;
    version.cog_version = "0.9.4";
    version.openapi_schema = schema;
    version.created_at = clock_.now();
    return *store_.put_version(version);
  }
  store::Model add_model(const store::Account& owner, const std::string& name,
                         store::Visibility visibility) {
    clock_.advance(std::chrono::seconds(1));
    store::Model model;
    model.owner_id = owner.id;
    model.name = name;
    model.sku = "cpu";
    model.visibility = visibility;
    model.created_at = clock_.now();
    return *store_.create_model(model);
  }

  // One request on a connection of its own. Without an Authorization in `fields`, as acme.
  boost::asio::awaitable<Reply> exchange(std::string method, std::string target, std::string body,
                                         Fields fields) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    bool is_authorized = false;
    for (auto& [name, value] : fields) {
      is_authorized |= name == "Authorization";
      if (!value.empty()) request.headers.add(name, value);
    }
    if (!is_authorized) request.headers.add("Authorization", "Bearer " + token_);
    auto connection = co_await http::ClientConnection::connect_tcp("127.0.0.1", server_->port(),
                                                                   std::chrono::seconds(10));
    if (!connection.ok()) throw std::runtime_error(connection.status().ToString());
    const std::string sent_method = request.method;
    const std::string sent_target = request.target;
    Result<http::Response> response = co_await (*connection)->request(std::move(request));
    if (!response.ok()) throw std::runtime_error(response.status().ToString());
    expect_described(sent_method, sent_target, *response);
    Reply reply;
    reply.status = response->status;
    reply.headers = std::move(response->headers);
    reply.body = std::move(response->body);
    co_return reply;
  }
  void expect_described(const std::string& method, const std::string& target,
                        const http::Response& response) {
    if (!is_described_) return;
    if (checker_ == nullptr) {
      ASSERT_TRUE(api_->description.ok()) << api_->description.status();
      checker_ = std::make_unique<ResponseChecker>(nlohmann::json::parse(api_->description->text));
    }
    for (const std::string& problem : checker_->check(method, target, response)) {
      ADD_FAILURE() << problem;
    }
  }
  std::future<Reply> send(std::string method, std::string target, std::string body = "",
                          Fields fields = {}) {
    return loop_.start(
        exchange(std::move(method), std::move(target), std::move(body), std::move(fields)));
  }
  Reply call(std::string method, std::string target, std::string body = "", Fields fields = {}) {
    auto future = send(std::move(method), std::move(target), std::move(body), std::move(fields));
    return loop_.finish(future);
  }
  Reply get(std::string target) { return call("GET", std::move(target)); }
  Reply post(std::string target, const nlohmann::json& body, Fields fields = {}) {
    fields.emplace_back("Content-Type", "application/json");
    return call("POST", std::move(target), body.dump(), std::move(fields));
  }
  Fields as(const std::string& token) { return {{"Authorization", "Bearer " + token}}; }

  nlohmann::json valid_body() {
    return {{"version", version_.id.hex()}, {"input", {{"text", "Alice"}}}};
  }
  // The id of a new prediction that a worker has taken.
  PredictionId created_running() {
    plane_->scheduler.grant = grant_;
    const Reply reply = post("/v1/predictions", valid_body());
    EXPECT_EQ(reply.status, 201) << reply.body;
    return *PredictionId::parse(reply.json()["id"].get<std::string>());
  }
  // Waits until the newest prediction of acme is another than `before`.
  PredictionId next_prediction(PredictionId before) {
    PredictionId found;
    loop_.drive([&] {
      store::PredictionFilter filter;
      filter.account = account_.id;
      filter.limit = 1;
      const auto page = store_.list(filter);
      if (!page.ok() || page->empty() || page->front().id == before) return false;
      found = page->front().id;
      return true;
    });
    return found;
  }

  bool has_registry_ = true;  // A test may change it before start().
  ApiSettings settings_;
  RateLimits limits_;
  store::Account stranger_;
  std::string token_;
  std::string stranger_token_;
  store::Token last_token_;
  std::filesystem::path directory_;
  store::MemoryFiles files_;
  store::MemoryRetention retention_{store_, files_};
  store::MemoryUsage usage_{store_};
  store::MemoryDiscovery discovery_{store_};
  std::vector<std::string> trusted_proxies_;
  std::unique_ptr<blobs::LocalBlobs> blobs_;
  blobs::BlobStore* other_blobs_ = nullptr;  // Instead of `blobs_`, from the next start() on.
  BlockingPool pool_{2};
  BlockingPool transfers_{2};
  // What receives webhooks, on a thread of pool_; a test starts the sender if it wants any but
  // tests of its own.
  std::function<Result<http::Response>(const http::OutboundRequest&)> receive_ =
      [](const http::OutboundRequest&) -> Result<http::Response> {
    return absl::UnavailableError("nobody listens");
  };
  std::unique_ptr<WebhookSender> webhooks_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<AuditTrail> audit_;
  std::unique_ptr<RateLimiter> limiter_;
  std::unique_ptr<Middleware> middleware_;
  std::unique_ptr<http::Server> server_;
  bool is_described_ = true;                  // False: the test adds a route of its own.
  std::unique_ptr<ResponseChecker> checker_;  // Made with the first response.

 private:
  static std::string random_name() {
    SystemRandom random;
    return random.base32(8);
  }
};

}  // namespace mimeo::control
