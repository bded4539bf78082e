// Who may do what: every route of routes.cc with every kind of caller. A route without a row here
// fails, so nothing is added without deciding this. What members may do with tokens of their own is
// access_members_test.cc's.
//
// What is tried belongs to the organization "corp" and is private. Callers that are not 401 hold a
// token of corp, made by a member of the role that names the column, but for "stranger": another
// account with every right.

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "control-plane/api/testing/access_fixture.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

constexpr const char* kUpload =
    "--XyZ\r\nContent-Disposition: form-data; name=\"content\"; "
    "filename=\"a\"\r\n\r\nx\r\n--XyZ--\r\n";

class AccessTable : public AccessTest {
 protected:
  std::vector<AccessRow> rows();
  std::vector<AccessRow> prediction_rows();
  std::vector<AccessRow> model_rows();
  std::vector<AccessRow> deployment_rows();
  std::vector<AccessRow> account_rows();
  std::vector<AccessRow> billing_rows();
  std::vector<AccessRow> webhook_rows();
  std::vector<AccessRow> link_rows();

  void try_row(const AccessRow& row, const Route& route);
  void try_scopes(const AccessRow& row, const Route& route);
  void try_absent(const AccessRow& row, const Route& route);
  // Runs `f` with every row and its route; every route must have a row.
  void for_all(const std::function<void(const AccessRow&, const Route&)>& f);
  Reply reply_of(const AccessRow& row, const Route& route, const std::string& authorization,
                 std::optional<std::string> path = std::nullopt) {
    Fields fields = {{"Authorization", authorization}};
    std::string text = row.body ? row.body().dump() : "";
    if (route.pattern == "/files" && route.method == "POST") {
      fields.emplace_back("Content-Type", "multipart/form-data; boundary=XyZ");
      text = kUpload;
    }
    return call(route.method, path ? *path : row.path(), text, std::move(fields));
  }
};

std::function<std::string()> at(std::string path) {
  return [path] { return path; };
}
std::function<json()> with(json body) {
  return [body] { return body; };
}

std::vector<AccessRow> AccessTable::prediction_rows() {
  const auto one = [this] { return "/v1/predictions/" + added(prediction(false)); };
  const auto training = [this] { return "/v1/trainings/" + added(prediction(true)); };
  const json run = {{"input", {{"text", "a"}}}};
  json by_version = run;
  by_version["version"] = hushed_.id.hex();
  const json train = {{"destination", "corp/hush"}, {"input", {{"data", "https://x.example/d"}}}};
  const std::string version = "/v1/models/corp/hush/versions/" + hushed_.id.hex();
  return {
      // A version that one may not have is 422 on this path, whether it exists or not.
      {"POST /predictions", "predictions", at("/v1/predictions"), with(by_version), 422, 403, 201,
       403, 201},
      {"GET /predictions", "read predictions", at("/v1/predictions"), nullptr, 200, 200, 200, 403,
       200},
      {"GET /predictions/{id}", "read predictions", one, nullptr, 404, 200, 200, 403, 200},
      {"POST /predictions/{id}/cancel", "predictions", [one] { return one() + "/cancel"; }, nullptr,
       404, 403, 200, 403, 200},
      {"GET /predictions/{id}/usage", "read predictions",
       [this] { return "/v1/predictions/" + ended().id.str() + "/usage"; }, nullptr, 404, 200, 200,
       403, 200},
      {"GET /trainings", "read predictions", at("/v1/trainings"), nullptr, 200, 200, 200, 403, 200},
      {"GET /trainings/{id}", "read predictions", training, nullptr, 404, 200, 200, 403, 200},
      {"POST /trainings/{id}/cancel", "predictions", [training] { return training() + "/cancel"; },
       nullptr, 404, 403, 200, 403, 200},
      {"POST /models/{owner}/{name}/predictions", "predictions",
       at("/v1/models/corp/hush/predictions"), with(run), 404, 403, 201, 403, 201},
      {"POST /deployments/{owner}/{name}/predictions", "predictions", at(keep_ + "/predictions"),
       with(run), 404, 403, 201, 403, 201},
      {"POST /models/{owner}/{name}/versions/{id}/trainings", "predictions + models",
       at(version + "/trainings"), with(train), 404, 403, 201, 403, 201},
  };
}

std::vector<AccessRow> AccessTable::model_rows() {
  const std::string model = "/v1/models/corp/hush";
  const std::string version = model + "/versions/" + hushed_.id.hex();
  const auto fresh = [this] {
    return json{
        {"owner", "corp"}, {"name", next_name()}, {"visibility", "private"}, {"hardware", "cpu"}};
  };
  return {
      {"GET /models", "read predictions models deployments", at("/v1/models"), nullptr, 200, 200,
       200, 403, 200},
      // For another owner: that there is an owner "corp" is no secret.
      {"POST /models", "models", at("/v1/models"), fresh, 403, 403, 201, 403, 201},
      {"QUERY /models", "read predictions models deployments", at("/v1/models"), with("corp"), 200,
       200, 200, 403, 200},
      {"GET /models/{owner}/{name}", "read predictions models deployments", at(model), nullptr, 404,
       200, 200, 403, 200},
      {"PATCH /models/{owner}/{name}", "models", at(model), with(json::object()), 404, 403, 200,
       403, 200},
      // 409: it has versions. It is tried behind the check of who may.
      {"DELETE /models/{owner}/{name}", "models", at(model), nullptr, 404, 403, 409, 403, 409},
      {"GET /models/{owner}/{name}/readme", "read predictions models deployments",
       at(model + "/readme"), nullptr, 404, 200, 200, 403, 200},
      {"GET /models/{owner}/{name}/examples", "read predictions models deployments",
       at(model + "/examples"), nullptr, 404, 200, 200, 403, 200},
      // 400: no prediction of this model. It is looked at behind the check of who may.
      {"POST /models/{owner}/{name}/examples", "models", at(model + "/examples"),
       with({{"prediction", "x"}}), 404, 403, 400, 403, 400},
      {"DELETE /models/{owner}/{name}/examples/{id}", "models", [this] { return example_path(); },
       nullptr, 404, 403, 204, 403, 204},
      {"PUT /models/{owner}/{name}/default-example", "models", at(model + "/default-example"),
       with({{"prediction", "x"}}), 404, 403, 400, 403, 400},
      {"GET /models/{owner}/{name}/versions", "read predictions models deployments",
       at(model + "/versions"), nullptr, 404, 200, 200, 403, 200},
      {"GET /models/{owner}/{name}/versions/{id}", "read predictions models deployments",
       at(version), nullptr, 404, 200, 200, 403, 200},
      {"DELETE /models/{owner}/{name}/versions/{id}", "models", at(version), nullptr, 404, 403, 409,
       403, 409},
      {"GET /collections", "read predictions models deployments", at("/v1/collections"), nullptr,
       200, 200, 200, 403, 200},
      {"GET /collections/{slug}", "read predictions models deployments", at("/v1/collections/x"),
       nullptr, 404, 404, 404, 403, 404},
      {"GET /search", "", at("/v1/search?query=corp"), nullptr, 200, 200, 200, 200, 200},
      {"GET /hardware", "", at("/v1/hardware"), nullptr, 200, 200, 200, 200, 200},
  };
}

std::vector<AccessRow> AccessTable::deployment_rows() {
  const auto fresh = [this] {
    return json{{"name", next_name()}, {"model", "corp/hush"}, {"version", hushed_.id.hex()},
                {"hardware", "cpu"},   {"min_instances", 0},   {"max_instances", 1}};
  };
  const auto one = [this] { return deployment(next_name()); };
  const auto a_file = [this] { return "/v1/files/" + file().id.str(); };
  return {
      {"GET /deployments", "read predictions deployments", at("/v1/deployments"), nullptr, 200, 200,
       200, 403, 200},
      // 400: the version does not exist, or one is not permitted to use it.
      {"POST /deployments", "deployments", at("/v1/deployments"), fresh, 400, 403, 200, 403, 200},
      {"GET /deployments/{owner}/{name}", "read predictions deployments", at(keep_), nullptr, 404,
       200, 200, 403, 200},
      {"PATCH /deployments/{owner}/{name}", "deployments", at(keep_), with(json::object()), 404,
       403, 200, 403, 200},
      {"DELETE /deployments/{owner}/{name}", "deployments", one, nullptr, 404, 403, 204, 403, 204},
      {"POST /files", "files", at("/v1/files"), nullptr, 201, 403, 201, 403, 201},
      {"GET /files", "read files", at("/v1/files"), nullptr, 200, 200, 200, 403, 200},
      {"GET /files/{id}", "read files", a_file, nullptr, 404, 200, 200, 403, 200},
      {"DELETE /files/{id}", "files", a_file, nullptr, 404, 403, 204, 403, 204},
  };
}

std::vector<AccessRow> AccessTable::account_rows() {
  const std::string corp = "/v1/organizations/corp";
  const auto token = [this] { return token_path(); };
  const auto member = [this] { return member_path(); };
  return {
      {"GET /account", "", at("/v1/account"), nullptr, 200, 200, 200, 200, 200},
      {"GET /webhooks/default/secret", "predictions account", at("/v1/webhooks/default/secret"),
       nullptr, 200, 403, 200, 403, 200},
      {"GET /account/settings", "account", at("/v1/account/settings"), nullptr, 200, 403, 403, 403,
       200},
      {"PATCH /account/settings", "account", at("/v1/account/settings"),
       with({{"retention_seconds", {{"api", 600}}}}), 200, 403, 403, 403, 200},
      {"GET /account/tokens", "account", at("/v1/account/tokens"), nullptr, 200, 403, 403, 403,
       200},
      {"POST /account/tokens", "account", at("/v1/account/tokens"),
       with({{"name", "x"}, {"scopes", {"account"}}}), 201, 403, 403, 403, 201},
      {"GET /account/tokens/{id}", "account", token, nullptr, 404, 403, 403, 403, 200},
      {"PATCH /account/tokens/{id}", "account", token, with({{"name", "y"}}), 404, 403, 403, 403,
       200},
      {"DELETE /account/tokens/{id}", "account", token, nullptr, 404, 403, 403, 403, 204},
      {"GET /account/audit-log", "account", at("/v1/account/audit-log"), nullptr, 200, 403, 403,
       403, 200},
      {"GET /organizations", "read account", at("/v1/organizations"), nullptr, 200, 200, 200, 403,
       200},
      // Only users make organizations, and the stranger is one.
      {"POST /organizations", "account", at("/v1/organizations"),
       [this] {
         return json{{"username", next_name()}};
       },
       201, 403, 403, 403, 403},
      {"GET /organizations/{name}", "read account", at(corp), nullptr, 404, 200, 200, 403, 200},
      {"PATCH /organizations/{name}", "account", at(corp), with({{"name", "Corp"}}), 404, 403, 403,
       403, 200},
      {"GET /organizations/{name}/members", "read account", at(corp + "/members"), nullptr, 404,
       200, 200, 403, 200},
      {"PUT /organizations/{name}/members/{username}", "account", member,
       with({{"role", "viewer"}}), 404, 403, 403, 403, 200},
      {"DELETE /organizations/{name}/members/{username}", "account", member, nullptr, 404, 403, 403,
       403, 204},
  };
}

std::vector<AccessRow> AccessTable::billing_rows() {
  const std::string limit = "/v1/account/spend-limit";
  return {
      {"GET /account/usage", "read billing", at("/v1/account/usage"), nullptr, 200, 200, 200, 200,
       200},
      {"GET /account/usage/predictions", "read billing", at("/v1/account/usage/predictions"),
       nullptr, 200, 200, 200, 200, 200},
      {"GET /account/spend-limit", "read billing", at(limit), nullptr, 200, 200, 200, 200, 200},
      {"PUT /account/spend-limit", "billing", at(limit), with({{"limit_micros", 1'000'000'000}}),
       200, 403, 403, 200, 200},
  };
}

std::vector<AccessRow> AccessTable::webhook_rows() {
  const std::string all = "/v1/webhooks/deliveries";
  const auto one = [this] { return delivery_path(); };
  return {
      {"GET /webhooks/deliveries", "read predictions", at(all), nullptr, 200, 200, 200, 403, 200},
      {"GET /webhooks/deliveries/{id}", "read predictions", one, nullptr, 404, 200, 200, 403, 200},
      {"POST /webhooks/deliveries/{id}/redeliver", "predictions",
       [one] { return one() + "/redeliver"; }, nullptr, 404, 403, 202, 403, 202},
      {"POST /webhooks/test", "predictions", at("/v1/webhooks/test"),
       with({{"url", "https://hook.example/"}}), 200, 403, 200, 403, 200},
      // Last: links to files were signed with what is replaced here.
      {"POST /webhooks/default/secret/rotate", "account", at("/v1/webhooks/default/secret/rotate"),
       nullptr, 200, 403, 403, 403, 200},
  };
}

// The path is the credential: whoever has it gets it, whoever has not does not.
std::vector<AccessRow> AccessTable::link_rows() {
  const std::string wrong(kStreamTokenLength, 'a');
  const auto a_file = [this] { return "/v1/files/" + file().id.str() + "/download"; };
  return {
      {"GET /openapi.json", "", at("/v1/openapi.json"), nullptr, 200, 200, 200, 200, 200},
      {"GET /streams/{token:53}", "", [this] { return "/v1/streams/" + ended().stream_token; },
       nullptr, 200, 200, 200, 200, 200},
      {"GET /streams/{token:53}", "", at("/v1/streams/" + wrong), nullptr, 404, 404, 404, 404, 404},
      {"GET /files/{token:53}", "", at("/v1/files/" + wrong), nullptr, 404, 404, 404, 404, 404},
      {"GET /files/{id}/download", "", [this] { return file_link(); }, nullptr, 200, 200, 200, 200,
       200},
      {"GET /files/{id}/download", "", a_file, nullptr, 404, 404, 404, 404, 404},
      {"GET /delivery/{token}/{filename}", "", [this] { return output_link(); }, nullptr, 200, 200,
       200, 200, 200},
      {"GET /delivery/{token}/{filename}", "", at("/delivery/" + wrong + "/out.txt"), nullptr, 404,
       404, 404, 404, 404},
  };
}

std::vector<AccessRow> AccessTable::rows() {
  std::vector<AccessRow> all;
  for (std::vector<AccessRow> some :
       {prediction_rows(), model_rows(), deployment_rows(), account_rows(), billing_rows(),
        link_rows(), webhook_rows()}) {
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  return all;
}

std::string bearer(const std::string& token) { return "Bearer " + token; }

void AccessTable::try_row(const AccessRow& row, const Route& route) {
  const int invalid = route.access == Access::kToken ? 401 : row.full;
  EXPECT_EQ(reply_of(row, route, "").status, invalid) << "nobody";
  EXPECT_EQ(reply_of(row, route, bearer("r8_nonsense")).status, invalid) << "a bad token";
  for (const auto& [what, token] : dead_) {
    EXPECT_EQ(reply_of(row, route, bearer(token)).status, invalid) << "a token " << what;
  }
  const Reply strangers = reply_of(row, route, bearer(tokens_["stranger"]));
  EXPECT_EQ(strangers.status, row.stranger) << "a stranger";
  const bool echoes = row.stranger == 400;  // What was sent.
  if (route.access != Access::kLinkOnly && !echoes) {
    EXPECT_EQ(strangers.body.find("hush"), std::string::npos) << strangers.body;
  }
  for (const auto& [name, expected] : std::map<std::string, int>{{"viewer", row.viewer},
                                                                 {"developer", row.developer},
                                                                 {"billing", row.billing},
                                                                 {"admin", row.full},
                                                                 {"owner", row.full},
                                                                 {"operator", row.full}}) {
    const Reply reply = reply_of(row, route, bearer(tokens_[name]));
    EXPECT_EQ(reply.status, expected) << name << " " << reply.body;
  }
}

// Tokens with one scope each, with all but those of the row, and with just enough.
void AccessTable::try_scopes(const AccessRow& row, const Route& route) {
  if (route.access != Access::kToken) return;
  const std::string text = row.scopes;
  const std::size_t plus = std::min(text.find(" + "), text.size());
  const Scopes one_of = scopes_of_text(text.substr(0, plus));
  const Scopes also = scopes_of_text(plus < text.size() ? text.substr(plus + 3) : "");
  const auto status = [&](Scopes scopes) {
    return reply_of(row, route, bearer(corp_token(scopes, 0))).status;
  };
  Scopes other;
  for (int i = 0; i < kScopeCount; ++i) {
    const Scopes single{static_cast<Scope>(i)};
    const bool is_one = one_of.is_empty() || one_of.contains(single);
    EXPECT_EQ(status(single), is_one && single.contains(also) ? row.full : 403) << to_text(single);
    if (is_one) {
      EXPECT_EQ(status(single | also), row.full) << to_text(single | also);
    }
    if (!one_of.contains(single)) other = other | single;
  }
  EXPECT_EQ(status(other), one_of.is_empty() ? row.full : 403) << to_text(other);
}

// The same path with names that nobody has.
std::string absent(const std::string& path, const std::string& fresh_id) {
  static const std::map<std::string, std::string> kOthers = {
      {"corp", "none"}, {"hush", "none"}, {"keep", "none"}};
  std::string other;
  for (const std::string_view part : split(path, "/")) {
    const std::string segment(part);
    const bool is_number = segment.find_first_not_of("0123456789") == std::string::npos;
    if (segment.empty()) continue;
    other += "/";
    if (const auto known = kOthers.find(segment); known != kOthers.end()) {
      other += known->second;
    } else if (segment.size() == 64) {
      other += std::string(64, '9');
    } else if (segment.size() == 26) {
      other += fresh_id;
    } else if (is_number) {
      other += "987654321";
    } else if (segment.starts_with("msg_")) {
      other += "msg_none";
    } else if (segment.front() == 'n' &&
               segment.find_first_not_of("0123456789", 1) == std::string::npos) {
      other += "nobody";
    } else {
      other += segment;
    }
  }
  return other;
}

// What is private is as if it did not exist: not only in the status.
void AccessTable::try_absent(const AccessRow& row, const Route& route) {
  if (route.access != Access::kToken || row.stranger != 404) return;
  const std::string path = row.path();
  const std::string other = absent(path, ids_.next().str());
  const auto headers_of = [](const Reply& reply) {
    std::map<std::string, std::string> headers;
    for (const auto& [name, value] : reply.headers.fields()) {
      const bool varies = name == "X-Request-Id" || name == "Date" || name.starts_with("ratelimit");
      if (!varies) headers[name] = value;
    }
    return headers;
  };
  const Reply hidden = reply_of(row, route, bearer(tokens_["stranger"]), path);
  const Reply missing = reply_of(row, route, bearer(tokens_["stranger"]), other);
  EXPECT_EQ(hidden.status, missing.status) << path << " " << other;
  EXPECT_EQ(hidden.body, missing.body) << path << " " << other;
  EXPECT_EQ(headers_of(hidden), headers_of(missing)) << path << " " << other;
  if (row.full < 400) {
    EXPECT_NE(path, other) << "nothing in it was replaced";
  }
}

void AccessTable::for_all(const std::function<void(const AccessRow&, const Route&)>& f) {
  std::map<std::string, const Route*> routes;
  for (const Route& route : router_->routes()) {
    routes[route.method + " " + route.pattern] = &route;
  }
  std::set<std::string> missing;
  for (const auto& [name, route] : routes) missing.insert(name);
  for (const AccessRow& row : rows()) {
    SCOPED_TRACE(row.route);
    ASSERT_TRUE(routes.contains(row.route)) << "no such route";
    missing.erase(row.route);
    f(row, *routes[row.route]);
  }
  EXPECT_EQ(missing, std::set<std::string>{}) << "routes without a row in this test";
}

TEST_F(AccessTable, EveryRouteAnswersEveryCallerAsItShould) {
  for_all([this](const AccessRow& row, const Route& route) { try_row(row, route); });
}

TEST_F(AccessTable, EveryRouteAsksForTheScopesOfItsRow) {
  for_all([this](const AccessRow& row, const Route& route) { try_scopes(row, route); });
}

TEST_F(AccessTable, WhatAStrangerMayNotSeeIsAsIfItDidNotExist) {
  for_all([this](const AccessRow& row, const Route& route) { try_absent(row, route); });
}

// What is created and cancelled all the time is a row of its own; the rest is in the audit log.
TEST_F(AccessTable, EveryChangeIsOfAKindThatTheAuditLogKnows) {
  const std::set<std::string> not_logged = {
      "POST /predictions",
      "POST /predictions/{id}/cancel",
      "POST /trainings/{id}/cancel",
      "POST /models/{owner}/{name}/predictions",
      "POST /deployments/{owner}/{name}/predictions",
      "POST /models/{owner}/{name}/versions/{id}/trainings",
      "POST /files",
      "QUERY /models",        // A read.
      "POST /webhooks/test",  // Changes nothing.
  };
  for (const Route& route : router_->routes()) {
    const std::string name = route.method + " " + route.pattern;
    const bool changes = route.method != "GET" && !not_logged.contains(name);
    EXPECT_EQ(!route.action.empty(), changes) << name;
  }
}

}  // namespace
}  // namespace mimeo::control
