#include <unistd.h>

#include <filesystem>

#include "common/blobs/local_blobs.h"
#include "control-plane/testing/sweeper_contract.h"

namespace mimeo::control {
namespace {

namespace fs = std::filesystem;

// A fresh directory per test, removed at the end of the program.
class Directories {
 public:
  ~Directories() { fs::remove_all(base_); }
  fs::path next() { return base_ / std::to_string(count_++); }

 private:
  const fs::path base_ =
      fs::temp_directory_path() / ("mimeo-sweeper-" + std::to_string(::getpid()));
  int count_ = 0;
};
Directories directories;

std::unique_ptr<blobs::BlobStore> make_store() {
  return blobs::LocalBlobs::open_directory(directories.next()).value();
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Local, SweeperTest, testing::Values(&make_store));

}  // namespace mimeo::control
