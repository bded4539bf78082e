// With a real docker-registry; skipped, out loud, where none is installed.

#include "control-plane/registry/trained_version_maker.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "common/async/blocking_pool.h"
#include "common/crypto/crypto.h"
#include "common/http/test_server.h"
#include "common/oci/testing/test_registry.h"
#include "common/store/memory/memory_files.h"
#include "common/store/memory/memory_store.h"
#include "control-plane/public_links.h"
#include "control-plane/registry/trained_image.h"
#include "control-plane/testing/fake_files.h"

namespace mimeo::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kExternal = "https://mimeo.example";
const std::string kSchema =
    R"({"openapi":"3.0.2","components":{"schemas":{"Input":{"type":"object","properties":{}},)"
    R"("TrainingInput":{"type":"object","properties":{}}}}})";

TEST(FindWeights, KnowsTheFormsInWhichTrainersReturnThem) {
  EXPECT_EQ(find_weights(R"("https://x/w.tar")"), "https://x/w.tar");
  EXPECT_EQ(find_weights(R"(["https://x/w.tar"])"), "https://x/w.tar");
  EXPECT_EQ(find_weights(R"({"weights":"https://x/w.tar","loss":0.1})"), "https://x/w.tar");
  for (const char* none : {"", "null", "5", "{}", "[]", R"(["a","b"])", R"({"weights":null})",
                           R"({"model":"https://x/w.tar"})"}) {
    EXPECT_FALSE(find_weights(none).has_value()) << none;
  }
}

class TrainedVersionMakerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!oci::TestRegistry::is_installed()) GTEST_SKIP() << "docker-registry is not installed";
    auto pair = crypto::make_signing_pair("test").value();
    signer_ = crypto::TokenSigner::load(pair.first, pair.second).value();
    tokens_.emplace(
        RegistryTokens::Parts{store_, pool_, authenticator_, limiter_, *signer_, clock_, random_},
        RegistryTokenOptions{});
    server_.emplace([this](http::Exchange& exchange) { return tokens_->handle_token(exchange); });
    oci::TestRegistryOptions options;
    options.realm = "http://127.0.0.1:" + std::to_string(server_->port()) + "/registry/token";
    options.certificate_pem = pair.second;
    const Status started = registry_.start(options);
    ASSERT_TRUE(started.ok()) << started;
    fill_catalog();
    maker_.emplace(TrainedVersionMaker::Parts{store_, files_, blobs_, *tokens_, clock_},
                   TrainedVersionMaker::Options{registry_.url(), kExternal});
  }
  void TearDown() override { server_.reset(); }

  void fill_catalog() {
    store::Account account;
    account.username = "acme";
    account_ = *store_.create_account(account);
    store::Token token;
    token.account = account_.id;
    token.hash = crypto::sha256("r8_test");
    ASSERT_TRUE(store_.create_token(token).ok());
    oci::TestPusher pusher(registry_.url(), "acme", "r8_test");
    oci::TestImage image;
    image.labels = {{"run.cog.version", "0.23.1"},
                    {"run.cog.config", R"({"build":{"gpu":false}})"},
                    {"run.cog.openapi_schema", kSchema}};
    const auto digest = pusher.push("acme/base", "latest", image);
    ASSERT_TRUE(digest.ok()) << digest.status();
    base_.id = *VersionId::parse(digest->substr(7));
    base_.model = add_model("base");
    base_.repository = "acme/base";
    base_.image_digest = *digest;
    base_.cog_version = "0.23.1";
    base_.openapi_schema = kSchema;
    base_.config = "{}";
    ASSERT_TRUE(store_.put_version(base_).ok());
    add_model("trained");
  }
  ModelId add_model(const std::string& name) {
    store::Model model;
    model.owner_id = account_.id;
    model.name = name;
    model.sku = "cpu";
    return store_.create_model(model)->id;
  }
  store::PredictionView training() {
    store::PredictionView view;
    view.id = ids_.next();
    view.account = account_.id;
    view.version = base_.id;
    view.is_training = true;
    view.destination = "acme/trained";
    return view;
  }
  // The output of a training that returned a file with this content.
  std::string weights_of(const store::PredictionView& training, const std::string& content) {
    const std::string token = make_delivery_token(training.id, random_);
    store::OutputFile file;
    file.prediction = training.id;
    file.secret = parse_delivery_token(token)->secret;
    file.filename = "w.bin";
    file.sha256_hex = to_hex(crypto::sha256(content));
    file.blob_key = "content/" + file.secret;
    blobs_.put(file.blob_key, content);
    EXPECT_TRUE(files_.create_output(file).ok());
    return Json(delivery_url(kExternal, token, "w.bin")).dump();
  }

  SystemClock clock_;
  SystemRandom random_;
  IdGenerator ids_{clock_, random_};
  store::MemoryStore store_{clock_};
  store::MemoryFiles files_;
  MemoryBlobs blobs_;
  BlockingPool pool_{2};
  Authenticator authenticator_{store_, pool_, clock_};
  RateLimiter limiter_{clock_, {}};
  std::unique_ptr<crypto::TokenSigner> signer_;
  std::optional<RegistryTokens> tokens_;
  std::optional<http::TestServer> server_;
  oci::TestRegistry registry_;
  store::Account account_;
  store::Version base_;
  std::optional<TrainedVersionMaker> maker_;
};

TEST_F(TrainedVersionMakerTest, MakesAnImageInTheRepositoryOfTheDestination) {
  const auto view = training();
  const std::string output = weights_of(view, "learned");
  const auto made = maker_->make(view, 1, output);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->version.repository, "acme/trained");
  EXPECT_EQ(made->version.openapi_schema, kSchema);
  EXPECT_EQ(made->version.pushed_by, "acme");
  EXPECT_EQ(made->version.image_digest, "sha256:" + made->version.id.hex());
  const Json shown = Json::parse(made->output);
  EXPECT_EQ(shown["version"], "acme/trained:" + made->version.id.hex());
  EXPECT_EQ(shown["weights"], Json::parse(output));

  oci::TestPusher puller(registry_.url(), "acme", "r8_test");
  const auto manifest = puller.pull_manifest("acme/trained", made->version.image_digest);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(Json::parse(*manifest)["layers"].size(), 2U);
  EXPECT_EQ(puller.pull_manifest("acme/trained", trained_tag(view.id, 1)).value(), *manifest);
}

TEST_F(TrainedVersionMakerTest, ARepetitionMakesTheSameVersion) {
  const auto view = training();
  const std::string output = weights_of(view, "learned");
  const auto first = maker_->make(view, 1, output);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(maker_->make(view, 1, output)->version.id, first->version.id);
  EXPECT_NE(maker_->make(view, 2, output)->version.id, first->version.id);
  const auto other = training();
  EXPECT_NE(maker_->make(other, 1, weights_of(other, "learned"))->version.id, first->version.id);
}

TEST_F(TrainedVersionMakerTest, AModelMayBeTrainedIntoItself) {
  auto view = training();
  view.destination = "acme/base";
  EXPECT_TRUE(maker_->make(view, 1, weights_of(view, "x")).ok());
}

TEST_F(TrainedVersionMakerTest, AVersionThatCameOutOfATrainingCanBeTrainedAgain) {
  const auto first = training();
  auto made = maker_->make(first, 1, weights_of(first, "once"));
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_TRUE(store_.put_version(made->version).ok());
  auto second = training();
  second.version = made->version.id;
  const auto again = maker_->make(second, 1, weights_of(second, "twice"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_NE(again->version.id, made->version.id);
}

TEST_F(TrainedVersionMakerTest, KeepsWhatElseTheTrainerReturned) {
  const auto view = training();
  const std::string file = Json::parse(weights_of(view, "x"));
  const auto made = maker_->make(view, 1, Json{{"weights", file}, {"loss", 0.5}}.dump());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(Json::parse(made->output)["loss"], 0.5);
  EXPECT_EQ(Json::parse(made->output)["weights"], file);
}

TEST_F(TrainedVersionMakerTest, SaysWhatIsWrongWithTheWeights) {
  const auto view = training();
  const auto error = [&](const std::string& output) {
    return std::string(maker_->make(view, 1, output).status().message());
  };
  EXPECT_NE(error("null").find("returned no weights"), std::string::npos);
  EXPECT_NE(error(R"("https://elsewhere.example/w")").find("no file"), std::string::npos);
  const auto other = training();
  EXPECT_NE(error(weights_of(other, "x")).find("no file"), std::string::npos)
      << "a file of another training";
  const std::string token = make_delivery_token(view.id, random_);
  EXPECT_NE(error(Json(delivery_url(kExternal, token, "w")).dump()).find("removed"),
            std::string::npos);
}

TEST_F(TrainedVersionMakerTest, WithoutItsDestinationThereIsNoVersion) {
  auto view = training();
  const std::string output = weights_of(view, "x");
  view.destination = "acme/gone";
  EXPECT_TRUE(absl::IsFailedPrecondition(maker_->make(view, 1, output).status()));
}

TEST_F(TrainedVersionMakerTest, ADestinationOfSomebodyElseGetsNoVersion) {
  auto view = training();
  const std::string output = weights_of(view, "x");
  view.account = account_.id + 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(maker_->make(view, 1, output).status()));
}

TEST_F(TrainedVersionMakerTest, AStoppedRegistryIsWorthAnotherTry) {
  const auto view = training();
  const std::string output = weights_of(view, "x");
  registry_.stop();
  EXPECT_TRUE(absl::IsUnavailable(maker_->make(view, 1, output).status()));
}

TEST_F(TrainedVersionMakerTest, AStopEndsACopyUnderWay) {
  const auto view = training();
  const std::string output = weights_of(view, std::string(5'000'000, 'x'));
  blobs_.on_read([this](std::uint64_t offset) {
    if (offset > 0) maker_->stop();
  });
  const auto made = maker_->make(view, 1, output);
  EXPECT_TRUE(absl::IsCancelled(made.status())) << made.status();
}

// Stands in for a registry that takes a request and says nothing.
boost::asio::awaitable<void> silent(http::Exchange& exchange) {
  co_await exchange.wait_for_disconnect();
}

TEST_F(TrainedVersionMakerTest, AStopEndsWaitingForARegistryThatIsSilent) {
  http::TestServer registry([this](http::Exchange& exchange) {
    maker_->stop();
    return silent(exchange);
  });
  maker_.emplace(TrainedVersionMaker::Parts{store_, files_, blobs_, *tokens_, clock_},
                 TrainedVersionMaker::Options{"http://127.0.0.1:" + std::to_string(registry.port()),
                                              kExternal});
  const auto view = training();
  const auto made = maker_->make(view, 1, weights_of(view, "x"));
  EXPECT_TRUE(absl::IsCancelled(made.status())) << made.status();
}

}  // namespace
}  // namespace mimeo::control
