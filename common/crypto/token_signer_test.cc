#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <nlohmann/json.hpp>

#include "common/crypto/crypto.h"

namespace mimeo::crypto {
namespace {

const std::pair<std::string, std::string>& pair() {
  static const auto kPair = make_signing_pair("mimeo test").value();
  return kPair;
}

// Verifies with the certificate inside the token itself, as a registry does.
bool verifies(const std::string& signed_part, const std::string& raw_signature,
              const std::string& certificate_der) {
  const auto* at = reinterpret_cast<const unsigned char*>(certificate_der.data());
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      d2i_X509(nullptr, &at, static_cast<long>(certificate_der.size())), X509_free);
  if (!certificate || raw_signature.size() != 64) return false;
  const auto* raw = reinterpret_cast<const unsigned char*>(raw_signature.data());
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> signature(ECDSA_SIG_new(),
                                                                        ECDSA_SIG_free);
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(raw, 32, nullptr), BN_bin2bn(raw + 32, 32, nullptr));
  unsigned char* der = nullptr;
  const int der_size = i2d_ECDSA_SIG(signature.get(), &der);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr,
                       X509_get0_pubkey(certificate.get()));
  const bool ok = EVP_DigestVerify(context.get(), der, static_cast<std::size_t>(der_size),
                                   reinterpret_cast<const unsigned char*>(signed_part.data()),
                                   signed_part.size()) == 1;
  OPENSSL_free(der);
  return ok;
}

TEST(TokenSigner, MakesATokenThatItsOwnCertificateVerifies) {
  const auto signer = TokenSigner::load(pair().first, pair().second).value();
  const WallTime now{std::chrono::seconds(1'700'000'000)};
  const std::string token = signer->sign_registry_token(
      "mimeo", "mimeo-registry", "alice", {{"alice/hello", {"pull", "push"}}, {"bob/x", {}}}, now,
      std::chrono::seconds(300), "id-1");
  const auto first = token.find('.');
  const auto second = token.find('.', first + 1);
  const auto header = nlohmann::json::parse(base64_decode(token.substr(0, first)).value());
  const auto claims =
      nlohmann::json::parse(base64_decode(token.substr(first + 1, second - first - 1)).value());
  const std::string signature = base64_decode(token.substr(second + 1)).value();

  EXPECT_EQ(header["alg"], "ES256");
  EXPECT_EQ(header["typ"], "JWT");
  const std::string certificate = base64_decode(header["x5c"][0].get<std::string>()).value();
  EXPECT_TRUE(verifies(token.substr(0, second), signature, certificate));
  EXPECT_FALSE(verifies(token.substr(0, second) + "x", signature, certificate));

  EXPECT_EQ(claims["iss"], "mimeo");
  EXPECT_EQ(claims["aud"], "mimeo-registry");
  EXPECT_EQ(claims["sub"], "alice");
  EXPECT_EQ(claims["jti"], "id-1");
  EXPECT_EQ(claims["exp"], 1'700'000'300);
  EXPECT_EQ(claims["access"], nlohmann::json::parse(R"([
    {"type": "repository", "name": "alice/hello", "actions": ["pull", "push"]},
    {"type": "repository", "name": "bob/x", "actions": []}])"));
}

TEST(TokenSigner, ManySignaturesVerifyWhateverTheirLeadingZeros) {
  const auto signer = TokenSigner::load(pair().first, pair().second).value();
  for (int i = 0; i < 300; ++i) {
    const std::string token = signer->sign_registry_token(
        "i", "s", "u", {}, WallTime{}, std::chrono::seconds(1), std::to_string(i));
    const auto second = token.rfind('.');
    const auto header =
        nlohmann::json::parse(base64_decode(token.substr(0, token.find('.'))).value());
    ASSERT_TRUE(verifies(token.substr(0, second), base64_decode(token.substr(second + 1)).value(),
                         base64_decode(header["x5c"][0].get<std::string>()).value()));
  }
}

TEST(TokenSigner, RefusesKeysThatItCannotUse) {
  const auto other = make_signing_pair("other").value();
  EXPECT_EQ(TokenSigner::load("nonsense", pair().second).status().message(),
            "the signing key is no PEM private key");
  EXPECT_EQ(TokenSigner::load(pair().first, "nonsense").status().message(),
            "the certificate is no PEM certificate");
  EXPECT_EQ(TokenSigner::load(pair().first, other.second).status().message(),
            "the signing key and the certificate do not belong together");
}

}  // namespace
}  // namespace mimeo::crypto
