// Tokens, organizations, members and the audit log, as their users see them. Who may call what is
// access_test.cc's.

#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

class AccountsApi : public ApiTest {
 protected:
  AccountsApi() {
    EXPECT_EQ(post("/v1/organizations", {{"username", "corp"}, {"name", "Corp"}}).status, 201);
    corp_ = *store_.get_account_by_username("corp");
  }
  // The text of a new token.
  std::string make(const json& body, const std::string& caller) {
    const Reply reply = call("POST", "/v1/account/tokens", body.dump(), as(caller));
    EXPECT_EQ(reply.status, 201) << reply.body;
    return reply.json()["token"];
  }
  int set_role(const std::string& name, const std::string& role, const std::string& caller) {
    return call("PUT", "/v1/organizations/corp/members/" + name, json{{"role", role}}.dump(),
                as(caller))
        .status;
  }
  int whoami(const std::string& token) { return call("GET", "/v1/account", "", as(token)).status; }
  std::vector<std::string> actions(const std::string& query = "", const std::string& caller = "") {
    const Reply reply =
        call("GET", "/v1/account/audit-log" + query, "", as(caller.empty() ? token_ : caller));
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<std::string> names;
    const json page = reply.json();
    for (const json& entry : page["results"]) names.push_back(entry["action"]);
    return names;
  }

  store::Account corp_;
};

TEST_F(AccountsApi, ATokenIsShownOnceAndListedWithoutItsText) {
  const Reply made = post("/v1/account/tokens", {{"name", "ci"},
                                                 {"scopes", {"predictions", "read"}},
                                                 {"expires_at", "2999-01-01T00:00:00Z"}});
  ASSERT_EQ(made.status, 201) << made.body;
  json shown = made.json();
  const std::string text = shown["token"];
  EXPECT_EQ(text.size(), 40u);
  EXPECT_EQ(shown["prefix"], text.substr(0, 7));
  EXPECT_EQ(shown["scopes"], json::parse(R"(["read","predictions"])"));
  EXPECT_EQ(shown["owner"], "acme");
  EXPECT_EQ(shown["created_by"], nullptr);
  EXPECT_EQ(shown["disabled_at"], nullptr);
  shown.erase("token");
  const std::string path = "/v1/account/tokens/" + shown["id"].dump();
  EXPECT_EQ(get(path).json(), shown);
  EXPECT_EQ(get("/v1/account/tokens").json()["results"][0], shown);
  EXPECT_EQ(get("/v1/account/tokens").body.find(text), std::string::npos);
  EXPECT_EQ(whoami(text), 200);
  EXPECT_EQ(call("GET", "/v1/predictions", "", as(text)).status, 200);
  EXPECT_EQ(call("GET", "/v1/account/tokens", "", as(text)).status, 403);
}

TEST_F(AccountsApi, ADisabledTokenIsRefusedByTheNextRequest) {
  const std::string patched = make({{"name", "a"}}, token_);
  const auto id = get("/v1/account/tokens").json()["results"][0]["id"].dump();
  EXPECT_EQ(whoami(patched), 200);
  const Reply reply = call("PATCH", "/v1/account/tokens/" + id, R"({"disabled":true})");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_TRUE(reply.json()["disabled_at"].is_string());
  EXPECT_EQ(whoami(patched), 401);
  EXPECT_EQ(call("PATCH", "/v1/account/tokens/" + id, R"({"disabled":false})").status, 409);
  EXPECT_EQ(call("PATCH", "/v1/account/tokens/" + id, R"({"name":"b"})").json()["name"], "b");

  const std::string deleted = make({{"name", "c"}}, token_);
  const auto other = get("/v1/account/tokens").json()["results"][0]["id"].dump();
  EXPECT_EQ(whoami(deleted), 200);
  EXPECT_EQ(call("DELETE", "/v1/account/tokens/" + other).status, 204);
  EXPECT_EQ(whoami(deleted), 401);
}

TEST_F(AccountsApi, ATokenMakesNoneThatMayDoMoreOrLastsLonger) {
  const std::string narrow =
      make({{"name", "n"}, {"scopes", {"account", "read"}}, {"expires_at", "2500-01-01T00:00:00Z"}},
           token_);
  const auto status = [&](const json& body) {
    return call("POST", "/v1/account/tokens", body.dump(), as(narrow)).status;
  };
  EXPECT_EQ(status({{"name", "x"}}), 403);
  EXPECT_EQ(status({{"name", "x"}, {"scopes", {"models"}}}), 403);
  EXPECT_EQ(status({{"name", "x"}, {"scopes", {"read"}}}), 403) << "it would never expire";
  EXPECT_EQ(status({{"name", "x"}, {"scopes", {"read"}}, {"expires_at", "2500-01-01T00:00:00Z"}}),
            201);
}

TEST_F(AccountsApi, WhatIsWrongWithANewTokenIsSaid) {
  const Reply reply =
      post("/v1/account/tokens",
           {{"name", ""}, {"scopes", {"model"}}, {"expires_at", "2001-01-01T00:00:00Z"}});
  EXPECT_EQ(reply.status, 400);
  const std::string detail = reply.json()["detail"];
  for (const char* part : {"name: This field", "there are *, read", "in the future"}) {
    EXPECT_NE(detail.find(part), std::string::npos) << detail;
  }
  EXPECT_EQ(post("/v1/account/tokens", {{"name", std::string(61, 'x')}}).status, 400);
  EXPECT_EQ(post("/v1/account/tokens", {{"name", "x"}, {"scopes", "read"}}).status, 400);
  EXPECT_EQ(post("/v1/account/tokens", {{"name", "x"}, {"owner", "stranger"}}).status, 404);
  EXPECT_EQ(post("/v1/account/tokens", {{"name", "x"}, {"scope", {"read"}}}).status, 400)
      << "a misspelt field must not make a token that may do everything";
  EXPECT_EQ(post("/v1/account/tokens", {{"name", "x"}, {"scopes", json::array()}}).status, 400);
  make({{"name", "x"}}, token_);
  const auto id = get("/v1/account/tokens").json()["results"][0]["id"].dump();
  EXPECT_EQ(call("PATCH", "/v1/account/tokens/" + id, R"({"scopes":["read"]})").status, 400);
  EXPECT_EQ(get("/v1/account/tokens/nonsense").status, 404);
  EXPECT_EQ(get("/v1/account/tokens?cursor=nonsense").status, 400);
}

TEST_F(AccountsApi, TokensAreLimitedAndPaged) {
  settings_.account_bounds.tokens = 53;
  start();
  for (int i = 0; i < 52; ++i) make({{"name", "t"}}, token_);
  const Reply reply = post("/v1/account/tokens", {{"name", "one too many"}});
  EXPECT_EQ(reply.status, 422) << reply.body;
  EXPECT_EQ(reply.json()["title"], "Limit reached");
  const json first = get("/v1/account/tokens").json();
  EXPECT_EQ(first["results"].size(), 50u);
  std::string next = first["next"];
  next.erase(0, std::string("https://mimeo.example").size());
  const json second = get(next).json();
  EXPECT_EQ(second["results"].size(), 3u);
  EXPECT_EQ(second["next"], nullptr);
}

TEST_F(AccountsApi, AnOrganizationIsShownToItsMembers) {
  EXPECT_EQ(get("/v1/organizations/corp").json()["role"], "owner");
  EXPECT_EQ(get("/v1/organizations").json()["results"].size(), 1u);
  EXPECT_EQ(get("/v1/organizations").json()["results"][0]["username"], "corp");
  EXPECT_EQ(call("GET", "/v1/organizations/corp", "", as(stranger_token_)).status, 404);
  EXPECT_EQ(set_role("stranger", "viewer", token_), 201);
  EXPECT_EQ(call("GET", "/v1/organizations/corp", "", as(stranger_token_)).json()["role"],
            "viewer");
  EXPECT_EQ(call("PATCH", "/v1/organizations/corp", R"({"name":"X"})", as(stranger_token_)).status,
            403);
  const Reply changed = call("PATCH", "/v1/organizations/corp", R"({"name":"Corp Inc."})");
  EXPECT_EQ(changed.json()["name"], "Corp Inc.") << changed.body;
  const json members = get("/v1/organizations/corp/members").json()["results"];
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[1]["username"], "stranger");
  EXPECT_EQ(members[1]["role"], "viewer");
}

TEST_F(AccountsApi, NamesOfOrganizationsAreChecked) {
  for (const char* name : {"", "Not A Name", "account"}) {
    EXPECT_EQ(post("/v1/organizations", {{"username", name}}).status, 400) << name;
  }
  EXPECT_EQ(post("/v1/organizations", {{"username", "corp"}}).status, 409);
  EXPECT_EQ(post("/v1/organizations", {{"username", "stranger"}}).status, 409);
  settings_.account_bounds.organizations = 1;
  start();
  EXPECT_EQ(post("/v1/organizations", {{"username", "second"}}).status, 422);
}

TEST_F(AccountsApi, OnlyOwnersTouchOwnersAndTheLastOneStays) {
  EXPECT_EQ(set_role("stranger", "admin", token_), 201);
  EXPECT_EQ(set_role("stranger", "owner", stranger_token_), 403);
  EXPECT_EQ(set_role("acme", "viewer", stranger_token_), 403);
  EXPECT_EQ(call("DELETE", "/v1/organizations/corp/members/acme", "", as(stranger_token_)).status,
            403);
  EXPECT_EQ(set_role("acme", "viewer", token_), 409);
  EXPECT_EQ(call("DELETE", "/v1/organizations/corp/members/acme").status, 409);
  EXPECT_EQ(set_role("stranger", "owner", token_), 200);
  EXPECT_EQ(call("DELETE", "/v1/organizations/corp/members/acme").status, 204);
  EXPECT_EQ(get("/v1/organizations/corp").status, 404);
}

TEST_F(AccountsApi, WrongMembersAreRefusedWithAReason) {
  EXPECT_EQ(set_role("stranger", "king", token_), 400);
  EXPECT_EQ(set_role("nobody", "viewer", token_), 404);
  EXPECT_EQ(set_role("corp", "viewer", token_), 422);
  EXPECT_EQ(call("DELETE", "/v1/organizations/corp/members/stranger").status, 404);
  EXPECT_EQ(call("GET", "/v1/organizations/acme").status, 404) << "a user is none";
  settings_.account_bounds.members = 1;
  start();
  EXPECT_EQ(set_role("stranger", "viewer", token_), 422);
}

TEST_F(AccountsApi, AMemberMakesTokensOfTheOrganizationWithinItsRole) {
  ASSERT_EQ(set_role("stranger", "viewer", token_), 201);
  const std::string text = make({{"name", "v"}, {"owner", "corp"}}, stranger_token_);
  EXPECT_EQ(call("GET", "/v1/account", "", as(text)).json()["username"], "corp");
  EXPECT_EQ(call("GET", "/v1/models", "", as(text)).status, 200);
  const json model = {
      {"owner", "corp"}, {"name", "m"}, {"visibility", "private"}, {"hardware", "cpu"}};
  EXPECT_EQ(call("POST", "/v1/models", model.dump(), as(text)).status, 403);
  EXPECT_EQ(set_role("stranger", "developer", token_), 200);
  EXPECT_EQ(call("POST", "/v1/models", model.dump(), as(text)).status, 201) << "at once";
  EXPECT_EQ(call("GET", "/v1/models/corp/m", "", as(stranger_token_)).status, 404)
      << "with a token of its own it is another account";
}

TEST_F(AccountsApi, TokensEndWithTheMembershipOfWhoMadeThem) {
  ASSERT_EQ(set_role("stranger", "developer", token_), 201);
  const std::string text = make({{"name", "v"}, {"owner", "corp"}}, stranger_token_);
  EXPECT_EQ(whoami(text), 200);
  EXPECT_EQ(
      call("DELETE", "/v1/organizations/corp/members/stranger", "", as(stranger_token_)).status,
      204)
      << "whoever wants may leave";
  EXPECT_EQ(whoami(text), 401);
  EXPECT_EQ(set_role("stranger", "viewer", token_), 201);
  EXPECT_EQ(whoami(text), 401) << "for good";
  EXPECT_EQ(whoami(make({{"name", "v"}, {"owner", "corp"}}, stranger_token_)), 200);
}

TEST_F(AccountsApi, ATokenGivesNoRoleThatMayDoMoreOrLastsLonger) {
  const std::string narrow = make({{"name", "n"}, {"scopes", {"account", "read"}}}, token_);
  EXPECT_EQ(set_role("stranger", "viewer", narrow), 201);
  for (const char* role : {"owner", "admin", "developer", "billing"}) {
    EXPECT_EQ(set_role("stranger", role, narrow), 403) << role;
  }
  EXPECT_EQ(set_role("stranger", "viewer", narrow), 200) << "nothing more than before";
  const std::string ending = make({{"name", "e"}, {"expires_at", "2500-01-01T00:00:00Z"}}, token_);
  EXPECT_EQ(set_role("stranger", "admin", ending), 403);
  EXPECT_EQ(set_role("stranger", "owner", ending), 403);
  EXPECT_EQ(set_role("stranger", "developer", ending), 200);
  EXPECT_EQ(set_role("stranger", "owner", token_), 200);
  EXPECT_EQ(set_role("stranger", "viewer", narrow), 200) << "less than before";
  EXPECT_EQ(set_role("stranger", "admin", token_), 200);
  EXPECT_EQ(set_role("stranger", "owner", ending), 403) << "an admin cannot make owners";
}

TEST_F(AccountsApi, AMembersRoleBoundsWhatItsOwnTokenMayDoThere) {
  ASSERT_EQ(set_role("stranger", "billing", token_), 201);
  const auto status = [&](const std::string& method, const std::string& path,
                          const std::string& body = "") {
    return call(method, path, body, as(stranger_token_)).status;
  };
  const std::string corp = "/v1/organizations/corp";
  EXPECT_EQ(status("GET", corp), 403);
  EXPECT_EQ(status("GET", corp + "/members"), 403);
  EXPECT_EQ(status("PATCH", corp, R"({"name":"x"})"), 403);
  EXPECT_EQ(actions("?owner=corp").front(), "organization.update") << "the refusal";
  EXPECT_EQ(status("PUT", corp + "/members/acme", R"({"role":"viewer"})"), 403);
  EXPECT_EQ(status("DELETE", corp + "/members/acme"), 403);
  EXPECT_EQ(status("GET", "/v1/account/audit-log?owner=corp"), 403);
  EXPECT_EQ(status("GET", "/v1/account/tokens?owner=corp"), 200) << "its own";
  EXPECT_EQ(
      status("POST", "/v1/account/tokens", R"({"name":"b","owner":"corp","scopes":["billing"]})"),
      201);
  EXPECT_EQ(status("DELETE", corp + "/members/stranger"), 204) << "it may leave";
  EXPECT_EQ(status("GET", corp), 404);
}

TEST_F(AccountsApi, MembersSeeTheTokensThatTheyMade) {
  ASSERT_EQ(set_role("stranger", "developer", token_), 201);
  make({{"name", "of the owner"}, {"owner", "corp"}}, token_);
  const std::string owners = get("/v1/account/tokens?owner=corp").json()["results"][0]["id"].dump();
  make({{"name", "of the member"}, {"owner", "corp"}}, stranger_token_);
  const json mine =
      call("GET", "/v1/account/tokens?owner=corp", "", as(stranger_token_)).json()["results"];
  ASSERT_EQ(mine.size(), 1u);
  EXPECT_EQ(mine[0]["created_by"], "stranger");
  EXPECT_EQ(get("/v1/account/tokens?owner=corp").json()["results"].size(), 2u);
  EXPECT_EQ(call("DELETE", "/v1/account/tokens/" + owners, "", as(stranger_token_)).status, 404);
  const std::string members = mine[0]["id"].dump();
  EXPECT_EQ(call("DELETE", "/v1/account/tokens/" + members).status, 204) << "by the owner";
  EXPECT_EQ(call("GET", "/v1/account/audit-log?owner=corp", "", as(stranger_token_)).status, 403);
}

TEST_F(AccountsApi, ATokenOfAnOrganizationActsForThatOneOnly) {
  const std::string text = make({{"name", "o"}, {"owner", "corp"}}, token_);
  EXPECT_EQ(call("GET", "/v1/account/tokens?owner=acme", "", as(text)).status, 404);
  EXPECT_EQ(call("POST", "/v1/organizations", R"({"username":"x"})", as(text)).status, 403);
  EXPECT_EQ(call("GET", "/v1/organizations", "", as(text)).json()["results"].size(), 1u);
  const Reply made = call("POST", "/v1/account/tokens", R"({"name":"p"})", as(text));
  EXPECT_EQ(made.json()["owner"], "corp");
  EXPECT_EQ(made.json()["created_by"], "acme") << "who made the token that made it";
}

TEST_F(AccountsApi, ADisabledAccountIsUnknown) {
  store::AccountChange change;
  change.disabled_at = std::optional<WallTime>(clock_.now());
  ASSERT_TRUE(store_.update_account(corp_.id, change, {}).ok());
  EXPECT_EQ(get("/v1/organizations/corp").status, 404);
  EXPECT_EQ(get("/v1/organizations").json()["results"].size(), 0u);
  ASSERT_TRUE(store_.update_account(account_.id, change, {}).ok());
  authenticator_->forget(account_.id);
  EXPECT_EQ(whoami(token_), 401);
}

TEST_F(AccountsApi, TheAuditLogTellsWhoDidWhatToWhat) {
  post("/v1/models",
       {{"owner", "acme"}, {"name", "m"}, {"visibility", "private"}, {"hardware", "cpu"}},
       {{"X-Request-Id", "req-1"}});
  const json entry = get("/v1/account/audit-log").json()["results"][0];
  EXPECT_EQ(entry["action"], "model.create");
  EXPECT_EQ(entry["target"], "acme/m");
  EXPECT_EQ(entry["outcome"], "done");
  EXPECT_EQ(entry["actor"], "acme");
  EXPECT_EQ(entry["owner"], "acme");
  EXPECT_TRUE(entry["token_id"].is_number());
  EXPECT_EQ(entry["address"], "127.0.0.1");
  EXPECT_EQ(entry["request_id"], "req-1");
  EXPECT_EQ(entry["details"]["fields"], json::parse(R"(["hardware","name","owner","visibility"])"));
}

TEST_F(AccountsApi, TheAuditLogHasChangesAndRefusalsButNoMistakes) {
  call("PATCH", "/v1/models/acme/hello", R"({"description":"secret words"})");
  call("DELETE", "/v1/models/acme/nothing");
  call("PATCH", "/v1/models/acme/hello", "{");
  const std::string reader = make({{"name", "r"}, {"scopes", {"read"}}}, token_);
  call("PATCH", "/v1/models/acme/hello", "{}", as(reader));
  post("/v1/predictions", valid_body());
  EXPECT_EQ(actions(), (std::vector<std::string>{"model.update", "token.create", "model.update"}));
  const Reply log = get("/v1/account/audit-log");
  EXPECT_EQ(log.json()["results"][0]["outcome"], "refused");
  EXPECT_EQ(log.body.find("secret words"), std::string::npos);
  EXPECT_EQ(log.body.find(reader), std::string::npos);
}

TEST_F(AccountsApi, EachAccountHasItsOwnLog) {
  ASSERT_EQ(set_role("stranger", "viewer", token_), 201);
  make({{"name", "v"}, {"owner", "corp"}}, stranger_token_);
  EXPECT_EQ(actions("?owner=corp"),
            (std::vector<std::string>{"token.create", "member.set", "organization.create"}));
  EXPECT_TRUE(actions().empty());
  EXPECT_EQ(actions("?owner=corp&actor=stranger"), std::vector<std::string>{"token.create"});
  EXPECT_EQ(actions("?owner=corp&action=member."), std::vector<std::string>{"member.set"});
  EXPECT_EQ(get("/v1/account/audit-log?owner=corp").json()["results"][1]["details"]["role"],
            "viewer");
  EXPECT_EQ(get("/v1/account/audit-log?created_after=nonsense").status, 400);
  EXPECT_EQ(get("/v1/account/audit-log?created_after=2000-01-01+00:00:00").status, 200);
}

TEST_F(AccountsApi, TheAuditLogIsPagedNewestFirst) {
  for (int i = 0; i < 51; ++i) call("PATCH", "/v1/models/acme/hello", "{}");
  const json first = get("/v1/account/audit-log").json();
  EXPECT_EQ(first["results"].size(), 50u);
  std::string next = first["next"];
  next.erase(0, std::string("https://mimeo.example").size());
  EXPECT_EQ(get(next).json()["results"].size(), 1u);
}

}  // namespace
}  // namespace mimeo::control
