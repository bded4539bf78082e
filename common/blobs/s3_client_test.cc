// Against a server that misbehaves as it is told; the real one is in s3_blobs_s3test.cc.

#include "common/blobs/s3_client.h"

#include <gtest/gtest.h>

#include "common/blobs/s3_blobs.h"
#include "common/blobs/testing/scripted_s3.h"

namespace mimeo::blobs {
namespace {

using std::chrono::milliseconds;
using testing_support::ScriptedS3;

class S3ClientTest : public testing::Test {
 protected:
  Result<http::Response> send(const S3Request& request) {
    return S3Client(s3_.options(), clock_, random_).send(request);
  }
  static std::string error(const std::string& code) {
    return "<?xml version=\"1.0\"?>\n<Error><Code>" + code + "</Code></Error>";
  }

  ScriptedS3 s3_;
  SystemClock clock_;
  SeededRandom random_{1};
};

TEST_F(S3ClientTest, TriesAgainWhatMayPass) {
  s3_.then(503, error("SlowDown"));
  s3_.then(500, error("InternalError"));
  s3_.then(429);
  s3_.then(200, "content");
  S3Request request;
  request.key = "a/b";
  const auto answer = send(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->body, "content");
  EXPECT_EQ(s3_.pauses, 3);
  ASSERT_EQ(s3_.seen().size(), 4U);
  for (const auto& seen : s3_.seen()) EXPECT_EQ(seen.target, "/bucket/a/b");
}

TEST_F(S3ClientTest, ABodyThatIsNotInMemoryIsSentAgainFromItsBeginning) {
  const std::string content(300'000, 'x');
  http::BodySource source;
  source.size_bytes = content.size();
  source.read = [&](std::uint64_t offset, std::span<char> buffer) -> Result<std::size_t> {
    const std::string part = content.substr(offset, buffer.size());
    std::copy(part.begin(), part.end(), buffer.begin());
    return part.size();
  };
  s3_.then(503);
  S3Request request;
  request.method = "PUT";
  request.key = "k";
  request.source = &source;
  request.payload_sha256_hex = std::string(64, 'a');
  ASSERT_TRUE(send(request).ok());
  ASSERT_EQ(s3_.seen().size(), 2U);
  for (const auto& seen : s3_.seen()) {
    EXPECT_EQ(seen.method, "PUT");
    EXPECT_TRUE(seen.body == content);
    EXPECT_EQ(seen.headers.get("Content-Length"), "300000");
    EXPECT_EQ(seen.headers.get("x-amz-content-sha256"), request.payload_sha256_hex);
  }
}

TEST_F(S3ClientTest, GivesUpWithAReasonAndWithoutASecret) {
  S3Options options = s3_.options();
  options.retry.total = milliseconds(0);
  s3_.then(503, error("SlowDown"));
  const auto answer = S3Client(options, clock_, random_).send({});
  EXPECT_TRUE(absl::IsUnavailable(answer.status())) << answer.status();
  EXPECT_NE(answer.status().message().find("503 SlowDown"), std::string::npos);
  EXPECT_EQ(answer.status().ToString().find("secret"), std::string::npos);
}

TEST_F(S3ClientTest, WhatWillNotPassIsNotTriedAgain) {
  s3_.then(404, error("NoSuchKey"));
  EXPECT_TRUE(absl::IsNotFound(send({}).status()));
  s3_.then(403, error("AccessDenied"));
  EXPECT_TRUE(absl::IsPermissionDenied(send({}).status()));
  s3_.then(412, error("PreconditionFailed"));
  EXPECT_TRUE(absl::IsAborted(send({}).status()));
  s3_.then(400, error("InvalidRequest"));
  EXPECT_TRUE(absl::IsInternal(send({}).status()));
  s3_.then(301);
  EXPECT_TRUE(absl::IsInternal(send({}).status()));
  EXPECT_EQ(s3_.pauses, 0);
}

TEST_F(S3ClientTest, TheSecretIsNeverSentAndTheSessionIs) {
  ASSERT_TRUE(send({}).ok());
  const auto seen = s3_.seen().at(0);
  for (const auto& [name, value] : seen.headers.fields()) {
    EXPECT_EQ(value.find("very-secret"), std::string::npos) << name;
  }
  EXPECT_EQ(seen.headers.get("x-amz-security-token"), "session");
  EXPECT_NE(seen.headers.get("Authorization").find("x-amz-security-token"), std::string::npos);
}

TEST_F(S3ClientTest, ACompletionWhoseAnswerWasLostIsFoundOut) {
  S3BlobsOptions options;
  options.s3 = s3_.options();
  options.part_bytes = 10;
  s3_.then(200);  // That the bucket is there.
  const auto store = S3Blobs::open_bucket(options, clock_, random_).value();
  s3_.then(200, "<R><UploadId>u&amp;1</UploadId></R>");
  http::Headers etag;
  etag.add("ETag", "\"e1\"");
  s3_.then(200, "", etag);
  s3_.then(200, "", etag);
  s3_.then(503);  // Of the completion, which took effect.
  s3_.then(404, error("NoSuchUpload"));
  s3_.then(200, "twelve bytes");  // HEAD: its length counts.
  auto writer = store->create("k").value();
  ASSERT_TRUE(writer->write("twelve bytes").ok());
  const auto info = writer->commit();
  ASSERT_TRUE(info.ok()) << info.status();
  const auto seen = s3_.seen();
  ASSERT_EQ(seen.size(), 7U);
  EXPECT_EQ(seen[2].target, "/bucket/k?partNumber=1&uploadId=u%261");
  EXPECT_EQ(seen[2].body, "twelve byt");
  EXPECT_EQ(seen[3].body, "es");
  EXPECT_NE(seen[4].body.find("<PartNumber>2</PartNumber><ETag>\"e1\"</ETag>"), std::string::npos);
  EXPECT_EQ(seen[6].method, "HEAD");
}

class S3BlobsTest : public S3ClientTest {
 protected:
  S3BlobsTest() {
    S3BlobsOptions options;
    options.s3 = s3_.options();
    options.prefix = "p";
    options.s3.retry.total = milliseconds(0);
    s3_.then(200);
    store_ = S3Blobs::open_bucket(options, clock_, random_).value();
  }

  using Keys = std::vector<std::string>;
  std::unique_ptr<S3Blobs> store_;
};

TEST_F(S3BlobsTest, AnErrorInsideOfASuccessIsAnError) {
  s3_.then(200, "<DeleteResult>" + error("InternalError") + "</DeleteResult>");
  const NotRemoved left = store_->remove_many(Keys{"a", "b"});
  EXPECT_TRUE(absl::IsInternal(left.why)) << left.why;
  EXPECT_EQ(left.keys, (Keys{"a", "b"})) << "it does not say which";
}

TEST_F(S3BlobsTest, OneThatCannotBeRemovedHoldsNoOtherUp) {
  s3_.then(200,
           "<DeleteResult><Deleted><Key>p/a</Key></Deleted><Error><Key>p/b</Key>"
           "<Code>AccessDenied</Code></Error></DeleteResult>");
  const NotRemoved left = store_->remove_many(Keys{"a", "b", "not a key", "c"});
  EXPECT_FALSE(left.why.ok());
  EXPECT_EQ(left.keys, (Keys{"not a key", "b"}));
}

TEST_F(S3BlobsTest, ABatchThatFailsDoesNotEndTheOthers) {
  Keys keys;
  for (int i = 0; i < 1'500; ++i) keys.push_back("k" + std::to_string(i));
  s3_.then(403, error("AccessDenied"));
  s3_.then(200);
  const NotRemoved left = store_->remove_many(keys);
  EXPECT_TRUE(absl::IsPermissionDenied(left.why)) << left.why;
  EXPECT_EQ(left.keys.size(), 1'000U);
}

TEST_F(S3BlobsTest, RemovingAPrefixGoesOnPastWhatStays) {
  const auto page = [](const std::string& keys) { return "<L>" + keys + "</L>"; };
  s3_.then(200, page("<Key>p/x/1</Key><Key>p/x/2</Key>"));
  s3_.then(200, "<R><Error><Key>p/x/2</Key><Code>AccessDenied</Code></Error></R>");
  s3_.then(200, page(""));
  EXPECT_FALSE(store_->remove_all("x").ok());
  const auto seen = s3_.seen();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_NE(seen[3].target.find("start-after=p%2Fx%2F2"), std::string::npos) << seen[3].target;
}

TEST_F(S3BlobsTest, UnfinishedUploadsAreEndedOnEveryPage) {
  const auto upload = [](const std::string& id, const std::string& date) {
    return "<Upload><Key>p/k</Key><UploadId>" + id + "</UploadId><Initiated>" + date +
           "</Initiated></Upload>";
  };
  const std::string long_ago = "2020-01-01T00:00:00.000Z";
  s3_.then(200,
           "<L><NextKeyMarker>p/k</NextKeyMarker><NextUploadIdMarker>u1</NextUploadIdMarker>"
           "<IsTruncated>true</IsTruncated>" +
               upload("u0", long_ago) + upload("u1", "2999-01-01T00:00:00Z") + "</L>");
  s3_.then(403, error("AccessDenied"));  // Of u0: no reason not to go on.
  s3_.then(200, "<L><IsTruncated>false</IsTruncated>" + upload("u2", long_ago) + "</L>");
  s3_.then(204);
  EXPECT_TRUE(absl::IsPermissionDenied(store_->remove_unfinished(std::chrono::hours(24))));
  const auto seen = s3_.seen();
  ASSERT_EQ(seen.size(), 5U) << "u1 is young";
  EXPECT_EQ(seen[2].target, "/bucket/p/k?uploadId=u0");
  EXPECT_EQ(seen[3].target, "/bucket/?key-marker=p%2Fk&prefix=p%2F&upload-id-marker=u1&uploads=");
  EXPECT_EQ(seen[4].target, "/bucket/p/k?uploadId=u2");
}

TEST_F(S3BlobsTest, ServersWithoutAListOfUploadsEndThemByThemselves) {
  s3_.then(501);
  EXPECT_EQ(store_->remove_unfinished(std::chrono::hours(24)), absl::OkStatus());
}

TEST_F(S3BlobsTest, TellsWhetherWhatIsDeletedIsGone) {
  s3_.then(200, "<VersioningConfiguration/>");
  EXPECT_EQ(*store_->versioning(), Versioning::kNever);
  for (const char* status : {"Enabled", "Suspended"}) {
    s3_.then(200, "<V><Status>" + std::string(status) + "</Status></V>");
    EXPECT_EQ(*store_->versioning(), Versioning::kOn) << status;
  }
  s3_.then(403, error("AccessDenied"));
  EXPECT_EQ(*store_->versioning(), Versioning::kUnknown);
  s3_.then(501);
  EXPECT_EQ(*store_->versioning(), Versioning::kUnknown);
  s3_.then(503);
  EXPECT_TRUE(absl::IsUnavailable(store_->versioning().status()));
}

TEST(S3Xml, TextsComeInOrderWithoutEntities) {
  EXPECT_EQ(xml_texts("<L><Key>a&amp;lt;</Key><Key></Key><K>no</K><Key>b&quot;", "Key"),
            (std::vector<std::string>{"a&lt;", ""}));
}

}  // namespace
}  // namespace mimeo::blobs
