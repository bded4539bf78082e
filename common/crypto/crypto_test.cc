#include "common/crypto/crypto.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "common/base/ids.h"

namespace mimeo::crypto {
namespace {

TEST(Hashes, MatchThePublishedVectors) {
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(md5("message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
  // RFC 4231, test case 2.
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Hashes, PiecesGiveTheHashOfTheWhole) {
  Sha256 sha;
  Md5 md;
  for (const std::string_view piece : {"mess", "", "age digest"}) {
    sha.update(piece);
    md.update(piece);
  }
  EXPECT_EQ(sha.finish(), sha256("message digest"));
  EXPECT_EQ(md.finish(), md5("message digest"));
}

TEST(Hmac, SignsAWebhookAsItsReceiversVerifyIt) {
  const std::string secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const auto key = base64_decode(secret.substr(secret.find('_') + 1));
  ASSERT_TRUE(key);
  EXPECT_EQ("v1," + base64(hmac_sha256(
                        *key, "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}")),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(Hmac, PartsGiveTheCodeOfTheWhole) {
  const std::vector<std::string_view> parts = {"what do ya ", "", "want for nothing?"};
  EXPECT_EQ(hmac_sha256("Jefe", parts), hmac_sha256("Jefe", "what do ya want for nothing?"));
  // Of no bytes with no key.
  EXPECT_EQ(to_hex(hmac_sha256("", std::span<const std::string_view>())),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Base64, MatchesRfc4648BothWays) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(base64(plain), encoded);
    EXPECT_EQ(base64_decode(encoded), plain);
    EXPECT_EQ(base64_decode(base64url(plain)), plain);
  }
  EXPECT_EQ(base64("\xfb\xff"), "+/8=");
  EXPECT_EQ(base64url("\xfb\xff"), "-_8");
  EXPECT_EQ(base64_decode("-_8"), "\xfb\xff");
}

TEST(Base64, RefusesWhatIsMalformed) {
  for (const std::string_view text : {"Z", "Zg=", "Zm9v=", "Zm 9v", "Zh==", "====", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(Equal, ComparesLengthAndContent) {
  EXPECT_TRUE(equal("secret", "secret"));
  EXPECT_TRUE(equal("", ""));
  EXPECT_FALSE(equal("secret", "secreT"));
  EXPECT_FALSE(equal("secret", "secret2"));
}

TEST(Tokens, HaveTheFormThatClientsExpect) {
  SystemRandom random;
  const std::string token = make_api_token(random);
  EXPECT_EQ(token.size(), 40U);
  EXPECT_EQ(token.substr(0, 3), "r8_");
  EXPECT_TRUE(std::all_of(token.begin() + 3, token.end(),
                          [](unsigned char c) { return std::isalnum(c) != 0; }));
  EXPECT_NE(make_api_token(random), token);
  EXPECT_EQ(make_token("mw_", random).size(), 35U);
}

}  // namespace
}  // namespace mimeo::crypto
