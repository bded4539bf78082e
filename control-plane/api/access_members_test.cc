// What members of an organization may do with tokens of their own, by their role there. With tokens
// of the organization: access_test.cc.

#include <functional>
#include <map>

#include "control-plane/api/testing/access_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

struct MemberRow {
  const char* method;
  std::function<std::string()> path;
  json body;
  int owner, admin, developer, viewer, billing;
};

class AccessMembers : public AccessTest {
 protected:
  std::vector<MemberRow> rows() {
    const auto at = [](const std::string& path) { return [path] { return path; }; };
    const auto token = [this] { return token_path(); };
    const auto member = [this] { return member_path(); };
    const std::string corp = "/v1/organizations/corp";
    const json mine = {{"name", "x"}, {"owner", "corp"}};
    return {
        {"GET", at(corp), nullptr, 200, 200, 200, 200, 403},
        {"GET", at(corp + "/members"), nullptr, 200, 200, 200, 200, 403},
        {"PATCH", at(corp), {{"name", "Corp"}}, 200, 200, 403, 403, 403},
        {"PUT", member, {{"role", "developer"}}, 200, 200, 403, 403, 403},
        {"PUT", member, {{"role", "owner"}}, 200, 403, 403, 403, 403},
        {"DELETE", member, nullptr, 204, 204, 403, 403, 403},
        {"GET", at("/v1/account/audit-log?owner=corp"), nullptr, 200, 200, 403, 403, 403},
        {"GET", at("/v1/account/tokens?owner=corp"), nullptr, 200, 200, 200, 200, 200},
        {"POST", at("/v1/account/tokens"), mine, 201, 201, 201, 201, 201},
        // The operator's: others than owners and admins have their own only.
        {"GET", token, nullptr, 200, 200, 404, 404, 404},
        {"PATCH", token, {{"name", "y"}}, 200, 200, 404, 404, 404},
        {"DELETE", token, nullptr, 204, 204, 404, 404, 404},
    };
  }
  int status_of(const MemberRow& row, const std::string& token) {
    return call(row.method, row.path(), row.body.is_null() ? "" : row.body.dump(), as(token))
        .status;
  }
};

TEST_F(AccessMembers, RolesBoundTokensOfTheirOwn) {
  for (const MemberRow& row : rows()) {
    SCOPED_TRACE(std::string(row.method) + " " + row.path() + " " + row.body.dump());
    for (const auto& [name, expected] : std::map<std::string, int>{{"olga", row.owner},
                                                                   {"adam", row.admin},
                                                                   {"dora", row.developer},
                                                                   {"vera", row.viewer},
                                                                   {"bill", row.billing}}) {
      EXPECT_EQ(status_of(row, own_[name]), expected) << name;
    }
    EXPECT_EQ(status_of(row, own_["leah"]), 404) << "who left";
    EXPECT_EQ(status_of(row, tokens_["stranger"]), 404) << "a stranger";
    EXPECT_EQ(status_of(row, own_["dina"]), 401) << "whose account is disabled";
  }
}

TEST_F(AccessMembers, OfADisabledOrganizationThereAreNone) {
  store::AccountChange disable;
  disable.disabled_at = std::optional<WallTime>(clock_.now());
  ASSERT_TRUE(store_.update_account(corp_.id, disable, {}).ok());
  for (const MemberRow& row : rows()) EXPECT_EQ(status_of(row, own_["olga"]), 404) << row.path();
}

TEST_F(AccessMembers, WhatIsTheOrganizationsIsForItsTokensOnly) {
  for (const char* path : {"/v1/models/corp/hush", "/v1/deployments/corp/keep"}) {
    EXPECT_EQ(call("GET", path, "", as(own_["olga"])).status, 404) << path;
  }
}

TEST_F(AccessMembers, AMissingScopeIsNamedWithTheToken) {
  const std::string text = corp_token({Scope::kPredictions, Scope::kFiles}, 0);
  const Reply reply = call("PATCH", "/v1/models/corp/hush", "{}", as(text));
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.json()["title"], "Forbidden");
  const std::string detail = reply.json()["detail"];
  EXPECT_NE(detail.find("\"models\""), std::string::npos) << detail;
  EXPECT_NE(detail.find("\"t\""), std::string::npos) << detail;
  const Reply role = call("PATCH", "/v1/models/corp/hush", "{}", as(tokens_["viewer"]));
  EXPECT_NE(std::string(role.json()["detail"]).find("vera is viewer of corp"), std::string::npos)
      << role.body;
}

}  // namespace
}  // namespace mimeo::control
