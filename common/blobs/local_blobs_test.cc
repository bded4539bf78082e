#include "common/blobs/local_blobs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "common/blobs/blob_store_contract.h"

namespace mimeo::blobs {
namespace {

namespace fs = std::filesystem;

// A fresh directory per use, removed at the end of the program.
class Directories {
 public:
  Directories() { fs::create_directories(base_); }
  ~Directories() { fs::remove_all(base_); }
  fs::path next() { return base_ / std::to_string(count_++); }

 private:
  const fs::path base_ =
      fs::temp_directory_path() / ("mimeo_local_blobs_test_" + std::to_string(::getpid()));
  int count_ = 0;
};
Directories directories;

std::unique_ptr<BlobStore> make_store() {
  return LocalBlobs::open_directory(directories.next()).value();
}

INSTANTIATE_TEST_SUITE_P(Local, BlobStoreContract, testing::Values(&make_store));

std::size_t files_under(const fs::path& path) {
  std::size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path)) count += entry.is_regular_file();
  return count;
}

TEST(LocalBlobs, TheDirectoryMayBeSpelledInAnyWay) {
  auto store = LocalBlobs::open_directory(directories.next() / "." / "").value();
  ASSERT_TRUE(store->create("a/b").value()->commit().ok());
  EXPECT_TRUE(store->open("a/b").ok());
  EXPECT_TRUE(store->remove("a/b").ok());
}

TEST(LocalBlobs, LeavesNothingBehindWithoutCommit) {
  const fs::path path = directories.next();
  auto store = LocalBlobs::open_directory(path).value();
  auto writer = store->create("a/b").value();
  ASSERT_TRUE(writer->write("half").ok());
  EXPECT_EQ(files_under(path), 1U);
  writer.reset();
  EXPECT_EQ(files_under(path), 0U);
}

TEST(LocalBlobs, ClearsOldLeftoversAndKeepsFreshOnes) {
  const fs::path path = directories.next();
  const auto store = LocalBlobs::open_directory(path).value();
  const fs::path old_file = path / "~unfinished" / "blob-old";
  const fs::path fresh_file = path / "~unfinished" / "blob-new";
  std::ofstream(old_file) << "x";
  std::ofstream(fresh_file) << "x";
  fs::last_write_time(old_file, fs::file_time_type::clock::now() - std::chrono::hours(48));
  ASSERT_TRUE(store->remove_unfinished(std::chrono::hours(24)).ok());
  EXPECT_FALSE(fs::exists(old_file));
  EXPECT_TRUE(fs::exists(fresh_file));
}

TEST(LocalBlobs, OneThatCannotBeRemovedHoldsNoOtherUp) {
  const auto store = make_store();
  for (const char* key : {"a/1", "a/2", "a/3"})
    ASSERT_TRUE(store->create(key).value()->commit().ok());
  const NotRemoved left = store->remove_many(std::vector<std::string>{"a/1", "a//b", "a/3"});
  EXPECT_TRUE(absl::IsInvalidArgument(left.why)) << left.why;
  EXPECT_EQ(left.keys, std::vector<std::string>{"a//b"});
  EXPECT_EQ(*store->list("a", "", 10), std::vector<std::string>{"a/2"});
}

TEST(LocalBlobs, SaysWhyADirectoryCannotBeUsed) {
  const fs::path path = directories.next();
  std::ofstream(path) << "a file";
  const Status status = LocalBlobs::open_directory(path).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find(path.string()), std::string::npos) << status;
}

TEST(LocalBlobs, ABlobInTheWayIsAnErrorOfTheOneThatCommits) {
  auto store = make_store();
  ASSERT_TRUE(store->create("a").value()->commit().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(store->create("a/b").value()->commit().status()));
  ASSERT_TRUE(store->create("c/d").value()->commit().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(store->create("c").value()->commit().status()));
}

TEST(LocalBlobs, RemovingTheLastBlobOfADirectoryDoesNotDisturbOneThatComes) {
  auto store = make_store();
  std::thread other([&store] {
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(store->create("shared/deep/other").value()->commit().ok());
      ASSERT_TRUE(store->remove("shared/deep/other").ok());
    }
  });
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(store->create("shared/deep/mine").value()->commit().ok());
    ASSERT_TRUE(store->open("shared/deep/mine").ok());
    ASSERT_TRUE(store->remove("shared/deep/mine").ok());
  }
  other.join();
}

}  // namespace
}  // namespace mimeo::blobs
