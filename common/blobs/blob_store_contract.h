// What every BlobStore must do, as tests. A test program of a store includes this and says
//   INSTANTIATE_TEST_SUITE_P(Local, BlobStoreContract, testing::Values(&make_store));

#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>

#include "common/base/ids.h"
#include "common/blobs/blob_store.h"
#include "common/crypto/crypto.h"

namespace mimeo::blobs {

class BlobStoreContract : public testing::TestWithParam<std::unique_ptr<BlobStore> (*)()> {
 protected:
  BlobInfo put(std::string_view key, std::string_view content) {
    auto writer = store_->create(key).value();
    EXPECT_TRUE(writer->write(content).ok());
    return writer->commit().value();
  }
  Result<std::string> get(std::string_view key) {
    MIMEO_ASSIGN_OR_RETURN(const auto reader, store_->open(key));
    std::string content(reader->size_bytes(), '\0');
    std::size_t at = 0;
    while (at < content.size()) {
      MIMEO_ASSIGN_OR_RETURN(const std::size_t got,
                             reader->read(at, std::span(content).subspan(at)));
      if (got == 0) return absl::InternalError("the blob ended early");
      at += got;
    }
    return content;
  }
  bool exists(std::string_view key) { return store_->open(key).ok(); }

  const std::unique_ptr<BlobStore> store_ = GetParam()();
};

TEST_P(BlobStoreContract, GivesBackWhatWasWrittenInPiecesWithItsHashes) {
  auto writer = store_->create("outputs/p1/image.png").value();
  for (const std::string_view piece : {"mess", "", "age ", "digest"}) {
    ASSERT_TRUE(writer->write(piece).ok());
  }
  const auto info = writer->commit().value();
  EXPECT_EQ(info.size_bytes, 14U);
  EXPECT_EQ(info.sha256_hex, "f7846f55cf23e14eebeab5b4e1550cad5b509e3348fbc4efa3a1413d393cb650");
  EXPECT_EQ(info.md5_hex, "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(get("outputs/p1/image.png").value(), "message digest");
}

TEST_P(BlobStoreContract, NothingIsThereBeforeCommit) {
  auto writer = store_->create("a/b").value();
  ASSERT_TRUE(writer->write("half").ok());
  EXPECT_TRUE(absl::IsNotFound(store_->open("a/b").status()));
  writer.reset();
  EXPECT_TRUE(absl::IsNotFound(store_->open("a/b").status()));
}

TEST_P(BlobStoreContract, ALaterCommitReplacesTheWholeBlob) {
  put("a/b", "first, and longer");
  put("a/b", "second");
  EXPECT_EQ(get("a/b").value(), "second");
}

TEST_P(BlobStoreContract, AReaderKeepsItsBlobWhenItIsReplacedOrRemoved) {
  put("a/b", "first");
  const auto reader = store_->open("a/b").value();
  put("a/b", "second");
  ASSERT_TRUE(store_->remove("a/b").ok());
  std::string buffer(5, '\0');
  EXPECT_EQ(reader->read(0, std::span(buffer)).value(), 5U);
  EXPECT_EQ(buffer, "first");
}

TEST_P(BlobStoreContract, ReadsAnyRange) {
  put("r", "0123456789");
  const auto reader = store_->open("r").value();
  EXPECT_EQ(reader->size_bytes(), 10U);
  std::string buffer(4, '\0');
  EXPECT_EQ(reader->read(8, std::span(buffer)).value(), 2U);
  EXPECT_EQ(buffer.substr(0, 2), "89");
  EXPECT_EQ(reader->read(10, std::span(buffer)).value(), 0U);
  EXPECT_EQ(reader->read(1'000, std::span(buffer)).value(), 0U);
}

TEST_P(BlobStoreContract, AnEmptyBlobIsABlob) {
  EXPECT_EQ(put("empty", "").size_bytes, 0U);
  EXPECT_EQ(get("empty").value(), "");
}

TEST_P(BlobStoreContract, RemovesOneAndDoesNotMindWhenItIsGone) {
  put("d/one", "1");
  put("d/two", "2");
  EXPECT_TRUE(store_->remove("d/one").ok());
  EXPECT_TRUE(store_->remove("d/one").ok());
  EXPECT_TRUE(store_->remove("never/there").ok());
  EXPECT_TRUE(store_->remove("d").ok());  // No blob of this name.
  EXPECT_FALSE(exists("d/one"));
  EXPECT_TRUE(exists("d/two"));
}

TEST_P(BlobStoreContract, RemovesEverythingUnderAPrefixAndNothingBesides) {
  for (const char* key : {"p/1/a", "p/1/b/c", "p/10/a", "p/1x"}) put(key, key);
  EXPECT_TRUE(store_->remove_all("p/1").ok());
  EXPECT_TRUE(store_->remove_all("p/1").ok());
  EXPECT_FALSE(exists("p/1/a"));
  EXPECT_FALSE(exists("p/1/b/c"));
  EXPECT_TRUE(exists("p/10/a"));
  EXPECT_TRUE(exists("p/1x"));
}

TEST_P(BlobStoreContract, RemovesManyAtOnce) {
  const std::vector<std::string> keys{"m/1", "m/2", "m/never", "m/3"};
  for (const char* key : {"m/1", "m/2", "m/3", "m/4"}) put(key, key);
  const NotRemoved left = store_->remove_many(keys);
  EXPECT_EQ(left.why, absl::OkStatus());
  EXPECT_EQ(left.keys, std::vector<std::string>{});
  EXPECT_TRUE(store_->remove_many({}).keys.empty());
  EXPECT_EQ(*store_->list("m", "", 10), std::vector<std::string>{"m/4"});
}

TEST_P(BlobStoreContract, OneThatCannotBeRemovedHoldsNoOtherUp) {
  const std::vector<std::string> keys{"m/1", "not a key", "m/2"};
  for (const char* key : {"m/1", "m/2"}) put(key, key);
  const NotRemoved left = store_->remove_many(keys);
  EXPECT_FALSE(left.why.ok());
  EXPECT_EQ(left.keys, std::vector<std::string>{"not a key"});
  EXPECT_EQ(*store_->list("m", "", 10), std::vector<std::string>{});
}

TEST_P(BlobStoreContract, ListsInTheOrderOfBytesFromAnywhere) {
  const std::vector<std::string> all{"l/a-b", "l/a/x", "l/a/y/z", "l/a0", "l/b"};
  for (const std::string& key : all) put(key, key);
  put("lower", "not under it");
  using Keys = std::vector<std::string>;
  EXPECT_EQ(*store_->list("l", "", 10), all);
  EXPECT_EQ(*store_->list("l", "", 2), (Keys{"l/a-b", "l/a/x"}));
  EXPECT_EQ(*store_->list("l", "l/a/x", 2), (Keys{"l/a/y/z", "l/a0"}));
  EXPECT_EQ(*store_->list("l", "l/a0", 10), Keys{"l/b"});
  EXPECT_EQ(*store_->list("l", "l/b", 10), Keys{});
  EXPECT_EQ(*store_->list("never", "", 10), Keys{});
  EXPECT_TRUE(absl::IsInvalidArgument(store_->list("l/", "", 10).status()));
}

TEST_P(BlobStoreContract, ALargeBlobComesBackAsItWas) {
  // Not a round number of anything.
  std::string content(11'000'007, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 7U);
  auto writer = store_->create("large/one").value();
  for (std::size_t at = 0; at < content.size(); at += 300'001) {
    ASSERT_TRUE(writer->write(std::string_view(content).substr(at, 300'001)).ok());
  }
  EXPECT_TRUE(absl::IsNotFound(store_->open("large/one").status()));
  const auto info = writer->commit();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->size_bytes, content.size());
  EXPECT_EQ(info->sha256_hex, to_hex(crypto::sha256(content)));
  EXPECT_EQ(info->md5_hex, to_hex(crypto::md5(content)));
  EXPECT_TRUE(get("large/one").value() == content);
}

TEST_P(BlobStoreContract, ALargeBlobThatIsNotCommittedLeavesNothing) {
  auto writer = store_->create("large/two").value();
  ASSERT_TRUE(writer->write(std::string(11'000'000, 'x')).ok());
  writer.reset();
  EXPECT_EQ(*store_->list("large", "", 10), std::vector<std::string>{});
}

TEST_P(BlobStoreContract, WhatWritersThatDiedLeftGoesByItsAge) {
  const std::string content(11'000'000, 'x');
  auto young = store_->create("large/young").value();
  ASSERT_TRUE(young->write(content).ok());
  ASSERT_TRUE(store_->remove_unfinished(std::chrono::hours(24)).ok());
  EXPECT_TRUE(young->commit().ok());
  auto old = store_->create("large/old").value();
  ASSERT_TRUE(old->write(content).ok());
  // Dates of servers have whole seconds.
  ASSERT_TRUE(store_->remove_unfinished(std::chrono::seconds(-10)).ok());
  EXPECT_FALSE(old->commit().ok());
  EXPECT_EQ(*store_->list("large", "", 10), std::vector<std::string>{"large/young"});
}

TEST_P(BlobStoreContract, RefusesKeysThatAreNone) {
  const std::string too_long(300, 'x');
  for (const std::string_view key : std::initializer_list<std::string_view>{
           "", "/", "a//b", "/a", "a/", ".", "..", "a/../b", "a/./b", "a b", "a\\b", "~unfinished",
           std::string_view(too_long), std::string_view("a\0b", 3)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store_->create(key).status())) << key;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->open(key).status())) << key;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->remove(key))) << key;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->remove_all(key))) << key;
  }
  EXPECT_TRUE(absl::IsNotFound(store_->open("a..b/.hidden/x_y-z.tar.gz").status()));
}

}  // namespace mimeo::blobs
