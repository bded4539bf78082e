#include <gtest/gtest.h>

#include "common/blobs/blob_store_contract.h"
#include "common/blobs/s3_blobs.h"
#include "tests/support/private_s3.h"

namespace mimeo::blobs {
namespace {

using testing_support::PrivateS3;

const SystemClock clock_of_all;
SystemRandom random_of_all;

S3BlobsOptions options_of(const std::string& prefix) {
  S3BlobsOptions options;
  options.s3 = PrivateS3::shared().options();
  options.prefix = prefix;
  options.part_bytes = 5U << 20;
  return options;
}

std::unique_ptr<S3Blobs> open_with(S3BlobsOptions options) {
  return S3Blobs::open_bucket(std::move(options), clock_of_all, random_of_all).value();
}

// A prefix of its own is as good as a bucket of its own.
std::unique_ptr<BlobStore> make_store() {
  static int count = 0;
  return open_with(options_of("store/" + std::to_string(count++)));
}

INSTANTIATE_TEST_SUITE_P(S3, BlobStoreContract, testing::Values(&make_store));

TEST(S3Blobs, ReadsAcrossItsWindowsFromAnywhere) {
  const auto store = open_with(options_of("windows"));
  std::string content(1'300'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 5U);
  auto writer = store->create("a").value();
  ASSERT_TRUE(writer->write(content).ok());
  ASSERT_TRUE(writer->commit().ok());
  const auto reader = store->open("a").value();
  for (const std::size_t at : {1'299'999UL, 0UL, 524'287UL, 524'288UL, 900'000UL, 10UL}) {
    std::string buffer(100'000, '\0');
    const auto got = reader->read(at, std::span(buffer));
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_GT(*got, 0U);
    EXPECT_TRUE(std::string_view(buffer).substr(0, *got) ==
                std::string_view(content).substr(at, *got))
        << at;
  }
}

TEST(S3Blobs, AReaderNeverMixesTwoBlobs) {
  const auto store = open_with(options_of("mixed"));
  for (const char letter : {'a', 'b'}) {
    auto writer = store->create("x").value();
    ASSERT_TRUE(writer->write(std::string(2'000'000, letter)).ok());
    ASSERT_TRUE(writer->commit().ok());
    if (letter == 'b') break;
    const auto reader = store->open("x").value();
    auto second = store->create("x").value();
    ASSERT_TRUE(second->write(std::string(2'000'000, 'z')).ok());
    ASSERT_TRUE(second->commit().ok());
    std::string buffer(10, '\0');
    EXPECT_TRUE(absl::IsAborted(reader->read(1'500'000, std::span(buffer)).status()));
  }
}

TEST(S3Blobs, AnUploadThatIsGivenUpLeavesNoPartsBehind) {
  const auto store = open_with(options_of("given-up"));
  const std::size_t before = PrivateS3::shared().files();
  auto writer = store->create("big").value();
  ASSERT_TRUE(writer->write(std::string(12U << 20, 'x')).ok());
  EXPECT_GT(PrivateS3::shared().files(), before) << "two parts are there";
  writer.reset();
  EXPECT_EQ(PrivateS3::shared().files(), before);
}

TEST(S3Blobs, UploadsOfWritersThatDiedLeaveNoPartsBehind) {
  const auto store = open_with(options_of("died"));
  const std::size_t before = PrivateS3::shared().files();
  auto writer = store->create("big").value();
  ASSERT_TRUE(writer->write(std::string(12U << 20, 'x')).ok());
  ASSERT_EQ(store->remove_unfinished(std::chrono::hours(24)), absl::OkStatus());
  EXPECT_GT(PrivateS3::shared().files(), before) << "it may be at work still";
  // The server's dates have whole seconds.
  ASSERT_EQ(store->remove_unfinished(std::chrono::seconds(-10)), absl::OkStatus());
  EXPECT_EQ(PrivateS3::shared().files(), before);
  EXPECT_FALSE(writer->commit().ok());
}

TEST(S3Blobs, ABucketWithoutVersionsSaysSo) {
  const auto versioning = open_with(options_of("versions"))->versioning();
  ASSERT_TRUE(versioning.ok()) << versioning.status();
  EXPECT_NE(*versioning, Versioning::kOn);
}

TEST(S3Blobs, SaysWhyABucketCannotBeUsed) {
  const auto reason = [](S3BlobsOptions options) {
    return S3Blobs::open_bucket(std::move(options), clock_of_all, random_of_all).status();
  };
  S3BlobsOptions wrong_secret = options_of("p");
  wrong_secret.s3.credentials.secret_key = "guessed";
  EXPECT_TRUE(absl::IsFailedPrecondition(reason(wrong_secret))) << reason(wrong_secret);
  EXPECT_EQ(reason(wrong_secret).message().find("guessed"), std::string::npos);
  S3BlobsOptions no_bucket = options_of("p");
  no_bucket.s3.bucket = "no-such-bucket";
  EXPECT_TRUE(absl::IsFailedPrecondition(reason(no_bucket))) << reason(no_bucket);
  EXPECT_TRUE(absl::IsFailedPrecondition(reason(options_of("a//b"))));
  S3BlobsOptions nobody = options_of("p");
  nobody.s3.endpoint = "http://127.0.0.1:1";
  nobody.s3.retry.total = std::chrono::milliseconds(0);
  EXPECT_TRUE(absl::IsUnavailable(reason(nobody))) << reason(nobody);
}

}  // namespace
}  // namespace mimeo::blobs
