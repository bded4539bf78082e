#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/crypto/crypto.h"

namespace mimeo::crypto {

namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Pkey = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;

constexpr int kCoordinateBytes = 32;  // P-256.

Bio reader(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

bool is_p256(EVP_PKEY* key) {
  std::array<char, 32> name{};
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, name.data(), name.size(), nullptr) == 1 &&
         std::string_view(name.data()) == "prime256v1";
}

// ES256 as JOSE spells it: r and s, 32 bytes each, instead of OpenSSL's DER.
std::string sign_es256(EVP_PKEY* key, std::string_view data) {
  const DigestContext context(EVP_MD_CTX_new());
  std::array<unsigned char, 128> der{};
  std::size_t size = der.size();
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), der.data(), &size,
                     reinterpret_cast<const unsigned char*>(data.data()), data.size()) != 1) {
    std::abort();  // The key was checked by load().
  }
  const unsigned char* at = der.data();
  const Signature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
  std::array<unsigned char, 2 * kCoordinateBytes> raw{};
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), kCoordinateBytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + kCoordinateBytes, kCoordinateBytes);
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

bool add_extension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

}  // namespace

struct TokenSigner::Key {
  Pkey pkey;
  std::string header;  // Encoded once: it never changes.
};

TokenSigner::TokenSigner(std::unique_ptr<Key> key) : key_(std::move(key)) {}
TokenSigner::~TokenSigner() = default;

Result<std::unique_ptr<TokenSigner>> TokenSigner::load(const std::string& key_pem,
                                                       const std::string& certificate_pem) {
  ERR_clear_error();
  auto key = std::make_unique<Key>();
  key->pkey.reset(PEM_read_bio_PrivateKey(reader(key_pem).get(), nullptr, nullptr, nullptr));
  if (!key->pkey) return absl::InvalidArgumentError("the signing key is no PEM private key");
  if (!is_p256(key->pkey.get())) {
    return absl::InvalidArgumentError("the signing key is no EC key on P-256");
  }
  const Certificate certificate(
      PEM_read_bio_X509(reader(certificate_pem).get(), nullptr, nullptr, nullptr));
  if (!certificate) return absl::InvalidArgumentError("the certificate is no PEM certificate");
  if (X509_check_private_key(certificate.get(), key->pkey.get()) != 1) {
    return absl::InvalidArgumentError("the signing key and the certificate do not belong together");
  }
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  if (size <= 0) return absl::InternalError("the certificate cannot be encoded");
  const std::string encoded =
      base64({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  nlohmann::json header;
  header["typ"] = "JWT";
  header["alg"] = "ES256";
  header["x5c"] = nlohmann::json::array({encoded});
  key->header = base64url(header.dump());
  return std::unique_ptr<TokenSigner>(new TokenSigner(std::move(key)));
}

std::string TokenSigner::sign_registry_token(std::string_view issuer, std::string_view service,
                                             std::string_view subject,
                                             const std::vector<RegistryAccess>& access,
                                             WallTime now, std::chrono::seconds lifetime,
                                             std::string_view token_id) const {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  nlohmann::json claims;
  claims["iss"] = issuer;
  claims["sub"] = subject;
  claims["aud"] = service;
  claims["iat"] = seconds;
  claims["nbf"] = seconds - 30;  // The registry's clock may be behind ours.
  claims["exp"] = seconds + lifetime.count();
  claims["jti"] = token_id;
  claims["access"] = nlohmann::json::array();
  for (const auto& entry : access) {
    nlohmann::json item;
    item["type"] = entry.type;
    item["name"] = entry.repository;
    item["actions"] = entry.actions;
    claims["access"].push_back(std::move(item));
  }
  const std::string payload = claims.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string token = key_->header + "." + base64url(payload);
  const std::string signature = sign_es256(key_->pkey.get(), token);
  return token + "." + base64url(signature);
}

Result<std::pair<std::string, std::string>> make_signing_pair(std::string_view name) {
  const Status failed = absl::InternalError("OpenSSL made no signing key");
  const Pkey key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  if (!key || !certificate) return failed;
  constexpr long kHour = 3600;
  constexpr long kTenYears = 3650L * 24 * kHour;
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), serial.size()) != 1) return failed;
  serial[0] &= 0x7F;  // Positive.
  const std::unique_ptr<BIGNUM, Deleter<BN_free>> number(
      BN_bin2bn(serial.data(), serial.size(), nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  X509_set_version(certificate.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kHour);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kTenYears);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(name.data()),
                                 static_cast<int>(name.size()), -1, 0) != 1) {
    return absl::InvalidArgumentError("the name of a certificate has 1 to 64 characters");
  }
  X509_set_issuer_name(certificate.get(), subject);
  if (!add_extension(certificate.get(), NID_subject_key_identifier, "hash") ||
      !add_extension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE") ||
      X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) {
    return failed;
  }
  const Bio key_pem(BIO_new(BIO_s_mem()));
  const Bio certificate_pem(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1 ||
      PEM_write_bio_X509(certificate_pem.get(), certificate.get()) != 1) {
    return failed;
  }
  return std::pair(contents(key_pem.get()), contents(certificate_pem.get()));
}

}  // namespace mimeo::crypto
