// Against a real docker-registry; skipped, out loud, where none is installed.

#include "common/oci/registry_client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/oci/testing/test_registry.h"

namespace mimeo::oci {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

http::AddressRules loopback() {
  http::AddressRules rules;
  rules.allow_private = true;
  return rules;
}

class RegistryClientTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!TestRegistry::is_installed()) GTEST_SKIP() << "docker-registry is not installed";
    const Status started = registry_.start({});
    ASSERT_TRUE(started.ok()) << started;
    client_.emplace(outbound_, registry_.url(), nullptr);
    pusher_.emplace(registry_.url());
  }
  static TestImage labelled(const std::string& value) {
    TestImage image;
    image.labels = {{"run.cog.version", value}};
    return image;
  }
  static Json reference(const std::string& media_type, const std::string& body) {
    Json out;
    out["mediaType"] = media_type;
    out["digest"] = digest_of(body);
    out["size"] = body.size();
    return out;
  }

  const http::Outbound outbound_{loopback()};
  TestRegistry registry_;
  std::optional<RegistryClient> client_;
  std::optional<TestPusher> pusher_;
};

TEST_F(RegistryClientTest, ResolvesATagAndADigestToTheSameImageAndReadsItsLabels) {
  const std::string digest = pusher_->push("alice/hello", "v1", labelled("0.16.0")).value();
  for (const std::string& name : {std::string("v1"), digest}) {
    const auto image = client_->resolve("alice/hello", name);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(image->digest, digest);
    EXPECT_EQ(image->image_digest, digest);
    EXPECT_EQ(client_->get_config("alice/hello", image->image)->labels.at("run.cog.version"),
              "0.16.0");
  }
}

TEST_F(RegistryClientTest, TellsTheDigestOfATag) {
  const std::string digest = pusher_->push("alice/hello", "v1", labelled("0.16.0")).value();
  EXPECT_EQ(client_->get_digest("alice/hello", "v1").value(), digest);
  EXPECT_TRUE(absl::IsNotFound(client_->get_digest("alice/hello", "v2").status()));
}

TEST_F(RegistryClientTest, FollowsABundleThroughAnIndexToItsImageAndWeights) {
  const std::string image = pusher_->make_manifest("a/b", labelled("1")).value();
  const std::string image_digest =
      pusher_->push_manifest("a/b", "cog-image.t", std::string(kDockerManifest), image).value();
  const std::string weight = pusher_->make_manifest("a/b", labelled("weights")).value();
  ASSERT_TRUE(
      pusher_->push_manifest("a/b", "cog-weight.w", std::string(kDockerManifest), weight).ok());
  Json inner;
  inner["schemaVersion"] = 2;
  inner["mediaType"] = kOciIndex;
  inner["manifests"] = Json::array({reference(std::string(kDockerManifest), image)});
  inner["manifests"][0]["platform"] = {{"os", "linux"}, {"architecture", "amd64"}};
  const std::string inner_text = inner.dump();
  ASSERT_TRUE(pusher_->push_manifest("a/b", "inner", std::string(kOciIndex), inner_text).ok());
  Json outer;
  outer["schemaVersion"] = 2;
  outer["mediaType"] = kOciIndex;
  outer["manifests"] = Json::array({reference(std::string(kOciIndex), inner_text),
                                    reference(std::string(kDockerManifest), weight)});
  outer["manifests"][0]["platform"] = {{"os", "linux"}, {"architecture", "amd64"}};
  outer["manifests"][1]["artifactType"] = kCogWeight;
  const std::string outer_digest =
      pusher_->push_manifest("a/b", "t", std::string(kOciIndex), outer.dump()).value();

  const auto resolved = client_->resolve("a/b", "t");
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->digest, outer_digest);
  EXPECT_EQ(resolved->image_digest, image_digest);
  ASSERT_EQ(resolved->weights.size(), 1U);
  EXPECT_EQ(resolved->weights[0].digest, digest_of(weight));
}

TEST_F(RegistryClientTest, WhatIsNotThereIsNotFoundAndWhatIsNoNameIsRefused) {
  EXPECT_TRUE(absl::IsNotFound(client_->resolve("no/body", "v1").status()));
  ASSERT_TRUE(pusher_->push("alice/hello", "v1", {}).ok());
  EXPECT_TRUE(absl::IsNotFound(client_->resolve("alice/hello", "v2").status()));
  EXPECT_TRUE(absl::IsNotFound(client_->list_tags("no/body").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client_->resolve("alice/../bob", "v1").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client_->resolve("alice/hello", "v1?x=y").status()));
}

TEST_F(RegistryClientTest, ListsEverythingOverSeveralPages) {
  std::vector<std::string> expected;
  const std::string manifest = pusher_->make_manifest("many/tags", {}).value();
  for (int i = 0; i < 205; ++i) {
    expected.push_back("v" + std::to_string(1000 + i));
    ASSERT_TRUE(
        pusher_->push_manifest("many/tags", expected.back(), std::string(kDockerManifest), manifest)
            .ok());
  }
  ASSERT_TRUE(pusher_->push("alice/hello", "v1", {}).ok());
  auto tags = client_->list_tags("many/tags").value();
  std::sort(tags.begin(), tags.end());
  EXPECT_EQ(tags, expected);
  EXPECT_EQ(client_->list_repositories().value(),
            (std::vector<std::string>{"alice/hello", "many/tags"}));
}

TEST_F(RegistryClientTest, ARepositoryWithoutTagsLeftHasNone) {
  const std::string digest = pusher_->push("alice/hello", "v1", {}).value();
  ASSERT_TRUE(pusher_->delete_manifest("alice/hello", digest).ok());
  EXPECT_EQ(client_->list_tags("alice/hello").value(), std::vector<std::string>{});
}

TEST_F(RegistryClientTest, DownloadsABlobWholeOrNotAtAll) {
  const std::string content(3'000'000, 'x');
  ASSERT_TRUE(pusher_->push_blob("alice/hello", content).ok());
  const fs::path file =
      fs::temp_directory_path() / ("mimeo_registry_client_test_" + std::to_string(::getpid()));
  Descriptor blob;
  blob.digest = digest_of(content);
  blob.size_bytes = content.size();
  std::size_t seen = 0;
  const auto observer = [&seen](std::size_t bytes) {
    seen += bytes;
    return absl::OkStatus();
  };
  ASSERT_TRUE(client_->download_blob("alice/hello", blob, file, observer).ok());
  EXPECT_EQ(seen, content.size());
  const auto refuse = [](std::size_t) { return absl::CancelledError("enough"); };
  const fs::path other = file.string() + ".other";
  EXPECT_TRUE(absl::IsCancelled(client_->download_blob("alice/hello", blob, other, refuse)));
  EXPECT_FALSE(fs::exists(other));
  std::stringstream read;
  read << std::ifstream(file).rdbuf();
  EXPECT_EQ(read.str(), content);
  fs::remove(file);

  blob.size_bytes -= 1;
  EXPECT_FALSE(client_->download_blob("alice/hello", blob, file).ok());
  blob.size_bytes += 2;
  EXPECT_FALSE(client_->download_blob("alice/hello", blob, file).ok());
  blob.digest = digest_of("other");
  EXPECT_TRUE(absl::IsNotFound(client_->download_blob("alice/hello", blob, file)));
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(RegistryClientTest, AConfigThatIsTooLargeIsNotRead) {
  RegistryLimits limits;
  limits.max_config = 1_KiB;
  const RegistryClient careful(outbound_, registry_.url(), nullptr, limits);
  ASSERT_TRUE(pusher_->push("alice/hello", "v1", labelled(std::string(2'000, 'x'))).ok());
  const auto image = careful.resolve("alice/hello", "v1").value();
  EXPECT_TRUE(absl::IsResourceExhausted(careful.get_config("alice/hello", image.image).status()));
}

TEST_F(RegistryClientTest, AStoppedRegistryIsUnavailable) {
  registry_.stop();
  EXPECT_TRUE(absl::IsUnavailable(client_->list_repositories().status()));
}

}  // namespace
}  // namespace mimeo::oci
