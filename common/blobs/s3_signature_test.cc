// The examples that AWS publishes with the description of the signature: "Authenticating Requests:
// Using the Authorization Header", Amazon S3 API Reference.

#include "common/blobs/s3_signature.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/base/ids.h"
#include "common/crypto/crypto.h"

namespace mimeo::blobs {
namespace {

constexpr const char* kEmptyHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
// 2013-05-24 00:00:00 UTC.
constexpr WallTime kExampleTime{std::chrono::seconds{1'369'353'600}};

S3Credentials example() {
  return {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
}

S3Signable request(const std::string& path, const std::string& payload_hash = kEmptyHash) {
  S3Signable r;
  r.method = "GET";
  r.path = path;
  r.payload_sha256_hex = payload_hash;
  r.headers = {{"x-amz-date", "20130524T000000Z"},
               {"x-amz-content-sha256", payload_hash},
               {"host", "examplebucket.s3.amazonaws.com"}};
  return r;
}

std::string signature_of(const S3Signable& signable) {
  const std::string value = s3_authorization(example(), "us-east-1", kExampleTime, signable);
  return value.substr(value.find("Signature=") + 10);
}

TEST(S3Signature, DatesAreInBasicFormat) { EXPECT_EQ(s3_date(kExampleTime), "20130524T000000Z"); }

TEST(S3Signature, OfAPartOfAnObject) {
  S3Signable get = request("/test.txt");
  get.headers.emplace_back("range", "bytes=0-9");
  EXPECT_EQ(s3_authorization(example(), "us-east-1", kExampleTime, get),
            "AWS4-HMAC-SHA256 "
            "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(S3Signature, OfAnObjectThatIsPut) {
  const std::string hash = to_hex(crypto::sha256("Welcome to Amazon S3."));
  S3Signable put = request("/test%24file.text", hash);
  put.method = "PUT";
  put.headers.emplace_back("date", "Fri, 24 May 2013 00:00:00 GMT");
  put.headers.emplace_back("x-amz-storage-class", "REDUCED_REDUNDANCY");
  EXPECT_EQ(signature_of(put), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(S3Signature, OfAParameterWithoutValue) {
  S3Signable get = request("/");
  get.query = {{"lifecycle", ""}};
  EXPECT_EQ(signature_of(get), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(S3Signature, OfAList) {
  S3Signable get = request("/");
  get.query = {{"prefix", "J"}, {"max-keys", "2"}};
  EXPECT_EQ(signature_of(get), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(S3Signature, QueriesAreSortedAndEncoded) {
  EXPECT_EQ(s3_query({{"uploads", ""}, {"prefix", "a/b c"}}), "prefix=a%2Fb%20c&uploads=");
}

TEST(S3CredentialsFile, TheDefaultSectionCounts) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("mimeo-s3-credentials-" + std::to_string(::getpid()));
  std::ofstream(path) << "[other]\naws_access_key_id = no\n# comment = x\n[default]\r\n"
                         "aws_access_key_id = AK\r\naws_secret_access_key=a=b\n";
  const auto read = load_s3_credentials(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->access_key, "AK");
  EXPECT_EQ(read->secret_key, "a=b");
  EXPECT_EQ(read->session_token, "");
  std::ofstream(path) << "aws_access_key_id = AK\n";
  EXPECT_TRUE(absl::IsFailedPrecondition(load_s3_credentials(path).status()));
  std::filesystem::remove(path);
  EXPECT_TRUE(absl::IsFailedPrecondition(load_s3_credentials(path).status()));
}

}  // namespace
}  // namespace mimeo::blobs
