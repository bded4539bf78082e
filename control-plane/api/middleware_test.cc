// What every request meets before its handler: aliases, tokens, limits, bodies, unknown paths.
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "common/telemetry/log.h"
#include "control-plane/api/resources.h"
#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

TEST_F(ApiTest, TheApiAnswersUnderItsAliases) {
  for (const char* path : {"/v1/account", "/account", "/v1/v1/account", "/v1/account/",
                           "/v1/https://mimeo.example/v1/account"}) {
    const Reply reply = get(path);
    EXPECT_EQ(reply.status, 200) << path << reply.body;
    EXPECT_EQ(reply.json()["username"], "acme") << path;
  }
}

TEST_F(ApiTest, BothAuthorizationSchemesAreAccepted) {
  EXPECT_EQ(call("GET", "/v1/account", "", {{"Authorization", "Bearer " + token_}}).status, 200);
  EXPECT_EQ(call("GET", "/v1/account", "", {{"Authorization", "Token " + token_}}).status, 200);
}

TEST_F(ApiTest, AMissingTokenIsSaidToBeMissing) {
  const Reply reply = call("GET", "/v1/account", "", {{"Authorization", ""}});
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.header("Content-Type"), "application/problem+json");
  EXPECT_EQ(reply.json()["detail"], "You did not pass an authentication token");
}

TEST_F(ApiTest, ABadTokenIsSaidToBeBad) {
  for (const char* value : {"Bearer wrong", "Bearer ", "Basic abc", "nonsense"}) {
    const Reply reply = call("GET", "/v1/hardware", "", {{"Authorization", value}});
    EXPECT_EQ(reply.status, 401) << value;
    EXPECT_EQ(reply.json()["detail"], "You did not pass a valid authentication token") << value;
  }
}

TEST_F(ApiTest, ADisabledTokenAndAnExpiredOneAreRefused) {
  const std::string disabled = add_token(account_);
  EXPECT_EQ(call("GET", "/v1/account", "", as(disabled)).status, 200);
  store::TokenChange change;
  change.disabled_at = clock_.now();
  ASSERT_TRUE(store_.update_token(last_token_.id, change, {}).ok());
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(call("GET", "/v1/account", "", as(disabled)).status, 401);

  store::Token token;
  token.account = account_.id;
  token.hash = crypto::sha256("expired");
  token.expires_at = clock_.now();
  ASSERT_TRUE(store_.create_token(token).ok());
  EXPECT_EQ(call("GET", "/v1/account", "", as("expired")).status, 401);
}

TEST_F(ApiTest, UnknownPathsAndMethodsAreClear) {
  const Reply unknown = get("/v1/nothing/here");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.json(),
            json::parse(R"({"detail":"The requested resource could not be found.","status":404})"));
  const Reply method = call("PUT", "/v1/predictions");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.header("Allow"), "POST, GET, HEAD");
  EXPECT_EQ(call("OPTIONS", "/v1/models").status, 204);
  EXPECT_EQ(call("OPTIONS", "/v1/models").header("Access-Control-Allow-Origin"), "");
  EXPECT_EQ(call("HEAD", "/v1/account").status, 200);
}

TEST_F(ApiTest, ABodyThatIsTooLargeIsRefused) {
  const Reply small = call("POST", "/v1/models", std::string((1U << 20U) + 1, ' '));
  EXPECT_EQ(small.status, 413);
  EXPECT_EQ(small.header("Content-Type"), "application/problem+json");
  const Reply large = call("POST", "/v1/predictions", std::string(17U << 20U, ' '));
  EXPECT_EQ(large.status, 413);
}

TEST_F(ApiTest, AnInputOfTenMegabytesIsAccepted) {
  json body = valid_body();
  body["input"]["text"] = "data:text/plain;base64," + std::string(10'000'000, 'A');
  EXPECT_EQ(post("/v1/predictions", body).status, 201);
}

TEST_F(ApiTest, RateLimitsAreShownAndEnforced) {
  EXPECT_EQ(get("/v1/account").header("ratelimit-remaining"), "2999");
  EXPECT_EQ(get("/v1/files").header("ratelimit-remaining"), "");
  limits_.create_prediction = 1;
  start();
  const Reply first = post("/v1/predictions", valid_body());
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(first.header("ratelimit-remaining"), "0");
  EXPECT_EQ(first.header("ratelimit-reset"), "60");
  const Reply second = post("/v1/predictions", valid_body());
  EXPECT_EQ(second.status, 429);
  EXPECT_EQ(
      second.json(),
      json::parse(
          R"({"detail":"Request was throttled. Your rate limit resets in ~60s.","status":429,"retry_after":60})"));
  EXPECT_EQ(second.header("Retry-After"), "60");
}

TEST_F(ApiTest, RateLimitsAreShownOnRefusalsButNotWithoutAToken) {
  EXPECT_NE(get("/v1/models/acme/none").header("ratelimit-remaining"), "");
  EXPECT_NE(call("POST", "/v1/models", "{").header("ratelimit-reset"), "");
  const Reply reply = call("GET", "/v1/account", "", {{"Authorization", ""}});
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.header("ratelimit-remaining"), "");
}

TEST_F(ApiTest, AnAccountMayHaveLimitsOfItsOwn) {
  store::AccountLimits limits;
  limits.account = account_.id;
  limits.create_per_minute = 6;
  limits.create_burst = 1;
  limits.other_per_minute = 0;
  limiter_->set_overrides({limits});
  EXPECT_EQ(get("/v1/account").header("ratelimit-remaining"), "") << "no limit";
  EXPECT_EQ(post("/v1/predictions", valid_body()).status, 201);
  const Reply refused = post("/v1/predictions", valid_body());
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.json()["retry_after"], 10);
  EXPECT_EQ(refused.header("ratelimit-remaining"), "0");
  EXPECT_EQ(call("GET", "/v1/account", "", as(stranger_token_)).header("ratelimit-remaining"),
            "2999");
}

TEST_F(ApiTest, CallsWithoutATokenAreLimitedByAddress) {
  limits_.anonymous = 3;
  start();
  const Fields nobody{{"Authorization", ""}};
  const auto search = [&](const Fields& fields) {
    return call("GET", "/v1/search?query=x", "", fields);
  };
  EXPECT_EQ(search(nobody).header("ratelimit-remaining"), "2");
  EXPECT_EQ(search(as("wrong")).header("ratelimit-remaining"), "1") << "as without a token";
  EXPECT_EQ(search(nobody).status, 200);
  EXPECT_EQ(search(nobody).status, 429);
  EXPECT_EQ(call("GET", "/v1/account", "", as("wrong")).status, 401) << "counted by themselves";
  EXPECT_EQ(call("GET", "/v1/account", "", as("wrong")).status, 401);
  const Reply guess = call("GET", "/v1/account", "", as("wrong"));
  EXPECT_EQ(guess.status, 429);
  EXPECT_EQ(guess.header("Retry-After"), "20");
  EXPECT_EQ(call("GET", "/v1/account", "", nobody).status, 401) << "costs nothing, says why";
}

TEST_F(ApiTest, SomebodyWhoGuessesTokensDoesNotShutOutHisNeighbours) {
  limits_.anonymous = 1;
  start();
  EXPECT_EQ(get("/v1/account").status, 200);
  EXPECT_EQ(call("GET", "/v1/account", "", as("wrong")).status, 401);
  EXPECT_EQ(call("GET", "/v1/account", "", as("wrong")).status, 429);
  EXPECT_EQ(get("/v1/account").status, 200) << "seen before";
  EXPECT_EQ(call("GET", "/v1/account", "", as(stranger_token_)).status, 200) << "not seen before";
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(call("GET", "/v1/account", "", as("wrong")).status, 429);
  }
  const std::string fresh = add_token(account_);
  EXPECT_EQ(call("GET", "/v1/account", "", as(fresh)).status, 429) << "no look-ups are left";
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(call("GET", "/v1/account", "", as(fresh)).status, 200);
}

TEST_F(ApiTest, CallsWithoutATokenDoNotShutOutATokenThatWasNotSeenLately) {
  limits_.anonymous = 1;
  start();
  const Fields nobody{{"Authorization", ""}};
  EXPECT_EQ(call("GET", "/v1/search?query=x", "", nobody).status, 200);
  EXPECT_EQ(call("GET", "/v1/search?query=x", "", nobody).status, 429);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(call("GET", "/v1/account", "", as(add_token(account_))).status, 200);
  }
}

// Where the log of the process goes meanwhile.
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>(
        "captured", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_));
    logger->set_level(spdlog::level::debug);
    spdlog::set_default_logger(std::move(logger));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  [[nodiscard]] std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

Answer fail(Call&) { co_return absl::InternalError("the store is broken"); }

TEST_F(ApiTest, WhatALinkOpensIsNotInTheLogWhenItFails) {
  router_->add({"GET", "/broken/{token}", CallHandler(fail), Access::kLinkOnly, RateKind::kNone,
                1_MiB, Cors::kOff, Scopes{}, ""});
  is_described_ = false;
  const std::string token(53, 'k');
  const CapturedLog log;
  EXPECT_EQ(get("/broken/" + token).status, 500);
  EXPECT_EQ(call("PUT", "/v1/streams/" + token).status, 405);
  EXPECT_EQ(call("GET", "/v1/streams/" + token + "/x").status, 404);
  EXPECT_EQ(get("/v1/streams/" + token).status, 404);
  EXPECT_NE(log.text().find("/broken/{token}"), std::string::npos) << log.text();
  EXPECT_EQ(log.text().find(token), std::string::npos) << log.text();
}

TEST_F(ApiTest, TheAuditLogHasTheClientsAddressBehindAProxy) {
  trusted_proxies_ = {"127.0.0.1"};
  start();
  const auto address_of = [&](const std::string& forwarded) -> std::string {
    call("PATCH", "/v1/models/acme/hello", "{}", {{"X-Forwarded-For", forwarded}});
    return get("/v1/account/audit-log").json()["results"][0]["address"];
  };
  EXPECT_EQ(address_of("198.51.100.9, 203.0.113.1"), "203.0.113.1");
  EXPECT_EQ(address_of("2001:db8::7"), "2001:db8::7") << "all of it";
}

TEST_F(ApiTest, BehindAProxyTheClientsAddressCounts) {
  limits_.anonymous = 1;
  trusted_proxies_ = {"127.0.0.1"};
  start();
  const auto from = [&](const std::string& address) {
    return call("GET", "/v1/search?query=x", "",
                {{"Authorization", ""}, {"X-Forwarded-For", address}})
        .status;
  };
  EXPECT_EQ(from("203.0.113.1"), 200);
  EXPECT_EQ(from("203.0.113.1"), 429);
  EXPECT_EQ(from("203.0.113.9, 203.0.113.2"), 200);
  EXPECT_EQ(from("203.0.113.8, 203.0.113.2"), 429) << "only the last one is the proxy's word";
}

TEST_F(ApiTest, EveryAnswerNamesItsRequest) {
  EXPECT_EQ(get("/v1/account").header("X-Request-Id").size(), 20U);
  const Reply given = call("GET", "/v1/account", "", {{"X-Request-Id", "abc-1"}});
  EXPECT_EQ(given.header("X-Request-Id"), "abc-1");
  const Reply hostile = call("GET", "/v1/account", "", {{"X-Request-Id", "a b\"c"}});
  EXPECT_NE(hostile.header("X-Request-Id"), "a b\"c");
}

TEST_F(ApiTest, RequestsAreCountedByRoute) {
  (void)get("/v1/account");
  (void)call("GET", "/v1/account", "", {{"Authorization", ""}});
  const std::string text = plane_->metrics.serialize();
  EXPECT_NE(text.find(R"(mimeo_http_requests_total{route="GET /account",status="200"} 1)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(R"(mimeo_http_requests_total{route="GET /account",status="401"} 1)"),
            std::string::npos);
}

TEST_F(ApiTest, TheAccountAndItsWebhookSecret) {
  EXPECT_EQ(
      get("/v1/account").json(),
      json::parse(
          R"({"type":"user","username":"acme","name":"acme","github_url":null,"avatar_url":null})"));
  EXPECT_TRUE(get("/v1/webhooks/default/secret").json().contains("key"));
}

TEST_F(ApiTest, HardwareIsABareArray) {
  EXPECT_EQ(get("/v1/hardware").json(),
            json::parse(R"([{"sku":"cpu","name":"CPU"},{"sku":"gpu-t4","name":"Nvidia T4 GPU"}])"));
}

TEST_F(ApiTest, PathTricksAreClientErrors) {
  for (const std::string path :
       {"/v1/models/%2e%2e/%2e%2e", "/v1/models/a%00b/c", "/v1/%zz", "/v1/models/%ff/x",
        "/delivery/x/y", "/v1/models/a%2Fb/c", "/v1/predictions/%20"}) {
    const int status = get(path).status;
    EXPECT_GE(status, 400) << path;
    EXPECT_LT(status, 500) << path;
  }
  EXPECT_EQ(get("/v1/predictions/" + std::string(5000, 'a')).status, 404);
}

}  // namespace
}  // namespace mimeo::control
