#include "control-plane/registry/token_service.h"

#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>

#include "common/http/outbound.h"
#include "common/http/test_server.h"
#include "common/store/memory/memory_store.h"
#include "control-plane/testing/broken_catalog.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

TEST(RegistryScope, IsTakenApartAtItsFirstAndLastColon) {
  const auto scope = parse_scope("repository:alice/hello:push,pull");
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->type, "repository");
  EXPECT_EQ(scope->name, "alice/hello");
  EXPECT_EQ(scope->actions, (std::vector<std::string>{"push", "pull"}));
  EXPECT_EQ(parse_scope("repository:host:5000/a/b:pull")->name, "host:5000/a/b");
  EXPECT_FALSE(parse_scope("repository:"));
  EXPECT_FALSE(parse_scope("nonsense"));
}

class RegistryTokensTest : public testing::Test {
 protected:
  RegistryTokensTest() {
    auto pair = crypto::make_signing_pair("test").value();
    signer_ = crypto::TokenSigner::load(pair.first, pair.second).value();
    tokens_ = std::make_unique<RegistryTokens>(
        RegistryTokens::Parts{store_, pool_, authenticator_, limiter_, *signer_, clock_, random_},
        RegistryTokenOptions{});
    alice_ = add("alice");
    add_model(add("bob"), "open", store::Visibility::kPublic);
    add_model(store_.get_account_by_username("bob").value(), "hidden", store::Visibility::kPrivate);
    server_ = std::make_unique<http::TestServer>([this](http::Exchange& exchange) {
      return exchange.head().path == "/registry/token" ? tokens_->handle_token(exchange)
                                                       : tokens_->handle_verify_token(exchange);
    });
  }

  store::Account add(const std::string& name) {
    store::Account account;
    account.username = account.name = name;
    account = store_.create_account(account).value();
    store::Token token;
    token.account = account.id;
    token.hash = crypto::sha256("secret-of-" + name);
    EXPECT_TRUE(store_.create_token(token).ok());
    return account;
  }
  // Another token of alice.
  void add_token(const std::string& text, Scopes scopes, AccountId account) {
    store::Token token;
    token.account = account;
    token.hash = crypto::sha256(text);
    token.scopes = scopes;
    EXPECT_TRUE(store_.create_token(token).ok());
  }
  void add_model(const store::Account& owner, const std::string& name,
                 store::Visibility visibility) {
    store::Model model;
    model.owner_id = owner.id;
    model.owner = owner.username;
    model.name = name;
    model.visibility = visibility;
    model.sku = "cpu";
    EXPECT_TRUE(store_.create_model(model).ok());
  }

  http::Response get(const std::string& query, const std::string& credentials = "") {
    http::OutboundRequest request;
    request.url =
        "http://127.0.0.1:" + std::to_string(server_->port()) + "/registry/token?" + query;
    if (!credentials.empty())
      request.headers.set("Authorization", "Basic " + crypto::base64(credentials));
    http::AddressRules rules;
    rules.allow_private = true;
    return http::Outbound(rules).perform(request).value();
  }
  http::Response verify(const std::string& token) {
    http::OutboundRequest request;
    request.method = "POST";
    request.url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/cog/v1/verify-token";
    request.body = "token=" + token;
    http::AddressRules rules;
    rules.allow_private = true;
    return http::Outbound(rules).perform(request).value();
  }
  void disable(std::int64_t token) {
    store::TokenChange change;
    change.disabled_at = clock_.now();
    EXPECT_TRUE(store_.update_token(token, change, {}).ok());
  }
  // What the token allows: the claim "access".
  static json access(const http::Response& response) {
    const std::string token = json::parse(response.body).at("token");
    const std::size_t dot = token.find('.');
    const std::string payload = token.substr(dot + 1, token.rfind('.') - dot - 1);
    return json::parse(crypto::base64_decode(payload).value()).at("access");
  }

  FakeClock clock_;
  SystemRandom random_;
  store::MemoryStore store_{clock_};
  BlockingPool pool_{2};
  Authenticator authenticator_{store_, pool_, clock_};
  RateLimiter limiter_{clock_, {.anonymous = 2}};
  std::unique_ptr<crypto::TokenSigner> signer_;
  std::unique_ptr<RegistryTokens> tokens_;
  store::Account alice_;
  std::unique_ptr<http::TestServer> server_;
};

TEST_F(RegistryTokensTest, OwnersMayPushAndPullTheirOwnRepositories) {
  const auto response =
      get("service=mimeo-registry&scope=repository:alice/new:push,pull", "alice:secret-of-alice");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(access(response),
            json::parse(R"([{"type":"repository","name":"alice/new","actions":["push","pull"]}])"));
}

TEST_F(RegistryTokensTest, OthersMayPullPublicModelsAndNothingElse) {
  const auto response =
      get("scope=repository:bob/open:push,pull&scope=repository:bob/"
          "hidden:pull&scope=registry:catalog:*",
          "alice:secret-of-alice");
  EXPECT_EQ(access(response), json::parse(R"([
    {"type":"repository","name":"bob/open","actions":["pull"]},
    {"type":"repository","name":"bob/hidden","actions":[]},
    {"type":"registry","name":"catalog","actions":[]}])"));
}

TEST_F(RegistryTokensTest, ScopesBoundPushesAndPulls) {
  const auto actions = [this](const std::string& text) {
    return access(get("scope=repository:alice/new:push,pull", "alice:" + text))[0]["actions"];
  };
  add_token("pusher", {Scope::kModels}, alice_.id);
  EXPECT_EQ(actions("pusher"), json::parse(R"(["push","pull"])"));
  add_token("reader", {Scope::kRead}, alice_.id);
  EXPECT_EQ(actions("reader"), json::parse(R"(["pull"])"));
  add_token("runner", {Scope::kPredictions}, alice_.id);
  EXPECT_EQ(actions("runner"), json::array());
}

TEST_F(RegistryTokensTest, RolesBoundPushesToAnOrganization) {
  store::Account corp;
  corp.type = store::AccountType::kOrganization;
  corp.username = "corp";
  corp = store_.create_account(corp).value();
  store::Membership member;
  member.organization = corp.id;
  member.user = alice_.id;
  member.role = Role::kViewer;
  ASSERT_TRUE(store_.put_member(member, {}, {}, {}).ok());
  store::Token token;
  token.account = corp.id;
  token.created_by = alice_.id;
  token.hash = crypto::sha256("member");
  ASSERT_TRUE(store_.create_token(token).ok());
  const std::string query = "scope=repository:corp/new:push,pull";
  EXPECT_EQ(access(get(query, "corp:member"))[0]["actions"], json::parse(R"(["pull"])"));
  member.role = Role::kDeveloper;
  ASSERT_TRUE(store_.put_member(member, {}, {}, {}).ok());
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(access(get(query, "corp:member"))[0]["actions"], json::parse(R"(["push","pull"])"));
  ASSERT_TRUE(store_.remove_member(corp.id, alice_.id, {}, {}).ok());
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(get(query, "corp:member").status, 401);
}

TEST_F(RegistryTokensTest, NobodyGetsATokenThatAllowsNothing) {
  const auto response = get("scope=repository:bob/open:pull");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(access(response)[0]["actions"], json::array());
}

TEST_F(RegistryTokensTest, WrongAndDisabledCredentialsAreRefused) {
  EXPECT_EQ(get("service=x", "alice:wrong").status, 401);
  disable(store_.list_tokens(alice_.id).value().front().id);
  const auto response = get("service=x", "alice:secret-of-alice");
  EXPECT_EQ(response.status, 401);
  EXPECT_NE(response.body.find("disabled"), std::string::npos);
}

TEST_F(RegistryTokensTest, WhoMayPullOnlyGetsItForMinutes) {
  const auto expires_in = [this](const std::string& actions) {
    const auto response =
        get("scope=repository:alice/new:" + actions, "alice:secret-of-alice").body;
    return json::parse(response).at("expires_in").get<int>();
  };
  EXPECT_EQ(expires_in("pull"), 300);
  EXPECT_EQ(expires_in("push,pull"), 3600);
}

TEST_F(RegistryTokensTest, ThePasswordsUseIsNoted) {
  EXPECT_EQ(get("service=x", "alice:secret-of-alice").status, 200);
  const auto is_noted = [this] {
    return store_.list_tokens(alice_.id)->front().last_used_at.has_value();
  };
  while (!is_noted()) {
    std::promise<void> done;  // Behind what the pool has to do.
    pool_.post([&done] { done.set_value(); });
    done.get_future().wait();
  }
}

TEST_F(RegistryTokensTest, WhoGuessesIsLimitedAndOthersAreNot) {
  EXPECT_EQ(get("service=x", "alice:guess-1").status, 401);
  EXPECT_EQ(verify("guess-2").status, 404);
  const auto refused = get("service=x", "alice:guess-3");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.get("Retry-After"), "30");
  EXPECT_EQ(verify("guess-4").status, 429);
  EXPECT_EQ(get("service=x", "alice:secret-of-alice").status, 200) << "not seen before";
  EXPECT_EQ(json::parse(verify("secret-of-alice").body).at("username"), "alice");
}

TEST_F(RegistryTokensTest, WhatWeCannotTellIsNotTheClientsFault) {
  BrokenCatalog broken;
  Authenticator in_the_dark(broken, pool_, clock_);
  tokens_ = std::make_unique<RegistryTokens>(
      RegistryTokens::Parts{broken, pool_, in_the_dark, limiter_, *signer_, clock_, random_},
      RegistryTokenOptions{});
  for (int i = 0; i < 5; ++i) {  // More than the wrong tokens that one may show.
    EXPECT_EQ(get("service=x", "alice:secret-of-alice").status, 503);
    EXPECT_EQ(verify("secret-of-alice").status, 503);
  }
  tokens_ = std::make_unique<RegistryTokens>(
      RegistryTokens::Parts{broken, pool_, authenticator_, limiter_, *signer_, clock_, random_},
      RegistryTokenOptions{});
  EXPECT_EQ(get("scope=repository:bob/open:pull", "alice:secret-of-alice").status, 503)
      << "whether it is public";
}

}  // namespace
}  // namespace mimeo::control
