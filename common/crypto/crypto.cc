#include "common/crypto/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <array>
#include <cstdint>
#include <cstdlib>

namespace mimeo::crypto {

namespace {

// OpenSSL's digests fail only when memory is out or the library is broken.
void check(bool ok) {
  if (!ok) std::abort();
}

std::string digest(const EVP_MD* kind, std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned int size = 0;
  check(EVP_Digest(data.data(), data.size(), out.data(), &size, kind, nullptr) == 1);
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::string encode(std::string_view data, std::string_view alphabet) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : data) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    count += 8;
    while (count >= 6) {
      count -= 6;
      out += alphabet[(bits >> count) & 63];
    }
  }
  if (count > 0) out += alphabet[(bits << (6 - count)) & 63];
  return out;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

std::string alphanumeric(std::size_t length, Random& random) {
  static constexpr std::string_view kAlphabet =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string out;
  for (std::size_t i = 0; i < length; ++i) out += kAlphabet[random.below(kAlphabet.size())];
  return out;
}

}  // namespace

std::string sha256(std::string_view data) { return digest(EVP_sha256(), data); }
std::string md5(std::string_view data) { return digest(EVP_md5(), data); }

struct MacFree {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

std::string hmac_sha256(std::string_view key, std::string_view data) {
  return hmac_sha256(key, std::span(&data, 1));
}

std::string hmac_sha256(std::string_view key, std::span<const std::string_view> parts) {
  const std::unique_ptr<EVP_MAC, MacFree> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  check(mac != nullptr);
  const std::unique_ptr<EVP_MAC_CTX, MacFree> context(EVP_MAC_CTX_new(mac.get()));
  check(context != nullptr);
  std::string digest = "SHA256";
  const std::array params = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), digest.size()),
      OSSL_PARAM_construct_end()};
  // A null key would mean the one of before.
  const char* key_bytes = key.empty() ? "" : key.data();
  check(EVP_MAC_init(context.get(), reinterpret_cast<const unsigned char*>(key_bytes), key.size(),
                     params.data()) == 1);
  for (const std::string_view part : parts) {
    check(EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(part.data()),
                         part.size()) == 1);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  std::size_t size = 0;
  check(EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1);
  return {reinterpret_cast<const char*>(out.data()), size};
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

struct DigestContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct StreamDigest::Context {
  std::unique_ptr<EVP_MD_CTX, DigestContextFree> md{EVP_MD_CTX_new()};
};

StreamDigest::StreamDigest(DigestKind kind) : context_(std::make_unique<Context>()) {
  const EVP_MD* md = kind == DigestKind::kSha256 ? EVP_sha256() : EVP_md5();
  check(context_->md && EVP_DigestInit_ex(context_->md.get(), md, nullptr) == 1);
}
StreamDigest::~StreamDigest() = default;

void StreamDigest::update(std::string_view data) {
  check(EVP_DigestUpdate(context_->md.get(), data.data(), data.size()) == 1);
}

std::string StreamDigest::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned int size = 0;
  check(EVP_DigestFinal_ex(context_->md.get(), out.data(), &size) == 1);
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::string base64(std::string_view data) {
  std::string out =
      encode(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  while (out.size() % 4 != 0) out += '=';
  return out;
}

std::string base64url(std::string_view data) {
  return encode(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
}

std::optional<std::string> base64_decode(std::string_view text) {
  std::size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  if (text.size() % 4 == 1 || (padding > 0 && (text.size() + padding) % 4 != 0)) {
    return std::nullopt;
  }
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = base64_value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>((bits >> count) & 0xFF);
    }
  }
  // Bits left over must be zero, or two texts would mean the same.
  if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return out;
}

std::string make_api_token(Random& random) { return "r8_" + alphanumeric(37, random); }

std::string make_webhook_secret(Random& random) {
  std::array<std::uint8_t, 24> secret;
  random.fill(secret);
  return "whsec_" + base64({reinterpret_cast<const char*>(secret.data()), secret.size()});
}

std::string make_token(std::string_view prefix, Random& random) {
  return std::string(prefix) + alphanumeric(32, random);
}

}  // namespace mimeo::crypto
