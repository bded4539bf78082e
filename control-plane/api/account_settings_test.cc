#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

class AccountSettingsApi : public ApiTest {
 protected:
  Reply patch(const json& body) {
    return call("PATCH", "/v1/account/settings", body.dump(),
                {{"Content-Type", "application/json"}});
  }
};

TEST_F(AccountSettingsApi, BeginWithTheOperatorsRules) {
  const Reply reply = get("/v1/account/settings");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json body = reply.json();
  EXPECT_EQ(body["retention_seconds"], json::parse(R"({"api":3600,"web":7776000})"));
  EXPECT_EQ(body["retention_is_default"], json::parse(R"({"api":true,"web":true})"));
  EXPECT_EQ(body["retention_maximum_seconds"], 95 * 86'400);
  EXPECT_TRUE(body["file_signing_secret"].get<std::string>().starts_with("fsec_"));
  EXPECT_EQ(call("GET", "/v1/account/settings", "", {{"Authorization", ""}}).status, 401);
}

TEST_F(AccountSettingsApi, AreTheAccountsOwn) {
  const json body = patch({{"retention_seconds", {{"api", 600}, {"web", nullptr}}}}).json();
  EXPECT_EQ(body["retention_seconds"], json::parse(R"({"api":600,"web":null})"));
  EXPECT_EQ(body["retention_is_default"], json::parse(R"({"api":false,"web":false})"));
  EXPECT_EQ(get("/v1/account/settings").json(), body);
  const json other = call("GET", "/v1/account/settings", "", as(stranger_token_)).json();
  EXPECT_EQ(other["retention_seconds"]["api"], 3600);
  EXPECT_EQ(patch(json::object()).json(), body) << "what is not named stays";
  const json again = patch({{"retention_seconds", {{"api", "default"}}}}).json();
  EXPECT_EQ(again["retention_seconds"], json::parse(R"({"api":3600,"web":null})"));
}

TEST_F(AccountSettingsApi, BadOnesChangeNothingAndSayWhy) {
  for (const char* bad :
       {R"({"retention_seconds":{"api":299}})", R"({"retention_seconds":{"api":-1}})",
        R"({"retention_seconds":{"api":1.5}})", R"({"retention_seconds":{"api":"soon"}})",
        R"({"retention_seconds":{"api":600,"cli":600}})", R"({"retention_seconds":600})",
        R"({"retention_seconds":{"api":1e300}})", R"({"retention":{"api":600}})", "[]", "{"}) {
    const Reply reply = call("PATCH", "/v1/account/settings", bad);
    EXPECT_EQ(reply.status, 400) << bad;
    EXPECT_FALSE(reply.json()["detail"].get<std::string>().empty());
  }
  EXPECT_EQ(get("/v1/account/settings").json()["retention_seconds"]["api"], 3600);
}

}  // namespace
}  // namespace mimeo::control
