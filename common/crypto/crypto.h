// Hashes, signatures, tokens. Thin wrappers over OpenSSL 3 and libsodium; nothing is invented here.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/status.h"

namespace mimeo::crypto {

// 32 raw bytes.
[[nodiscard]] std::string sha256(std::string_view data);
// 16 raw bytes, for ETags only.
[[nodiscard]] std::string md5(std::string_view data);
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view data);
// Of the parts one behind the other, without a copy of them.
[[nodiscard]] std::string hmac_sha256(std::string_view key,
                                      std::span<const std::string_view> parts);
// Time independent of where the strings differ.
[[nodiscard]] bool equal(std::string_view a, std::string_view b);

enum class DigestKind : std::uint8_t { kSha256, kMd5 };

// Hash of data that comes in pieces.
class StreamDigest {
 public:
  explicit StreamDigest(DigestKind kind);
  ~StreamDigest();
  StreamDigest(const StreamDigest&) = delete;
  StreamDigest& operator=(const StreamDigest&) = delete;
  void update(std::string_view data);
  [[nodiscard]] std::string finish();  // Once; the raw bytes.

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};
class Sha256 : public StreamDigest {
 public:
  Sha256() : StreamDigest(DigestKind::kSha256) {}
};
// For ETags only.
class Md5 : public StreamDigest {
 public:
  Md5() : StreamDigest(DigestKind::kMd5) {}
};

[[nodiscard]] std::string base64(std::string_view data);
[[nodiscard]] std::string base64url(std::string_view data);  // Without padding (RFC 7515).
// Standard or URL-safe alphabet, padding optional; nullopt when malformed.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

// "r8_" + 37 characters [0-9A-Za-z]: an API token in the form that clients expect.
[[nodiscard]] std::string make_api_token(Random& random);
// "whsec_" + standard base64 of 24 bytes: what an account's webhooks are signed with.
[[nodiscard]] std::string make_webhook_secret(Random& random);
// `prefix` + 32 characters [0-9A-Za-z]: registry and worker tokens.
[[nodiscard]] std::string make_token(std::string_view prefix, Random& random);

// One permission inside of a registry token.
struct RegistryAccess {
  std::string repository;
  std::vector<std::string> actions;  // "pull", "push", "delete".
  std::string type = "repository";  // Or "registry", whose repository "catalog" has the action "*".
};

// Signs registry tokens: ES256 with an x5c header, as CNCF distribution's token auth verifies them.
class TokenSigner {
 public:
  // Both PEM. kInvalidArgument when they do not parse or do not belong together.
  static Result<std::unique_ptr<TokenSigner>> load(const std::string& key_pem,
                                                   const std::string& certificate_pem);
  ~TokenSigner();
  // A JWT (compact form).
  [[nodiscard]] std::string sign_registry_token(std::string_view issuer, std::string_view service,
                                                std::string_view subject,
                                                const std::vector<RegistryAccess>& access,
                                                WallTime now, std::chrono::seconds lifetime,
                                                std::string_view token_id) const;

 private:
  struct Key;
  explicit TokenSigner(std::unique_ptr<Key> key);
  std::unique_ptr<Key> key_;
};

// A new P-256 key with a self-signed certificate for ten years: {key PEM, certificate PEM}.
[[nodiscard]] Result<std::pair<std::string, std::string>> make_signing_pair(std::string_view name);

}  // namespace mimeo::crypto
