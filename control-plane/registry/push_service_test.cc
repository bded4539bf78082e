// Our token service and notifications with a real docker-registry; skipped, out loud, where none is
// installed.

#include "control-plane/registry/push_service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "common/http/test_server.h"
#include "common/oci/testing/test_registry.h"
#include "common/store/memory/memory_discovery.h"
#include "common/store/memory/memory_store.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::json;
using namespace std::chrono_literals;

const std::string kSchema =
    R"({"openapi":"3.0.2","components":{"schemas":{"Input":{"type":"object","properties":{}}}}})";

oci::TestImage model_image(const std::string& salt = "") {
  oci::TestImage image;
  image.labels = {{"run.cog.version", "0.16.8"},
                  {"run.cog.config", R"({"build":{"gpu":true},"concurrency":{"max":2}})"},
                  {"run.cog.openapi_schema", kSchema},
                  {"run.cog.push_id", salt}};
  return image;
}

asio::awaitable<void> respond(http::Exchange* exchange, int status) {
  http::Response response;
  response.status = status;
  co_await exchange->respond(std::move(response));
}

VersionId id_of(const std::string& digest) { return VersionId::parse(digest.substr(7)).value(); }

class PushServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!oci::TestRegistry::is_installed()) GTEST_SKIP() << "docker-registry is not installed";
    for (const char* name : {"alice", "bob"}) add_account(name);
    auto pair = crypto::make_signing_pair("test").value();
    certificate_ = pair.second;
    signer_ = crypto::TokenSigner::load(pair.first, pair.second).value();
    tokens_.emplace(
        RegistryTokens::Parts{store_, pool_, authenticator_, limiter_, *signer_, clock_, random_},
        RegistryTokenOptions{});
    server_.emplace([this](http::Exchange& exchange) { return route(exchange); });
    start_registry();
  }
  void TearDown() override {
    registry_.stop();
    if (service_) {
      EXPECT_TRUE(server_->run(service_->stop(10s)).get().ok());
    }
    server_.reset();
  }

  void start_registry() {
    const std::string base = "http://127.0.0.1:" + std::to_string(server_->port());
    oci::TestRegistryOptions options;
    options.realm = base + "/registry/token";
    options.certificate_pem = certificate_;
    options.events_url = base + "/registry/events";
    options.events_secret = "hook";
    const Status started = registry_.start(options);
    ASSERT_TRUE(started.ok()) << started;
    PushServiceOptions service_options;
    service_options.registry_url = registry_.url();
    service_options.hook_secret = "hook";
    const PushService::Parts parts{store_, discovery_, store_, pool_, *tokens_, clock_, metrics_};
    has_service_ = false;
    service_.emplace(server_->io().get_executor(), parts, service_options);
    has_service_ = true;
  }
  asio::awaitable<void> route(http::Exchange& exchange) {
    const std::string& path = exchange.head().path;
    if (path == "/registry/token") return tokens_->handle_token(exchange);
    if (path == "/registry/events" && has_service_) {
      ++notifications_;
      return service_->handle_events(exchange);
    }
    return respond(&exchange, 503);
  }
  void add_account(const std::string& name) {
    store::Account account;
    account.username = account.name = name;
    account = store_.create_account(account).value();
    store::Token token;
    token.account = account.id;
    token.hash = crypto::sha256("token-of-" + name);
    ASSERT_TRUE(store_.create_token(token).ok());
  }
  oci::TestPusher as(const std::string& user) {
    return oci::TestPusher(registry_.url(), user, "token-of-" + user);
  }
  // As the registry says it, of a push with this token of alice.
  int notify(const std::string& repository, const std::string& digest, std::int64_t token) {
    Json event;
    event["action"] = "push";
    event["target"] = {
        {"repository", repository}, {"digest", digest}, {"mediaType", oci::kDockerManifest}};
    event["actor"]["name"] = "alice#" + std::to_string(token) + "#";
    http::OutboundRequest request;
    request.method = "POST";
    request.url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/registry/events";
    request.headers.set("Authorization", "Bearer hook");
    request.body = Json{{"events", Json::array({event})}}.dump();
    http::AddressRules rules;
    rules.allow_private = true;
    return http::Outbound(rules).perform(request)->status;
  }
  // What became of a push, once its notification was handled.
  Result<store::Version> wait_for(VersionId id) {
    for (int i = 0; i < 2'000; ++i) {
      auto version = store_.get_version(id, 0);
      if (version.ok()) return version;
      std::this_thread::sleep_for(5ms);
    }
    return absl::DeadlineExceededError("no version came");
  }

  SystemClock clock_;
  SystemRandom random_;
  Metrics metrics_;
  store::MemoryStore store_{clock_};
  store::MemoryDiscovery discovery_{store_};
  BlockingPool pool_{2};
  std::string certificate_;
  Authenticator authenticator_{store_, pool_, clock_};
  RateLimiter limiter_{clock_, {}};
  std::unique_ptr<crypto::TokenSigner> signer_;
  std::optional<RegistryTokens> tokens_;
  std::optional<PushService> service_;
  std::atomic<bool> has_service_{false};
  std::atomic<int> notifications_{0};
  std::optional<http::TestServer> server_;
  oci::TestRegistry registry_;
};

TEST_F(PushServiceTest, APushMakesAPrivateModelAndItsVersion) {
  const std::string digest = as("alice").push("alice/hello", "latest", model_image()).value();
  const auto version = wait_for(id_of(digest));
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->state, store::VersionState::kReady);
  EXPECT_EQ(version->repository, "alice/hello");
  EXPECT_EQ(version->image_digest, digest);
  EXPECT_EQ(version->cog_version, "0.16.8");
  EXPECT_EQ(version->openapi_schema, kSchema);
  EXPECT_TRUE(version->needs_gpu);
  EXPECT_EQ(version->concurrency, 2);
  EXPECT_EQ(version->pushed_by, "alice");
  const auto model = store_.get_model("alice", "hello", 0).value();
  EXPECT_EQ(model.visibility, store::Visibility::kPrivate);
  EXPECT_EQ(model.sku, "cpu");
  EXPECT_EQ(model.latest_version, version->id);
}

TEST_F(PushServiceTest, APushIsInTheAuditLogOfItsAccount) {
  const std::string digest = as("alice").push("alice/hello", "latest", model_image()).value();
  ASSERT_TRUE(wait_for(id_of(digest)).ok());
  const auto alice = store_.get_account_by_username("alice").value();
  store::AuditFilter filter;
  filter.account = alice.id;
  const auto entries = store_.list_audit(filter).value();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].action, "version.create");
  EXPECT_EQ(entries[0].target, "alice/hello/" + digest.substr(7));
  EXPECT_EQ(entries[0].actor, "alice");
  EXPECT_EQ(entries[0].token, store_.list_tokens(alice.id)->front().id);
  EXPECT_EQ(entries[1].action, "model.create");
}

TEST_F(PushServiceTest, APushThatItsTokenMayNotMakeAnyMoreIsRefusedForGood) {
  has_service_ = false;  // The registry's own notifications are in vain.
  const std::string digest = as("alice").push("alice/late", "latest", model_image()).value();
  const auto alice = store_.get_account_by_username("alice").value();
  store::Token other;
  other.account = alice.id;
  other.hash = crypto::sha256("another");
  other = store_.create_token(other).value();
  const std::int64_t token = store_.list_tokens(alice.id)->front().id;
  store::TokenChange disabled;
  disabled.disabled_at = clock_.now();
  ASSERT_TRUE(store_.update_token(token, disabled, {}).ok());
  has_service_ = true;
  EXPECT_EQ(notify("alice/late", digest, token), 200);
  const auto version = store_.get_version(id_of(digest), 0);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->state, store::VersionState::kRefused);
  EXPECT_NE(version->refusal.find("does not work any more"), std::string::npos);
  EXPECT_EQ(store_.list_audit({})->front().outcome, store::AuditOutcome::kRefused);
  EXPECT_EQ(service_->reconcile().value(), 0);
  EXPECT_EQ(store_.get_version(id_of(digest), 0)->state, store::VersionState::kRefused);
  EXPECT_EQ(notify("alice/late", digest, other.id), 200);
  EXPECT_EQ(store_.get_version(id_of(digest), 0)->state, store::VersionState::kReady);
  EXPECT_EQ(notify("alice/late", digest, token), 200);
  EXPECT_EQ(store_.get_version(id_of(digest), 0)->state, store::VersionState::kReady)
      << "what is there stays";
}

TEST_F(PushServiceTest, APushToAnotherAccountOrWithoutTheScopeIsRefused) {
  has_service_ = false;
  const std::string digest = as("alice").push("alice/late", "latest", model_image()).value();
  const auto token_of = [this](const std::string& name, Scopes scopes) {
    store::Token token;
    token.account = store_.get_account_by_username(name)->id;
    token.hash = crypto::sha256(name + to_text(scopes));
    token.scopes = scopes;
    return store_.create_token(token)->id;
  };
  has_service_ = true;
  for (const std::int64_t token :
       {token_of("bob", {Scope::kModels}), token_of("alice", {Scope::kRead}), std::int64_t{4711}}) {
    EXPECT_EQ(notify("alice/late", digest, token), 200);
    EXPECT_EQ(store_.get_version(id_of(digest), 0)->state, store::VersionState::kRefused);
  }
}

TEST_F(PushServiceTest, APushMakesNoMoreModelsThanAnAccountMayHave) {
  store::Model model;
  model.owner_id = store_.get_account_by_username("alice")->id;
  model.owner = "alice";
  for (int i = 0; i < store::kMostModels; ++i) {
    model.name = "m" + std::to_string(i);
    ASSERT_TRUE(store_.create_model(model).ok());
  }
  has_service_ = false;
  const std::string digest = as("alice").push("alice/more", "latest", model_image()).value();
  has_service_ = true;
  EXPECT_EQ(notify("alice/more", digest, store_.list_tokens(model.owner_id)->front().id), 200);
  EXPECT_FALSE(store_.get_version(id_of(digest), 0).ok());
  EXPECT_FALSE(store_.get_model("alice", "more", 0).ok());
  EXPECT_EQ(store_.list_audit({})->front().outcome, store::AuditOutcome::kRefused);
  ASSERT_TRUE(as("alice").push("alice/m1", "latest", model_image()).ok()) << "one that it has";
}

TEST_F(PushServiceTest, TheRegistryRefusesForeignNamespacesAndWrongCredentials) {
  EXPECT_NE(as("bob").push("alice/hello", "v1", model_image()).status(), absl::OkStatus());
  oci::TestPusher nobody(registry_.url());
  EXPECT_NE(nobody.push("alice/hello", "v1", model_image()).status(), absl::OkStatus());
  oci::TestPusher wrong(registry_.url(), "alice", "guessed");
  const Status status = wrong.push("alice/hello", "v1", model_image()).status();
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
  EXPECT_EQ(service_->reconcile().value(), 0);
}

TEST_F(PushServiceTest, PrivateModelsArePulledByTheirOwnerAndPublicOnesByAll) {
  ASSERT_TRUE(as("alice").push("alice/hidden", "v1", model_image()).ok());
  EXPECT_TRUE(as("alice").pull_manifest("alice/hidden", "v1").ok());
  EXPECT_FALSE(as("bob").pull_manifest("alice/hidden", "v1").ok());
  store::Model open;
  open.owner = "alice";
  open.owner_id = store_.get_account_by_username("alice")->id;
  open.name = "open";
  open.visibility = store::Visibility::kPublic;
  ASSERT_TRUE(store_.create_model(open).ok());
  ASSERT_TRUE(as("alice").push("alice/open", "v1", model_image()).ok());
  EXPECT_TRUE(as("bob").pull_manifest("alice/open", "v1").ok());
}

TEST_F(PushServiceTest, AnImageThatIsNoModelIsRefusedWithAReasonForItsOwner) {
  oci::TestImage plain;
  const std::string digest = as("alice").push("alice/plain", "v1", plain).value();
  const auto version = wait_for(id_of(digest));
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(version->state, store::VersionState::kRefused);
  const auto refusal = store_.find_refusal(store_.get_model("alice", "plain", 0)->id).value();
  ASSERT_TRUE(refusal);
  EXPECT_NE(refusal->refusal.find("doesn't look like it was built with Cog"), std::string::npos);
  EXPECT_FALSE(store_.get_model("alice", "plain", 0)->latest_version);
}

TEST_F(PushServiceTest, APushWhileWeWereDownIsFoundByReconcilingOnceAndForAll) {
  has_service_ = false;
  const std::string digest = as("alice").push("alice/missed", "v1", model_image()).value();
  registry_.stop();  // What it wanted to tell us is lost with it.
  start_registry();
  EXPECT_EQ(service_->reconcile().value(), 1);
  const auto version = store_.get_version(id_of(digest), 0);
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(version->state, store::VersionState::kReady);
  EXPECT_EQ(service_->reconcile().value(), 0);
  EXPECT_EQ(notifications_, 0);
}

TEST_F(PushServiceTest, ReconcilingStartsByItself) {
  has_service_ = false;
  const std::string digest = as("alice").push("alice/missed", "v1", model_image()).value();
  registry_.stop();
  start_registry();
  asio::post(server_->io(), [this] { service_->start(); });
  EXPECT_TRUE(wait_for(id_of(digest)).ok());
}

TEST_F(PushServiceTest, ADeletedVersionComesBackByAPushButNotByReconciling) {
  const std::string digest = as("alice").push("alice/hello", "v1", model_image()).value();
  ASSERT_TRUE(wait_for(id_of(digest)).ok());
  ASSERT_TRUE(store_.delete_version(id_of(digest)).ok());
  registry_.stop();
  start_registry();  // With an empty memory of what is settled.
  EXPECT_EQ(service_->reconcile().value(), 0);
  EXPECT_EQ(store_.get_version(id_of(digest), 0)->state, store::VersionState::kDeleted);
  ASSERT_TRUE(as("alice").push("alice/hello", "v1", model_image()).ok());
  for (int i = 0; i < 2'000; ++i) {
    if (store_.get_version(id_of(digest), 0)->state == store::VersionState::kReady) break;
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(store_.get_version(id_of(digest), 0)->state, store::VersionState::kReady);
}

TEST_F(PushServiceTest, TheSameImageInTwoRepositoriesIsAVersionOfEach) {
  const std::string digest = as("alice").push("alice/first", "v1", model_image()).value();
  ASSERT_TRUE(wait_for(id_of(digest)).ok());
  ASSERT_EQ(as("alice").push("alice/second", "v1", model_image()).value(), digest);
  const VersionId second = VersionId::from_bytes(crypto::sha256("alice/second@" + digest)).value();
  const auto version = wait_for(second);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->image_digest, digest);
  EXPECT_EQ(store_.get_model("alice", "first", 0)->latest_version, id_of(digest));
  EXPECT_EQ(store_.get_model("alice", "second", 0)->latest_version, second);
}

// What `cog push` does for a model with `model:` in its cog.yaml.
class BundleTest : public PushServiceTest {
 protected:
  static Json entry(const std::string& manifest) {
    Json out;
    out["mediaType"] = oci::kDockerManifest;
    out["digest"] = oci::digest_of(manifest);
    out["size"] = manifest.size();
    return out;
  }
  // The digests of image and index.
  std::pair<std::string, std::string> push_bundle(const std::string& repository, bool has_weights) {
    auto pusher = as("alice");
    const std::string docker(oci::kDockerManifest);
    const std::string image = pusher.make_manifest(repository, model_image("bundle")).value();
    EXPECT_TRUE(pusher.push_manifest(repository, "cog-image.t", docker, image).ok());
    Json index;
    index["schemaVersion"] = 2;
    index["mediaType"] = oci::kOciIndex;
    index["manifests"] = Json::array({entry(image)});
    index["manifests"][0]["platform"] = {{"os", "linux"}, {"architecture", "amd64"}};
    if (has_weights) {
      oci::TestImage content;
      content.layer = "weights";
      const std::string weight = pusher.make_manifest(repository, content).value();
      EXPECT_TRUE(pusher.push_manifest(repository, "cog-weight.w", docker, weight).ok());
      index["manifests"].push_back(entry(weight));
      index["manifests"][1]["artifactType"] = oci::kCogWeight;
    }
    const std::string text = index.dump();
    EXPECT_TRUE(pusher.push_manifest(repository, "t", std::string(oci::kOciIndex), text).ok());
    return {oci::digest_of(image), oci::digest_of(text)};
  }
};

TEST_F(BundleTest, WithWeightsIsOneVersionWithTheIndexAsItsId) {
  const auto [image, index] = push_bundle("alice/bundle", true);
  const auto version = wait_for(id_of(index));
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->image_digest, image);
  EXPECT_EQ(service_->reconcile().value(), 0);
  const auto model = store_.get_model("alice", "bundle", 0).value();
  EXPECT_EQ(store_.list_versions(model.id, std::nullopt, 10)->size(), 1U);
}

TEST_F(BundleTest, WithoutWeightsIsTheVersionOfItsImage) {
  const auto [image, index] = push_bundle("alice/bundle", false);
  const auto version = wait_for(id_of(image));
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->image_digest, image);
  EXPECT_FALSE(store_.get_version(id_of(index), 0).ok());
  EXPECT_EQ(service_->reconcile().value(), 0);
}

TEST_F(PushServiceTest, NotificationsNeedOurSecret) {
  http::AddressRules rules;
  rules.allow_private = true;
  const http::Outbound outbound(rules);
  http::OutboundRequest request;
  request.method = "POST";
  request.url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/registry/events";
  request.body = R"({"events":[]})";
  EXPECT_EQ(outbound.perform(request)->status, 401);
  request.headers.set("Authorization", "Bearer other");
  EXPECT_EQ(outbound.perform(request)->status, 401);
  request.headers.set("Authorization", "Bearer hook");
  EXPECT_EQ(outbound.perform(request)->status, 200);
  request.body = "nonsense";
  EXPECT_EQ(outbound.perform(request)->status, 400);
}

}  // namespace
}  // namespace mimeo::control
