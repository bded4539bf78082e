// Requests to one bucket of an S3-compatible server: addressing, signature, retries, errors. What
// the requests are is s3_blobs.cc's business; HTTP is http/outbound.h's.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/async/retry.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/blobs/s3_signature.h"
#include "common/http/outbound.h"

namespace mimeo::blobs {

enum class S3Addressing : std::uint8_t {
  kVirtualHost,  // https://bucket.host/key: AWS.
  kPath,         // https://host/bucket/key: most other servers.
};

struct S3Options {
  std::string endpoint;  // "https://host[:port]"; empty = AWS, by the region.
  std::string region = "us-east-1";
  std::string bucket;
  S3Addressing addressing = S3Addressing::kVirtualHost;
  S3Credentials credentials;
  std::chrono::milliseconds request_limit{60'000};  // Of one try.
  RetryPolicyOptions retry{std::chrono::milliseconds{100}, std::chrono::milliseconds{5'000},
                           std::chrono::milliseconds{45'000}};
  // Between two tries; tests do not wait.
  std::function<void(std::chrono::milliseconds)> pause;
};

struct S3Request {
  std::string method = "GET";
  std::string key;  // Of check_key()'s characters; empty = the bucket itself.
  std::vector<std::pair<std::string, std::string>> query;
  std::vector<std::pair<std::string, std::string>> headers;  // Lower-case names.
  std::string body;
  const http::BodySource* source = nullptr;  // Instead of `body`.
  std::string payload_sha256_hex;            // Of `source`.
};

// Blocking; safe from any thread.
class S3Client {
 public:
  // `clock` and `random` outlive it.
  S3Client(S3Options options, const Clock& clock, Random& random);

  // The server's answer of 2xx or of one of `also`. Other answers: kNotFound (404),
  // kPermissionDenied (403), kAborted (412), kInternal; kUnavailable when the server was not
  // reached, or answered 5xx or 429, for as long as the retries last. Messages name S3's error
  // code and never a credential.
  [[nodiscard]] Result<http::Response> send(const S3Request& request,
                                            std::vector<int> also = {}) const;

 private:
  [[nodiscard]] Result<http::Response> try_once(const S3Request& request) const;

  const S3Options options_;
  const Clock& clock_;
  Random& random_;
  std::string scheme_;
  std::string host_;         // As in the Host field.
  std::string path_prefix_;  // "" or "/bucket".
  const http::Outbound outbound_;
};

// The texts of all elements <tag>...</tag> of an S3 answer, in order, entities decoded. S3's
// answers have no attributes or nesting that would need more than this.
[[nodiscard]] std::vector<std::string> xml_texts(std::string_view xml, std::string_view tag);

}  // namespace mimeo::blobs
