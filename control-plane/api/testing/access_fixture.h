// What access_test.cc tries: an organization "corp" with private things, a member of every role,
// and fresh things for each try, so that what one caller did does not change the next answer.

#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "common/blobs/blob_key.h"
#include "control-plane/api/file_links.h"
#include "control-plane/api/testing/api_fixture.h"
#include "control-plane/public_links.h"

namespace mimeo::control {

// The expected status per caller; `full` also counts for owner, admin and the operator's token.
struct AccessRow {
  const char* route;
  const char* scopes;  // "a b + c": one of a and b, and c besides; empty: any token will do.
  std::function<std::string()> path;
  std::function<nlohmann::json()> body = nullptr;  // Null: none.
  int stranger = 0;
  int viewer = 0;
  int developer = 0;
  int billing = 0;
  int full = 0;
};

class AccessTest : public ApiTest {
 protected:
  AccessTest() {
    limits_ = {0, 0, 0, 0};
    settings_.account_bounds = {};  // None: each try makes tokens, members, organizations.
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
    add_dead_tokens();
    keep_ = deployment("keep");
  }

  // Tokens that were good once.
  void add_dead_tokens() {
    dead_["disabled"] = corp_token(Scopes::all(), 0, {}, clock_.now());
    dead_["expired"] = corp_token(Scopes::all(), 0, clock_.now());
    dead_["of a member who left"] = member_token("leah", Role::kOwner);
    const AccountId leah = store_.get_account_by_username("leah")->id;
    EXPECT_EQ(store_.remove_member(corp_.id, leah, {}, {}), absl::OkStatus());
    store::AccountChange disable;
    disable.disabled_at = std::optional<WallTime>(clock_.now());
    dead_["of a member whose account is disabled"] = member_token("dina", Role::kOwner);
    const AccountId dina = store_.get_account_by_username("dina")->id;
    EXPECT_TRUE(store_.update_account(dina, disable, {}).ok());
    store::Account closed;
    closed.type = store::AccountType::kOrganization;
    closed.username = "closed";
    closed = *store_.create_account(closed);
    dead_["of a disabled account"] = add_token(closed);
    EXPECT_TRUE(store_.update_account(closed.id, disable, {}).ok());
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
    const store::Account maker = user(name);
    member.user = maker.id;
    member.role = role;
    EXPECT_EQ(store_.put_member(member, {}, {}, {}), absl::OkStatus());
    own_[name] = add_token(maker);
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
    EXPECT_EQ(store_.put_member(member, {}, {}, {}), absl::OkStatus());
    return "/v1/organizations/corp/members/" + name;
  }
  std::string delivery_path() {
    store::WebhookSettlement item;
    item.delivery.emplace();
    item.delivery->id = "msg_" + next_name();
    item.delivery->account = corp_.id;
    item.delivery->prediction = ended().id;
    item.delivery->url = "https://hook.example/hush";
    item.delivery->state = store::DeliveryState::kFailed;
    item.attempt.at = clock_.now();
    item.attempt.request_headers = "{}";
    item.attempt.request_body = "{}";
    item.attempt.response_status = 500;
    item.attempt.response_headers = "{}";
    item.attempt.error = "the receiver answered 500";
    EXPECT_EQ(store_.settle({&item, 1}), absl::OkStatus());
    return "/v1/webhooks/deliveries/" + item.delivery->id;
  }
  std::string example_path() {
    const std::string id = ended().id.str();
    const Reply reply = call("POST", "/v1/models/corp/hush/examples",
                             nlohmann::json{{"prediction", id}}.dump(), as(tokens_["owner"]));
    EXPECT_EQ(reply.status, 201) << reply.body;
    return "/v1/models/corp/hush/examples/" + id;
  }
  std::string next_name() { return "n" + std::to_string(++names_); }

  store::Account corp_;
  store::Model hush_;
  store::Version hushed_;
  store::Target pool_of_hush_;
  std::string keep_;
  std::map<std::string, std::string> tokens_;  // Of corp, by the role of who made it.
  std::map<std::string, std::string> own_;     // Of the members themselves, by name.
  std::map<std::string, std::string> dead_;    // By what is wrong.
  int names_ = 0;
};

}  // namespace mimeo::control
