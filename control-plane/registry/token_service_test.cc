#include "control-plane/registry/token_service.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/http/outbound.h"
#include "common/http/test_server.h"
#include "common/store/memory/memory_store.h"

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
    tokens_ = std::make_unique<RegistryTokens>(store_, pool_, *signer_, clock_, random_,
                                               RegistryTokenOptions{});
    alice_ = add("alice");
    add_model(add("bob"), "open", store::Visibility::kPublic);
    add_model(store_.get_account_by_username("bob").value(), "hidden", store::Visibility::kPrivate);
    server_ = std::make_unique<http::TestServer>(
        [this](http::Exchange& exchange) { return tokens_->handle_token(exchange); });
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
  // What the token allows: the claim "access".
  static json access(const http::Response& response) {
    const std::string token = json::parse(response.body).at("token");
    const std::size_t dot = token.find('.');
    const std::string payload = token.substr(dot + 1, token.rfind('.') - dot - 1);
    return json::parse(crypto::base64_decode(payload).value()).at("access");
  }

  SystemClock clock_;
  SystemRandom random_;
  store::MemoryStore store_{clock_};
  BlockingPool pool_{2};
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
  ASSERT_TRUE(store_.put_member(member, {}, {}).ok());
  store::Token token;
  token.account = corp.id;
  token.created_by = alice_.id;
  token.hash = crypto::sha256("member");
  ASSERT_TRUE(store_.create_token(token).ok());
  const std::string query = "scope=repository:corp/new:push,pull";
  EXPECT_EQ(access(get(query, "corp:member"))[0]["actions"], json::parse(R"(["pull"])"));
  member.role = Role::kDeveloper;
  ASSERT_TRUE(store_.put_member(member, {}, {}).ok());
  EXPECT_EQ(access(get(query, "corp:member"))[0]["actions"], json::parse(R"(["push","pull"])"));
  ASSERT_TRUE(store_.remove_member(corp.id, alice_.id, {}).ok());
  EXPECT_EQ(get(query, "corp:member").status, 401);
}

TEST_F(RegistryTokensTest, NobodyGetsATokenThatAllowsNothing) {
  const auto response = get("scope=repository:bob/open:pull");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(access(response)[0]["actions"], json::array());
}

TEST_F(RegistryTokensTest, WrongAndDisabledCredentialsAreRefused) {
  EXPECT_EQ(get("service=x", "alice:wrong").status, 401);
  const store::Token token = store_.list_tokens(alice_.id).value().front();
  ASSERT_TRUE(store_.disable_token(token.id, clock_.now()).ok());
  const auto response = get("service=x", "alice:secret-of-alice");
  EXPECT_EQ(response.status, 401);
  EXPECT_NE(response.body.find("disabled"), std::string::npos);
}

}  // namespace
}  // namespace mimeo::control
