#include "control-plane/public_links.h"

#include <gtest/gtest.h>

namespace mimeo::control {
namespace {

class PublicLinks : public ::testing::Test {
 protected:
  FakeClock clock_;
  SeededRandom random_{7};
  IdGenerator ids_{clock_, random_};
  PredictionId id_ = ids_.next();
};

TEST_F(PublicLinks, AStreamTokenNamesItsPredictionAndItsKind) {
  for (const StreamKind kind : {StreamKind::kText, StreamKind::kFiles}) {
    const std::string token = make_stream_token(id_, kind, random_);
    EXPECT_EQ(token.size(), kStreamTokenLength);
    const auto parsed = parse_stream_token(token);
    ASSERT_TRUE(parsed.has_value()) << token;
    EXPECT_EQ(parsed->prediction, id_);
    EXPECT_EQ(parsed->kind, kind);
  }
  EXPECT_EQ(make_stream_token(id_, StreamKind::kNone, random_), "");
}

TEST_F(PublicLinks, AMalformedStreamTokenIsNone) {
  const std::string token = make_stream_token(id_, StreamKind::kText, random_);
  EXPECT_FALSE(parse_stream_token(""));
  EXPECT_FALSE(parse_stream_token(token.substr(1)));
  EXPECT_FALSE(parse_stream_token(token + "0"));
  std::string other_kind = token;
  other_kind[26] = 'x';
  EXPECT_FALSE(parse_stream_token(other_kind));
  std::string bad_letter = token;
  bad_letter[40] = 'U';
  EXPECT_FALSE(parse_stream_token(bad_letter));
}

TEST_F(PublicLinks, ADeliveryTokenNamesThePredictionAndASecret) {
  const std::string token = make_delivery_token(id_, random_);
  const auto parsed = parse_delivery_token(token);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->prediction, id_);
  EXPECT_EQ(parsed->secret, token.substr(26));
  EXPECT_NE(make_delivery_token(id_, random_), token);
  EXPECT_FALSE(parse_delivery_token("../../etc/passwd"));
  EXPECT_FALSE(parse_delivery_token(token + "0"));
  EXPECT_FALSE(parse_delivery_token(token.substr(1) + "U"));
}

TEST_F(PublicLinks, AnOldOutputLiesUnderItsPredictionForOneName) {
  const DeliveryToken token = *parse_delivery_token(make_delivery_token(id_, random_));
  const std::string key = old_output_key(token, "out.png");
  EXPECT_TRUE(key.starts_with(old_output_prefix(id_) + "/")) << key;
  EXPECT_NE(old_output_key(token, "out.html"), key);
}

TEST_F(PublicLinks, TheUrlOfAFileEndsInItsEncodedName) {
  EXPECT_EQ(delivery_url("https://m.example", "tok", "a b/c.png"),
            "https://m.example/delivery/tok/a%20b%2Fc.png");
}

}  // namespace
}  // namespace mimeo::control
