#include "common/blobs/s3_blobs.h"
#include "control-plane/testing/sweeper_contract.h"
#include "tests/support/private_s3.h"

namespace mimeo::control {
namespace {

const SystemClock clock_of_all;
SystemRandom random_of_all;

// A prefix of its own is as good as a bucket of its own.
std::unique_ptr<blobs::BlobStore> make_store() {
  static int count = 0;
  blobs::S3BlobsOptions options;
  options.s3 = testing_support::PrivateS3::shared().options();
  options.prefix = "sweeper/" + std::to_string(count++);
  return blobs::S3Blobs::open_bucket(std::move(options), clock_of_all, random_of_all).value();
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(S3, SweeperTest, testing::Values(&make_store));

}  // namespace mimeo::control
