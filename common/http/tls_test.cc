#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>

#include "common/http/client.h"
#include "common/http/test_server.h"

namespace mimeo::http {
namespace {

using boost::asio::awaitable;

// A self-signed certificate for "localhost", made when needed.
class Certificate {
 public:
  Certificate() {
    char directory[] = "/tmp/mimeo-tls-XXXXXX";
    directory_ = ::mkdtemp(directory);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* x509 = X509_new();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_EXTENSION* san =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(x509, san, -1);
    X509_EXTENSION_free(san);
    X509_sign(x509, key, EVP_sha256());
    FILE* file = std::fopen(certificate().c_str(), "w");
    PEM_write_X509(file, x509);
    std::fclose(file);
    file = std::fopen(private_key().c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    X509_free(x509);
    EVP_PKEY_free(key);
  }
  ~Certificate() { std::filesystem::remove_all(directory_); }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  [[nodiscard]] std::string certificate() const { return directory_ + "/cert.pem"; }
  [[nodiscard]] std::string private_key() const { return directory_ + "/key.pem"; }

 private:
  std::string directory_;
};

awaitable<void> echo(Exchange& exchange) {
  Result<std::string> body = co_await exchange.read_body(64_MiB);
  Response response;
  response.body = (exchange.head().is_tls ? "tls " : "plain ") + *body;
  co_await exchange.respond(std::move(response));
}

awaitable<Result<std::string>> talk(std::string host, std::uint16_t port, std::string ca_file,
                                    std::string body) {
  TlsClientOptions options;
  options.ca_file = std::move(ca_file);
  const std::chrono::milliseconds limit{20'000};
  auto connection = co_await ClientConnection::connect_tls(std::move(host), port, options, limit);
  if (!connection.ok()) co_return connection.status();
  std::string answers;
  for (int i = 0; i < 2; ++i) {
    ClientRequest request;
    request.method = "POST";
    request.body = body;
    Result<Response> response = co_await (*connection)->request(std::move(request));
    if (!response.ok()) co_return response.status();
    answers += response->body;
  }
  co_return answers;
}

class TlsTest : public ::testing::Test {
 protected:
  static ServerOptions options(const Certificate& certificate) {
    ServerOptions made;
    made.tls_certificate_file = certificate.certificate();
    made.tls_key_file = certificate.private_key();
    return made;
  }
  Certificate certificate_;
  TestServer server_{echo, options(certificate_)};
};

TEST_F(TlsTest, ServesOverTls) {
  ASSERT_TRUE(server_.status().ok()) << server_.status();
  const auto port = server_.port();
  const Result<std::string> small =
      server_.run(talk("localhost", port, certificate_.certificate(), "x")).get();
  ASSERT_TRUE(small.ok()) << small.status();
  EXPECT_EQ(*small, "tls xtls x");
  const Result<std::string> large =
      server_.run(talk("localhost", port, certificate_.certificate(), std::string(2'000'000, 'y')))
          .get();
  ASSERT_TRUE(large.ok()) << large.status();
  EXPECT_EQ(large->size(), 2 * 2'000'004U);
}

TEST_F(TlsTest, RefusesStrangeCertificatesAndWrongNames) {
  const auto port = server_.port();
  EXPECT_FALSE(server_.run(talk("localhost", port, "", "x")).get().ok());
  EXPECT_FALSE(server_.run(talk("127.0.0.1", port, certificate_.certificate(), "x")).get().ok());
}

TEST_F(TlsTest, SurvivesClientsThatSpeakPlainHttp) {
  RawClient client(server_.port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  client.read_all();
  EXPECT_TRUE(
      server_.run(talk("localhost", server_.port(), certificate_.certificate(), "x")).get().ok());
}

TEST(Tls, SaysWhatIsWrongWithTheCertificate) {
  ServerOptions options;
  options.tls_certificate_file = "/nowhere.pem";
  options.tls_key_file = "/nowhere.key";
  TestServer server(echo, options);
  EXPECT_TRUE(absl::IsInvalidArgument(server.status()));
  EXPECT_NE(server.status().message().find("/nowhere.pem"), std::string::npos);
}

}  // namespace
}  // namespace mimeo::http
