// What every FilesStore is tested with. Included by one program per implementation.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/store/files.h"

namespace mimeo::store {

struct FilesKind {
  std::string name;
  std::function<std::shared_ptr<FilesStore>()> make;  // An empty one, for one test.
};
inline void PrintTo(const FilesKind& kind, std::ostream* out) { *out << kind.name; }

class FilesContract : public testing::TestWithParam<FilesKind> {
 protected:
  void SetUp() override {
    files_ = GetParam().make();
    ASSERT_NE(files_, nullptr);
  }
  File make_file(AccountId account, const std::string& name) {
    clock_.advance(std::chrono::seconds(1));
    File file;
    file.id = ids_.next();
    file.account = account;
    file.name = name;
    file.content_type = "text/plain";
    file.size_bytes = 5'000'000'000;
    file.sha256_hex = std::string(64, 'a');
    file.blob_key = "content/" + file.id.str();
    file.md5_hex = std::string(32, 'b');
    file.metadata = R"({"a":["b",1]})";
    file.created_at = clock_.now();
    file.expires_at = clock_.now() + std::chrono::hours(24);
    return file;
  }
  File add_file(AccountId account, const std::string& name) {
    File file = make_file(account, name);
    EXPECT_EQ(files_->create_file(file), absl::OkStatus());
    return file;
  }
  static std::vector<std::string> names(const Result<std::vector<File>>& files) {
    EXPECT_TRUE(files.ok()) << files.status();
    std::vector<std::string> out;
    if (!files.ok()) return out;
    for (const File& file : *files) out.push_back(file.name);
    return out;
  }

  FakeClock clock_;
  SeededRandom random_{5};
  IdGenerator ids_{clock_, random_};
  std::shared_ptr<FilesStore> files_;
};

TEST_P(FilesContract, AFileComesBackAsItWasStored) {
  const File stored = add_file(1, "ä b.txt");
  const auto read = files_->get_file(stored.id, 1, clock_.now());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->id, stored.id);
  EXPECT_EQ(read->account, 1);
  EXPECT_EQ(read->name, "ä b.txt");
  EXPECT_EQ(read->content_type, "text/plain");
  EXPECT_EQ(read->size_bytes, 5'000'000'000);
  EXPECT_EQ(read->sha256_hex, stored.sha256_hex);
  EXPECT_EQ(read->md5_hex, stored.md5_hex);
  EXPECT_EQ(read->metadata, R"({"a":["b",1]})");
  EXPECT_EQ(read->created_at, stored.created_at);
  EXPECT_EQ(read->expires_at, stored.expires_at);
}

TEST_P(FilesContract, CreatingItAgainChangesNothing) {
  File file = add_file(1, "first");
  file.name = "second";
  EXPECT_EQ(files_->create_file(file), absl::OkStatus());
  EXPECT_EQ(names(files_->list_files(1, {}, clock_.now(), 10)), std::vector<std::string>{"first"});
}

TEST_P(FilesContract, AFileOfAnotherAccountIsNotThere) {
  const File file = add_file(1, "mine");
  EXPECT_TRUE(absl::IsNotFound(files_->get_file(file.id, 2, clock_.now()).status()));
  EXPECT_TRUE(absl::IsNotFound(files_->delete_file(file.id, 2)));
  EXPECT_TRUE(files_->get_file(file.id, 0, clock_.now()).ok());
}

TEST_P(FilesContract, ListsNewestFirstPageByPage) {
  add_file(1, "a");
  const File b = add_file(1, "b");
  add_file(2, "other");
  add_file(1, "c");
  EXPECT_EQ(names(files_->list_files(1, {}, clock_.now(), 2)),
            (std::vector<std::string>{"c", "b"}));
  EXPECT_EQ(names(files_->list_files(1, {b.id}, clock_.now(), 2)), std::vector<std::string>{"a"});
}

TEST_P(FilesContract, ListsBackToTheNewestPageByPage) {
  const File a = add_file(1, "a");
  for (const char* name : {"b", "c"}) add_file(1, name);
  const File d = add_file(1, "d");
  add_file(2, "other");
  const auto newer_than = [&](const File& file, std::size_t limit) {
    return names(files_->list_files(1, {file.id, true}, clock_.now(), limit));
  };
  EXPECT_EQ(newer_than(a, 2), (std::vector<std::string>{"c", "b"}));
  EXPECT_EQ(newer_than(a, 10), (std::vector<std::string>{"d", "c", "b"}));
  EXPECT_EQ(newer_than(d, 10), std::vector<std::string>{});
}

TEST_P(FilesContract, WhatHasExpiredIsOnlyThereForTheSweeper) {
  const File old = add_file(1, "old");
  const WallTime later = *old.expires_at;
  File kept = make_file(1, "kept");
  kept.expires_at.reset();
  ASSERT_EQ(files_->create_file(kept), absl::OkStatus());
  EXPECT_TRUE(files_->get_file(old.id, 1, later - std::chrono::microseconds(1)).ok());
  EXPECT_TRUE(absl::IsNotFound(files_->get_file(old.id, 1, later).status()));
  EXPECT_EQ(names(files_->list_files(1, {}, later, 10)), std::vector<std::string>{"kept"});
  EXPECT_EQ(names(files_->list_expired_files(later, 10)), std::vector<std::string>{"old"});
  EXPECT_EQ(files_->delete_file(old.id, 0), absl::OkStatus());
  EXPECT_EQ(names(files_->list_expired_files(later, 10)), std::vector<std::string>{});
}

TEST_P(FilesContract, DeletingTwiceIsNotFound) {
  const File file = add_file(1, "x");
  EXPECT_EQ(files_->delete_file(file.id, 1), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(files_->delete_file(file.id, 1)));
  EXPECT_TRUE(absl::IsNotFound(files_->get_file(file.id, 1, clock_.now()).status()));
}

TEST_P(FilesContract, TheSameContentIsKeptOnce) {
  const File first = add_file(1, "first");
  const File second = add_file(2, "second");  // Whoever brings it.
  EXPECT_EQ(files_->get_file(first.id, 1, clock_.now())->blob_key, first.blob_key);
  EXPECT_EQ(files_->get_file(second.id, 2, clock_.now())->blob_key, first.blob_key);
  EXPECT_EQ(*files_->list_dead_blobs("", 10), std::vector<std::string>{second.blob_key});
}

TEST_P(FilesContract, ContentIsDeadWithItsLastFile) {
  const File first = add_file(1, "first");
  const File second = add_file(1, "second");
  File other = make_file(1, "other");
  other.sha256_hex = std::string(64, 'c');
  ASSERT_EQ(files_->create_file(other), absl::OkStatus());
  ASSERT_EQ(files_->forget_dead_blobs(std::vector<std::string>{second.blob_key}), absl::OkStatus());
  ASSERT_EQ(files_->delete_file(first.id, 1), absl::OkStatus());
  EXPECT_EQ(*files_->list_dead_blobs("", 10), std::vector<std::string>{});
  EXPECT_EQ(files_->get_file(second.id, 1, clock_.now())->blob_key, first.blob_key);
  ASSERT_EQ(files_->delete_file(second.id, 1), absl::OkStatus());
  EXPECT_EQ(*files_->list_dead_blobs("", 10), std::vector<std::string>{first.blob_key});
  ASSERT_EQ(files_->forget_dead_blobs(std::vector<std::string>{first.blob_key}), absl::OkStatus());
  EXPECT_EQ(*files_->list_dead_blobs("", 10), std::vector<std::string>{});
  EXPECT_EQ(files_->get_file(other.id, 1, clock_.now())->blob_key, other.blob_key);
}

TEST_P(FilesContract, ARepeatedCreateDoesNotCountTwice) {
  const File file = add_file(1, "x");
  ASSERT_EQ(files_->create_file(file), absl::OkStatus());
  EXPECT_EQ(*files_->list_dead_blobs("", 10), std::vector<std::string>{}) << "the blob is in use";
  ASSERT_EQ(files_->delete_file(file.id, 1), absl::OkStatus());
  EXPECT_EQ(*files_->list_dead_blobs("", 10), std::vector<std::string>{file.blob_key});
}

TEST_P(FilesContract, DeadBlobsAreListedPageByPage) {
  for (int i = 0; i < 3; ++i) {
    File file = make_file(1, "x");
    file.sha256_hex = std::string(63, 'd') + std::to_string(i);
    file.blob_key = "content/" + std::string(1, "a-B"[i]);
    ASSERT_EQ(files_->create_file(file), absl::OkStatus());
    ASSERT_EQ(files_->delete_file(file.id, 1), absl::OkStatus());
  }
  using Keys = std::vector<std::string>;
  EXPECT_EQ(*files_->list_dead_blobs("", 2), (Keys{"content/-", "content/B"})) << "by bytes";
  EXPECT_EQ(*files_->list_dead_blobs("content/B", 2), Keys{"content/a"});
  EXPECT_EQ(*files_->list_dead_blobs("content/a", 2), Keys{});
}

TEST_P(FilesContract, FindsBlobsThatNothingKnows) {
  const File used = add_file(1, "used");
  const File dead = add_file(1, "dead");
  EXPECT_EQ(*files_->find_unknown_blobs(
                std::vector<std::string>{"content/lost", used.blob_key, dead.blob_key}),
            std::vector<std::string>{"content/lost"});
}

}  // namespace mimeo::store
