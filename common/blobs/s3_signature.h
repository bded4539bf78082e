// Signature Version 4 of requests to S3 (AWS4-HMAC-SHA256 in the Authorization field). Pure values:
// what is sent, and when, is s3_client.h's business.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace mimeo::blobs {

// Secrets: never in a log line, a message or a metric.
struct S3Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  // Of temporary credentials; else empty.
};

// From the file when one is named, else from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
// AWS_SESSION_TOKEN. The file is what AWS's own programs read: `aws_access_key_id = ...` and so on
// in the section [default], or without a section. kFailedPrecondition says what is missing.
[[nodiscard]] Result<S3Credentials> load_s3_credentials(const std::string& file);

// What the signature covers.
struct S3Signable {
  std::string method;
  std::string path;                                          // Percent-encoded, absolute.
  std::vector<std::pair<std::string, std::string>> query;    // Decoded, any order.
  std::vector<std::pair<std::string, std::string>> headers;  // Lower-case names, any order.
  std::string payload_sha256_hex;
};

// "20130524T000000Z", for the field x-amz-date, which must be among the headers.
[[nodiscard]] std::string s3_date(WallTime at);

// The value of the Authorization field.
[[nodiscard]] std::string s3_authorization(const S3Credentials& credentials,
                                           std::string_view region, WallTime at,
                                           const S3Signable& request);

// "a=1&b=%2F": sorted and encoded as the signature wants it, for the URL.
[[nodiscard]] std::string s3_query(std::vector<std::pair<std::string, std::string>> query);

}  // namespace mimeo::blobs
