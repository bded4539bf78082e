// Who may do what: every route of routes.cc with every kind of caller. A route without a row here
// fails, so nothing is added without deciding this.
//
// What is tried belongs to the organization "corp" and is private. Callers that are not 401 hold a
// token of corp, made by a member of the role that names the column, but for "stranger" (another
// account with every right) and "other" (a token of corp with every scope but those that the route
// asks for).

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "common/blobs/blob_key.h"
#include "control-plane/api/file_links.h"
#include "control-plane/api/testing/api_fixture.h"
#include "control-plane/public_links.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

constexpr const char* kUpload =
    "--XyZ\r\nContent-Disposition: form-data; name=\"content\"; "
    "filename=\"a\"\r\n\r\nx\r\n--XyZ--\r\n";

// The expected status per caller; `full` also counts for owner, admin and the operator's token.
struct Row {
  const char* route;
  std::function<std::string()> path;
  std::function<json()> body = nullptr;  // Null: none.
  int stranger = 0;
  int viewer = 0;
  int developer = 0;
  int billing = 0;
  int full = 0;
};

class AccessTable : public ApiTest {
 protected:
  AccessTable() {
    limits_ = {0, 0, 0};
    start();
    store::Account corp;
    corp.type = store::AccountType::kOrganization;
    corp.username = "corp";
    corp.webhook_secret = "whsec_x";
    corp_ = *store_.create_account(corp);
    hush_ = add_model(corp_, "hush", store::Visibility::kPrivate);
    store::ModelChange change;
    change.readme = "# hush";
    EXPECT_TRUE(store_.update_model(hush_.id, change).ok());
    hushed_ = add_version(hush_.id, 'c', kSchema);
    pool_of_hush_ = *store_.ensure_version_pool(hushed_.id, "cpu", 1);
    tokens_["owner"] = member_token("olga", Role::kOwner);
    tokens_["admin"] = member_token("adam", Role::kAdmin);
    tokens_["developer"] = member_token("dora", Role::kDeveloper);
    tokens_["viewer"] = member_token("vera", Role::kViewer);
    tokens_["billing"] = member_token("bill", Role::kBilling);
    tokens_["operator"] = corp_token(Scopes::all(), 0);
    tokens_["stranger"] = stranger_token_;
    keep_ = deployment("keep");
  }

  store::Account user(const std::string& name) {
    store::Account account;
    account.username = name;
    return *store_.create_account(account);
  }
  std::string corp_token(Scopes scopes, AccountId maker, std::optional<WallTime> expires_at = {},
                         std::optional<WallTime> disabled_at = {}) {
    const std::string text = crypto::make_api_token(random_);
    store::Token token;
    token.account = corp_.id;
    token.name = "t";
    token.hash = crypto::sha256(text);
    token.scopes = scopes;
    token.created_by = maker;
    token.expires_at = expires_at;
    token.disabled_at = disabled_at;
    last_token_ = *store_.create_token(token);
    return text;
  }
  std::string member_token(const std::string& name, Role role) {
    store::Membership member;
    member.organization = corp_.id;
    member.user = user(name).id;
    member.role = role;
    EXPECT_EQ(store_.put_member(member, {}, {}), absl::OkStatus());
    return corp_token(Scopes::all(), member.user);
  }

  // Fresh things of corp's, so that what one caller did does not change the next answer.
  store::NewPrediction prediction(bool is_training) {
    store::NewPrediction p;
    p.id = ids_.next();
    p.account = corp_.id;
    p.target = pool_of_hush_.id;
    p.cell = pool_of_hush_.cell;
    p.model = hush_.id;
    p.version = hushed_.id;
    p.is_training = is_training;
    p.created_at = clock_.now();
    p.input = R"({"text":"hush"})";
    if (is_training) {
      p.destination = "corp/hush";
    } else {
      p.stream_token = make_stream_token(p.id, StreamKind::kText, random_);
    }
    return p;
  }
  std::string added(const store::NewPrediction& p) {
    EXPECT_TRUE(store_.create({&p, 1}).ok());
    return p.id.str();
  }
  store::NewPrediction ended() {
    store::NewPrediction p = prediction(false);
    p.grant = grant_;
    p.grant->version = hushed_.id;
    added(p);
    const store::Finish finish = finish_of(p.id, R"(["x"])");
    EXPECT_TRUE(store_.finish({&finish, 1}).ok());
    return p;
  }
  std::string deployment(const std::string& name) {
    store::Deployment d;
    d.owner_id = corp_.id;
    d.name = name;
    d.model = hush_.id;
    d.created_at = clock_.now();
    d.current.version = hushed_.id;
    d.current.sku = "cpu";
    d.current.created_by = corp_.id;
    EXPECT_TRUE(store_.create_deployment(d).ok());
    return "/v1/deployments/corp/" + name;
  }
  store::File file() {
    store::File f;
    f.id = ids_.next();
    f.account = corp_.id;
    f.name = "hush.txt";
    f.created_at = clock_.now();
    f.expires_at = clock_.now() + std::chrono::hours(24);
    f.content_type = "text/plain";
    f.sha256_hex = std::string(64, 'a');
    f.md5_hex = std::string(32, 'a');
    f.blob_key = put_blob();
    EXPECT_TRUE(files_.create_file(f).ok());
    return f;
  }
  std::string file_link() {
    const store::File f = file();
    const std::int64_t expiry = 4'000'000'000;
    return "/v1/files/" + f.id.str() + "/download?owner=corp&expiry=" + std::to_string(expiry) +
           "&signature=" + http::percent_encode(sign_file_link(corp_, f.id, expiry));
  }
  std::string output_link() {
    const store::NewPrediction p = prediction(false);
    added(p);
    const std::string token = make_delivery_token(p.id, random_);
    store::OutputFile output;
    output.prediction = p.id;
    output.secret = parse_delivery_token(token)->secret;
    output.filename = "out.txt";
    output.sha256_hex = std::string(64, 'a');
    output.md5_hex = std::string(32, 'a');
    output.created_at = clock_.now();
    output.blob_key = put_blob();
    EXPECT_TRUE(files_.create_output(output).ok());
    return delivery_url("", token, "out.txt");
  }
  // The key of a blob that holds "x".
  std::string put_blob() {
    std::string key = blobs::content_key(ids_.next());
    auto writer = *blobs_->create(key);
    EXPECT_TRUE(writer->write("x").ok());
    EXPECT_TRUE(writer->commit().ok());
    return key;
  }
  std::string token_path() {
    corp_token(Scopes{Scope::kRead}, 0);
    return "/v1/account/tokens/" + std::to_string(last_token_.id);
  }
  std::string member_path() {
    const std::string name = next_name();
    store::Membership member;
    member.organization = corp_.id;
    member.user = user(name).id;
    member.role = Role::kViewer;
    EXPECT_EQ(store_.put_member(member, {}, {}), absl::OkStatus());
    return "/v1/organizations/corp/members/" + name;
  }
  std::string next_name() { return "n" + std::to_string(++names_); }

  std::vector<Row> rows();
  std::vector<Row> prediction_rows();
  std::vector<Row> model_rows();
  std::vector<Row> deployment_rows();
  std::vector<Row> account_rows();
  std::vector<Row> billing_rows();
  std::vector<Row> webhook_rows();
  std::vector<Row> link_rows();

  void try_row(const Row& row, const Route& route);
  int status_of(const Row& row, const Route& route, const std::string& authorization,
                std::string* body = nullptr) {
    Fields fields = {{"Authorization", authorization}};
    std::string text = row.body ? row.body().dump() : "";
    if (route.pattern == "/files" && route.method == "POST") {
      fields.emplace_back("Content-Type", "multipart/form-data; boundary=XyZ");
      text = kUpload;
    }
    const Reply reply = call(route.method, row.path(), text, std::move(fields));
    if (body != nullptr) *body = reply.body;
    return reply.status;
  }

  store::Account corp_;
  store::Model hush_;
  store::Version hushed_;
  store::Target pool_of_hush_;
  std::string keep_;
  std::map<std::string, std::string> tokens_;
  int names_ = 0;
};

std::function<std::string()> at(std::string path) {
  return [path] { return path; };
}
std::function<json()> with(json body) {
  return [body] { return body; };
}

std::vector<Row> AccessTable::prediction_rows() {
  const auto one = [this] { return "/v1/predictions/" + added(prediction(false)); };
  const auto training = [this] { return "/v1/trainings/" + added(prediction(true)); };
  const json run = {{"input", {{"text", "a"}}}};
  json by_version = run;
  by_version["version"] = hushed_.id.hex();
  const json train = {{"destination", "corp/hush"}, {"input", {{"data", "https://x.example/d"}}}};
  const std::string version = "/v1/models/corp/hush/versions/" + hushed_.id.hex();
  return {
      // A version that one may not have is 422 on this path, whether it exists or not.
      {"POST /predictions", at("/v1/predictions"), with(by_version), 422, 403, 201, 403, 201},
      {"GET /predictions", at("/v1/predictions"), nullptr, 200, 200, 200, 403, 200},
      {"GET /predictions/{id}", one, nullptr, 404, 200, 200, 403, 200},
      {"POST /predictions/{id}/cancel", [one] { return one() + "/cancel"; }, nullptr, 404, 403, 200,
       403, 200},
      {"GET /predictions/{id}/usage",
       [this] { return "/v1/predictions/" + ended().id.str() + "/usage"; }, nullptr, 404, 200, 200,
       403, 200},
      {"GET /trainings", at("/v1/trainings"), nullptr, 200, 200, 200, 403, 200},
      {"GET /trainings/{id}", training, nullptr, 404, 200, 200, 403, 200},
      {"POST /trainings/{id}/cancel", [training] { return training() + "/cancel"; }, nullptr, 404,
       403, 200, 403, 200},
      {"POST /models/{owner}/{name}/predictions", at("/v1/models/corp/hush/predictions"), with(run),
       404, 403, 201, 403, 201},
      {"POST /deployments/{owner}/{name}/predictions", at(keep_ + "/predictions"), with(run), 404,
       403, 201, 403, 201},
      {"POST /models/{owner}/{name}/versions/{id}/trainings", at(version + "/trainings"),
       with(train), 404, 403, 201, 403, 201},
  };
}

std::vector<Row> AccessTable::model_rows() {
  const std::string model = "/v1/models/corp/hush";
  const std::string version = model + "/versions/" + hushed_.id.hex();
  const auto fresh = [this] {
    return json{
        {"owner", "corp"}, {"name", next_name()}, {"visibility", "private"}, {"hardware", "cpu"}};
  };
  return {
      {"GET /models", at("/v1/models"), nullptr, 200, 200, 200, 403, 200},
      // For another owner: that there is an owner "corp" is no secret.
      {"POST /models", at("/v1/models"), fresh, 403, 403, 201, 403, 201},
      {"QUERY /models", at("/v1/models"), with("corp"), 200, 200, 200, 403, 200},
      {"GET /models/{owner}/{name}", at(model), nullptr, 404, 200, 200, 403, 200},
      {"PATCH /models/{owner}/{name}", at(model), with(json::object()), 404, 403, 200, 403, 200},
      // 409: it has versions. It is tried behind the check of who may.
      {"DELETE /models/{owner}/{name}", at(model), nullptr, 404, 403, 409, 403, 409},
      {"GET /models/{owner}/{name}/readme", at(model + "/readme"), nullptr, 404, 200, 200, 403,
       200},
      {"GET /models/{owner}/{name}/examples", at(model + "/examples"), nullptr, 404, 200, 200, 403,
       200},
      // 400: no prediction of this model. It is looked at behind the check of who may.
      {"POST /models/{owner}/{name}/examples", at(model + "/examples"), with({{"prediction", "x"}}),
       404, 403, 400, 403, 400},
      {"DELETE /models/{owner}/{name}/examples/{id}",
       [this, model] { return model + "/examples/" + ids_.next().str(); }, nullptr, 404, 403, 404,
       403, 404},
      {"PUT /models/{owner}/{name}/default-example", at(model + "/default-example"),
       with({{"prediction", "x"}}), 404, 403, 400, 403, 400},
      {"GET /models/{owner}/{name}/versions", at(model + "/versions"), nullptr, 404, 200, 200, 403,
       200},
      {"GET /models/{owner}/{name}/versions/{id}", at(version), nullptr, 404, 200, 200, 403, 200},
      {"DELETE /models/{owner}/{name}/versions/{id}", at(version), nullptr, 404, 403, 409, 403,
       409},
      {"GET /collections", at("/v1/collections"), nullptr, 200, 200, 200, 403, 200},
      {"GET /collections/{slug}", at("/v1/collections/x"), nullptr, 404, 404, 404, 403, 404},
      {"GET /search", at("/v1/search?query=corp"), nullptr, 200, 200, 200, 200, 200},
      {"GET /hardware", at("/v1/hardware"), nullptr, 200, 200, 200, 200, 200},
  };
}

std::vector<Row> AccessTable::deployment_rows() {
  const auto fresh = [this] {
    return json{{"name", next_name()}, {"model", "corp/hush"}, {"version", hushed_.id.hex()},
                {"hardware", "cpu"},   {"min_instances", 0},   {"max_instances", 1}};
  };
  const auto one = [this] { return deployment(next_name()); };
  const auto a_file = [this] { return "/v1/files/" + file().id.str(); };
  return {
      {"GET /deployments", at("/v1/deployments"), nullptr, 200, 200, 200, 403, 200},
      // 400: the version does not exist, or one is not permitted to use it.
      {"POST /deployments", at("/v1/deployments"), fresh, 400, 403, 200, 403, 200},
      {"GET /deployments/{owner}/{name}", at(keep_), nullptr, 404, 200, 200, 403, 200},
      {"PATCH /deployments/{owner}/{name}", at(keep_), with(json::object()), 404, 403, 200, 403,
       200},
      {"DELETE /deployments/{owner}/{name}", one, nullptr, 404, 403, 204, 403, 204},
      {"POST /files", at("/v1/files"), nullptr, 201, 403, 201, 403, 201},
      {"GET /files", at("/v1/files"), nullptr, 200, 200, 200, 403, 200},
      {"GET /files/{id}", a_file, nullptr, 404, 200, 200, 403, 200},
      {"DELETE /files/{id}", a_file, nullptr, 404, 403, 204, 403, 204},
  };
}

std::vector<Row> AccessTable::account_rows() {
  const std::string corp = "/v1/organizations/corp";
  const auto token = [this] { return token_path(); };
  const auto member = [this] { return member_path(); };
  return {
      {"GET /account", at("/v1/account"), nullptr, 200, 200, 200, 200, 200},
      {"GET /webhooks/default/secret", at("/v1/webhooks/default/secret"), nullptr, 200, 403, 200,
       403, 200},
      {"GET /account/settings", at("/v1/account/settings"), nullptr, 200, 403, 403, 403, 200},
      {"PATCH /account/settings", at("/v1/account/settings"),
       with({{"retention_seconds", {{"api", 600}}}}), 200, 403, 403, 403, 200},
      {"GET /account/tokens", at("/v1/account/tokens"), nullptr, 200, 403, 403, 403, 200},
      {"POST /account/tokens", at("/v1/account/tokens"), with({{"name", "x"}}), 201, 403, 403, 403,
       201},
      {"GET /account/tokens/{id}", token, nullptr, 404, 403, 403, 403, 200},
      {"PATCH /account/tokens/{id}", token, with({{"name", "y"}}), 404, 403, 403, 403, 200},
      {"DELETE /account/tokens/{id}", token, nullptr, 404, 403, 403, 403, 204},
      {"GET /account/audit-log", at("/v1/account/audit-log"), nullptr, 200, 403, 403, 403, 200},
      {"GET /organizations", at("/v1/organizations"), nullptr, 200, 200, 200, 403, 200},
      // Only users make organizations, and the stranger is one.
      {"POST /organizations", at("/v1/organizations"),
       [this] {
         return json{{"username", next_name()}};
       },
       201, 403, 403, 403, 403},
      {"GET /organizations/{name}", at(corp), nullptr, 404, 200, 200, 403, 200},
      {"PATCH /organizations/{name}", at(corp), with({{"name", "Corp"}}), 404, 403, 403, 403, 200},
      {"GET /organizations/{name}/members", at(corp + "/members"), nullptr, 404, 200, 200, 403,
       200},
      {"PUT /organizations/{name}/members/{username}", member, with({{"role", "billing"}}), 404,
       403, 403, 403, 200},
      {"DELETE /organizations/{name}/members/{username}", member, nullptr, 404, 403, 403, 403, 204},
  };
}

std::vector<Row> AccessTable::billing_rows() {
  const std::string limit = "/v1/account/spend-limit";
  return {
      {"GET /account/usage", at("/v1/account/usage"), nullptr, 200, 200, 200, 200, 200},
      {"GET /account/usage/predictions", at("/v1/account/usage/predictions"), nullptr, 200, 200,
       200, 200, 200},
      {"GET /account/spend-limit", at(limit), nullptr, 200, 200, 200, 200, 200},
      {"PUT /account/spend-limit", at(limit), with({{"limit_micros", 1'000'000'000}}), 200, 403,
       403, 200, 200},
  };
}

std::vector<Row> AccessTable::webhook_rows() {
  const std::string all = "/v1/webhooks/deliveries";
  const std::string none = all + "/msg_27characters0000000000000000";
  return {
      {"GET /webhooks/deliveries", at(all), nullptr, 200, 200, 200, 403, 200},
      {"GET /webhooks/deliveries/{id}", at(none), nullptr, 404, 404, 404, 403, 404},
      {"POST /webhooks/deliveries/{id}/redeliver", at(none + "/redeliver"), nullptr, 404, 403, 404,
       403, 404},
      {"POST /webhooks/test", at("/v1/webhooks/test"), with({{"url", "https://hook.example/"}}),
       200, 403, 200, 403, 200},
      // Last: links to files were signed with what is replaced here.
      {"POST /webhooks/default/secret/rotate", at("/v1/webhooks/default/secret/rotate"), nullptr,
       200, 403, 403, 403, 200},
  };
}

// The path is the credential: whoever has it gets it, whoever has not does not.
std::vector<Row> AccessTable::link_rows() {
  const std::string wrong(kStreamTokenLength, 'a');
  const auto a_file = [this] { return "/v1/files/" + file().id.str() + "/download"; };
  return {
      {"GET /openapi.json", at("/v1/openapi.json"), nullptr, 200, 200, 200, 200, 200},
      {"GET /streams/{token:53}", [this] { return "/v1/streams/" + ended().stream_token; }, nullptr,
       200, 200, 200, 200, 200},
      {"GET /streams/{token:53}", at("/v1/streams/" + wrong), nullptr, 404, 404, 404, 404, 404},
      {"GET /files/{token:53}", at("/v1/files/" + wrong), nullptr, 404, 404, 404, 404, 404},
      {"GET /files/{id}/download", [this] { return file_link(); }, nullptr, 200, 200, 200, 200,
       200},
      {"GET /files/{id}/download", a_file, nullptr, 404, 404, 404, 404, 404},
      {"GET /delivery/{token}/{filename}", [this] { return output_link(); }, nullptr, 200, 200, 200,
       200, 200},
      {"GET /delivery/{token}/{filename}", at("/delivery/" + wrong + "/out.txt"), nullptr, 404, 404,
       404, 404, 404},
  };
}

std::vector<Row> AccessTable::rows() {
  std::vector<Row> all;
  for (std::vector<Row> some : {prediction_rows(), model_rows(), deployment_rows(), account_rows(),
                                billing_rows(), link_rows(), webhook_rows()}) {
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  return all;
}

void AccessTable::try_row(const Row& row, const Route& route) {
  const auto as = [](const std::string& token) { return "Bearer " + token; };
  const int invalid = route.access == Access::kToken ? 401 : row.full;
  EXPECT_EQ(status_of(row, route, ""), invalid) << "nobody";
  EXPECT_EQ(status_of(row, route, as("r8_nonsense")), invalid) << "a bad token";
  const std::string disabled = corp_token(Scopes::all(), 0, {}, clock_.now());
  EXPECT_EQ(status_of(row, route, as(disabled)), invalid) << "a disabled token";
  const std::string expired = corp_token(Scopes::all(), 0, clock_.now());
  EXPECT_EQ(status_of(row, route, as(expired)), invalid) << "an expired token";

  std::string body;
  EXPECT_EQ(status_of(row, route, as(tokens_["stranger"]), &body), row.stranger) << "a stranger";
  const bool echoes = row.stranger == 400;  // What was sent.
  if (route.access != Access::kLinkOnly && !echoes) {
    EXPECT_EQ(body.find("hush"), std::string::npos) << "the stranger sees " << body;
  }
  for (const auto& [name, expected] : std::map<std::string, int>{{"viewer", row.viewer},
                                                                 {"developer", row.developer},
                                                                 {"billing", row.billing},
                                                                 {"admin", row.full},
                                                                 {"owner", row.full},
                                                                 {"operator", row.full}}) {
    EXPECT_EQ(status_of(row, route, as(tokens_[name]), &body), expected) << name << " " << body;
  }
  if (route.access != Access::kToken) return;
  ASSERT_TRUE(route.scopes.has_value()) << "routes.cc names no scopes";
  Scopes other;
  for (int i = 0; i < kScopeCount; ++i) {
    const auto scope = static_cast<Scope>(i);
    if (!route.scopes->has(scope)) other = other | Scopes{scope};
  }
  const int without = route.scopes->is_empty() ? row.full : 403;
  EXPECT_EQ(status_of(row, route, as(corp_token(other, 0)), &body), without) << "other " << body;
}

TEST_F(AccessTable, EveryRouteAnswersEveryCallerAsItShould) {
  std::map<std::string, const Route*> routes;
  for (const Route& route : router_->routes()) {
    routes[route.method + " " + route.pattern] = &route;
  }
  std::set<std::string> missing;
  for (const auto& [name, route] : routes) missing.insert(name);
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.route);
    ASSERT_TRUE(routes.contains(row.route)) << "no such route";
    missing.erase(row.route);
    try_row(row, *routes[row.route]);
  }
  EXPECT_EQ(missing, std::set<std::string>{}) << "routes without a row in this test";
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

TEST_F(AccessTable, AMissingScopeIsNamedWithTheToken) {
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
