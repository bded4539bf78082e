#include "control-plane/webhooks/signature.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace mimeo::control {
namespace {

using store::WebhookEvent;
using Secrets = std::vector<std::string>;

constexpr const char* kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
constexpr const char* kId = "msg_p5jXN8AQM9LWM0D4loKWxJek";
constexpr const char* kBody = R"({"test": 2432232314})";
constexpr const char* kSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
constexpr WallTime kAt{std::chrono::seconds{1614265330}};

TEST(WebhookSignature, MatchesTheStandardsTestVector) {
  EXPECT_EQ(*sign_webhook(Secrets{kSecret}, kId, kAt, kBody), kSignature);
  EXPECT_EQ(webhook_headers(kId, kAt).get("webhook-timestamp"), "1614265330");
  EXPECT_EQ(webhook_headers(kId, kAt).get("webhook-id"), kId);
}

TEST(WebhookSignature, HasOneSignaturePerSecretWithBlanksBetween) {
  const std::string other = "whsec_" + std::string(32, 'A');
  const auto both = sign_webhook(Secrets{other, kSecret}, kId, kAt, kBody);
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(*both, *sign_webhook(Secrets{other}, kId, kAt, kBody) + " " + kSignature);
}

TEST(WebhookSignature, RefusesSecretsOfAnotherForm) {
  for (const char* secret : {"", "whsec_%%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(sign_webhook(Secrets{secret}, kId, kAt, kBody).status()))
        << secret;
  }
}

// Computed from the KSUID specification's own example: 0EF0F23B…  of 107608047 seconds.
TEST(WebhookId, IsAKsuidBehindMsg) {
  const std::array<std::uint8_t, 16> payload = {0xB5, 0xA1, 0xCD, 0x34, 0xB5, 0xF9, 0x9D, 0x11,
                                                0x54, 0xFB, 0x68, 0x53, 0x34, 0x5C, 0x97, 0x35};
  const WallTime at{std::chrono::seconds{1'400'000'000 + 107'608'047}};
  EXPECT_EQ(make_webhook_id(at, payload), "msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv");
}

TEST(WebhookId, IsTheSameForTheSameEventAndNoOther) {
  FakeClock clock;
  SeededRandom random(1);
  IdGenerator ids(clock, random);
  const PredictionId a = ids.next();
  const PredictionId b = ids.next();
  EXPECT_EQ(webhook_id_of(a, WebhookEvent::kCompleted), webhook_id_of(a, WebhookEvent::kCompleted));
  const std::set<std::string> all = {
      webhook_id_of(a, WebhookEvent::kStart), webhook_id_of(a, WebhookEvent::kCompleted),
      webhook_id_of(b, WebhookEvent::kCompleted), make_webhook_id(clock.now(), random),
      make_webhook_id(clock.now(), random)};
  EXPECT_EQ(all.size(), 5U);
  for (const std::string& id : all) {
    EXPECT_EQ(id.size(), 31U) << id;
    EXPECT_EQ(id.substr(4).find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "abcdefghijklmnopqrstuvwxyz"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace mimeo::control
