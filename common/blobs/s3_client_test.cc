// Against a server that misbehaves as it is told; the real one is in s3_blobs_s3test.cc.

#include "common/blobs/s3_client.h"

#include <gtest/gtest.h>

#include <deque>
#include <mutex>

#include "common/blobs/s3_blobs.h"
#include "common/http/test_server.h"

namespace mimeo::blobs {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

// Gives the answers that it was told, in order, and remembers the requests.
class ScriptedS3 {
 public:
  struct Seen {
    std::string method;
    std::string target;
    std::string body;
    http::Headers headers;
  };

  void then(int status, std::string body = "", http::Headers headers = {}) {
    http::Response response;
    response.status = status;
    response.body = std::move(body);
    response.headers = std::move(headers);
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(response));
  }
  std::vector<Seen> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  [[nodiscard]] S3Options options() {
    S3Options options;
    options.endpoint = "http://127.0.0.1:" + std::to_string(server_.port());
    options.bucket = "bucket";
    options.addressing = S3Addressing::kPath;
    options.credentials = {"access", "very-secret", "session"};
    options.pause = [this](milliseconds) { ++pauses; };
    return options;
  }

  int pauses = 0;

 private:
  awaitable<void> answer(http::Exchange& exchange) {
    Result<std::string> body = co_await exchange.read_body(64_MiB);
    http::Response response;
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back({exchange.head().method, exchange.head().target, body.value_or("(broken)"),
                       exchange.head().headers});
      if (!answers_.empty()) {
        response = std::move(answers_.front());
        answers_.pop_front();
      }
    }
    co_await exchange.respond(std::move(response));
  }

  std::mutex mutex_;
  std::deque<http::Response> answers_;
  std::vector<Seen> seen_;
  http::TestServer server_{[this](http::Exchange& exchange) { return answer(exchange); }};
};

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
  s3_.then(501);  // The list of old uploads.
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

TEST_F(S3ClientTest, AnErrorInsideOfASuccessIsAnError) {
  S3BlobsOptions options;
  options.s3 = s3_.options();
  s3_.then(501);
  const auto store = S3Blobs::open_bucket(options, clock_, random_).value();
  s3_.then(200, "<DeleteResult>" + error("AccessDenied") + "</DeleteResult>");
  EXPECT_TRUE(absl::IsUnavailable(store->remove_many(std::vector<std::string>{"a"})));
}

TEST(S3Xml, TextsComeInOrderWithoutEntities) {
  EXPECT_EQ(xml_texts("<L><Key>a&amp;lt;</Key><Key></Key><K>no</K><Key>b&quot;", "Key"),
            (std::vector<std::string>{"a&lt;", ""}));
}

}  // namespace
}  // namespace mimeo::blobs
