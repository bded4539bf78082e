// With a real docker-registry; skipped, out loud, where none is installed.

#include "common/oci/registry_writer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <optional>

#include "common/http/test_server.h"
#include "common/oci/registry_client.h"
#include "common/oci/testing/test_registry.h"

namespace mimeo::oci {
namespace {

http::AddressRules loopback() {
  http::AddressRules rules;
  rules.allow_private = true;
  return rules;
}

SingleFileLayer layer_of(std::uint64_t bytes, char fill) {
  auto read = [bytes, fill](std::uint64_t offset, std::span<char> buffer) -> Result<std::size_t> {
    const auto got = std::min<std::uint64_t>(buffer.size(), bytes - offset);
    std::fill_n(buffer.begin(), got, fill);
    return static_cast<std::size_t>(got);
  };
  return SingleFileLayer::make("src/weights", bytes, read).value();
}

class RegistryWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!TestRegistry::is_installed()) GTEST_SKIP() << "docker-registry is not installed";
    const Status started = registry_.start({});
    ASSERT_TRUE(started.ok()) << started;
    client_.emplace(outbound_, registry_.url(), nullptr);
    writer_.emplace(outbound_, registry_.url(), nullptr, RegistryWriter::Limits{});
  }

  const http::Outbound outbound_{loopback()};
  TestRegistry registry_;
  std::optional<RegistryClient> client_;
  std::optional<RegistryWriter> writer_;
};

TEST_F(RegistryWriterTest, StreamsALayerAndAnswersItsDigest) {
  constexpr std::uint64_t kBytes = 5'000'000;
  const auto digest = writer_->put_layer("a/b", layer_of(kBytes, 'w'));
  ASSERT_TRUE(digest.ok()) << digest.status();
  Descriptor blob;
  blob.digest = *digest;
  blob.size_bytes = layer_of(kBytes, 'w').size_bytes();
  const std::filesystem::path file = testing::TempDir() + "/layer-" + digest->substr(7, 12);
  ASSERT_TRUE(client_->download_blob("a/b", blob, file).ok());
  EXPECT_EQ(std::filesystem::file_size(file), blob.size_bytes);
  std::filesystem::remove(file);
  EXPECT_EQ(writer_->put_layer("a/b", layer_of(kBytes, 'w')).value(), *digest) << "again";
}

TEST_F(RegistryWriterTest, MountsABlobOfAnotherRepository) {
  TestPusher pusher(registry_.url());
  const std::string digest = pusher.push_blob("from/x", "a layer").value();
  ASSERT_TRUE(writer_->mount_blob("to/y", "from/x", digest).ok());
  EXPECT_TRUE(writer_->mount_blob("to/y", "from/x", digest).ok()) << "again";
  Descriptor blob;
  blob.digest = digest;
  blob.size_bytes = 7;
  const std::filesystem::path file = testing::TempDir() + "/mounted-" + digest.substr(7, 12);
  EXPECT_TRUE(client_->download_blob("to/y", blob, file).ok());
  std::filesystem::remove(file);
}

TEST_F(RegistryWriterTest, ABlobThatIsNowhereIsNotMounted) {
  const Status status = writer_->mount_blob("to/y", "from/x", digest_of("nothing"));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(RegistryWriterTest, WhatItWritesIsAnImage) {
  TestPusher pusher(registry_.url());
  TestImage image;
  image.labels = {{"run.cog.version", "0.23.1"}};
  const std::string text = pusher.make_manifest("a/b", image).value();
  const auto digest = writer_->put_manifest("a/b", "v1", std::string(kDockerManifest), text);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(client_->resolve("a/b", "v1").value().image_digest, *digest);
  std::string incomplete = text;
  incomplete.replace(incomplete.find(digest_of(image.layer)), 71, digest_of("not there"));
  EXPECT_FALSE(writer_->put_manifest("a/b", "v2", std::string(kDockerManifest), incomplete).ok());
}

TEST_F(RegistryWriterTest, PutsABlobOnce) {
  ASSERT_TRUE(writer_->put_blob("a/b", "{}").ok());
  EXPECT_TRUE(writer_->put_blob("a/b", "{}").ok());
}

TEST_F(RegistryWriterTest, AStoppedRegistryIsUnavailableAndNamesAreChecked) {
  EXPECT_TRUE(absl::IsInvalidArgument(writer_->put_blob("Not A Name", "x")));
  registry_.stop();
  EXPECT_TRUE(absl::IsUnavailable(writer_->put_layer("a/b", layer_of(10, 'x')).status()));
}

// Stands in for a registry whose blobs are in object storage: it says where they are.
boost::asio::awaitable<void> redirecting(http::Exchange& exchange) {
  http::Response response;
  response.status = exchange.head().method == "HEAD" ? 307 : 500;
  response.headers.add("Location", "https://bucket.example/blob?signature=x");
  co_await exchange.respond(std::move(response));
}

TEST(RegistryWriter, ABlobThatIsSomewhereElseIsThere) {
  http::TestServer server(redirecting);
  const http::Outbound outbound{loopback()};
  const RegistryWriter writer(outbound, "http://127.0.0.1:" + std::to_string(server.port()),
                              nullptr, RegistryWriter::Limits{});
  const Status mounted = writer.mount_blob("to/y", "from/x", digest_of("a layer"));
  EXPECT_TRUE(mounted.ok()) << mounted;
  const Status put = writer.put_blob("to/y", "{}");
  EXPECT_TRUE(put.ok()) << put;
}

}  // namespace
}  // namespace mimeo::oci
