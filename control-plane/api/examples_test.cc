#include "common/blobs/blob_key.h"
#include "common/crypto/crypto.h"
#include "control-plane/api/testing/api_fixture.h"
#include "control-plane/public_links.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

class ExamplesApi : public ApiTest {
 protected:
  std::string put_blob(const std::string& key, const std::string& content) {
    auto writer = blobs_->create(key).value();
    EXPECT_TRUE(writer->write(content).ok());
    EXPECT_TRUE(writer->commit().ok());
    return key;
  }
  // A stored output file of `id`; its URL.
  std::string output_file(PredictionId id, const std::string& name, const std::string& content) {
    const std::string token = make_delivery_token(id, random_);
    store::OutputFile file;
    file.prediction = id;
    file.secret = parse_delivery_token(token)->secret;
    file.filename = name;
    file.sha256_hex = to_hex(crypto::sha256(content));
    file.md5_hex = to_hex(crypto::md5(content));
    file.created_at = clock_.now();
    file.blob_key = put_blob(blobs::content_key(ids_.next()), content);
    EXPECT_TRUE(files_.create_output(file).ok());
    return delivery_url("https://mimeo.example", token, name);
  }
  std::string upload(const std::string& name, const std::string& content) {
    store::File file;
    file.id = ids_.next();
    file.account = account_.id;
    file.name = name;
    file.sha256_hex = to_hex(crypto::sha256(content));
    file.md5_hex = to_hex(crypto::md5(content));
    file.created_at = clock_.now();
    file.expires_at = clock_.now() + std::chrono::hours(24);
    file.blob_key = put_blob(blobs::content_key(ids_.next()), content);
    EXPECT_TRUE(files_.create_file(file).ok());
    return "https://mimeo.example/v1/files/" + file.id.str();
  }
  // Everything that is due in two days is removed, as the sweeper does it.
  void let_two_days_pass() {
    clock_.advance(std::chrono::days(2));
    const auto due = retention_.list_due(clock_.now(), 100);
    ASSERT_TRUE(due.ok()) << due.status();
    const auto removed = retention_.remove_data(*due);
    ASSERT_TRUE(removed.ok()) << removed.status();
    for (const PredictionId& id : *removed) plane_->recent.forget(id);
  }
  Reply fetch(const json& url) {
    return get(url.get<std::string>().substr(std::string("https://mimeo.example").size()));
  }

  std::string succeeded(const std::string& text = "Alice", const std::string& output = "\"hi\"") {
    json body = valid_body();
    body["input"]["text"] = text;
    body["webhook"] = "https://hooks.example/secret";
    plane_->scheduler.grant = grant_;
    const std::string id = post("/v1/predictions", body).json()["id"];
    complete_and_wait(finish_of(*PredictionId::parse(id), output));
    return id;
  }
  Reply mark(const std::string& id) { return post(kPath, {{"prediction", id}}); }
  std::vector<std::string> listed() {
    std::vector<std::string> ids;
    const json page = get(kPath).json();
    for (const json& example : page["results"]) ids.push_back(example["id"]);
    return ids;
  }
  void make_public() {
    store::ModelChange change;
    change.visibility = store::Visibility::kPublic;
    ASSERT_TRUE(store_.update_model(model_.id, change).ok());
  }

  static constexpr const char* kPath = "/v1/models/acme/hello/examples";
};

using Ids = std::vector<std::string>;

TEST_F(ExamplesApi, AnExampleIsAFullPrediction) {
  EXPECT_EQ(listed(), Ids{});
  const std::string id = succeeded();
  const Reply made = mark(id);
  ASSERT_EQ(made.status, 201) << made.body;
  const json shown = made.json();
  EXPECT_EQ(shown["id"], id);
  EXPECT_EQ(shown["status"], "succeeded");
  EXPECT_EQ(shown["output"], "hi");
  EXPECT_EQ(shown["input"]["text"], "Alice");
  EXPECT_EQ(shown["version"], version_.id.hex());
  EXPECT_TRUE(shown["metrics"].contains("predict_time"));
  EXPECT_FALSE(shown.contains("webhook")) << "not for others";
  EXPECT_EQ(listed(), Ids{id});
  EXPECT_EQ(get("/v1/models/acme/hello").json()["default_example"], shown);
  EXPECT_EQ(mark(id).status, 200) << "again";
  EXPECT_EQ(listed(), Ids{id});
}

TEST_F(ExamplesApi, ItIsSeenByAllWhoSeeTheModelAndOutlivesThePrediction) {
  const std::string id = succeeded();
  const json shown = mark(id).json();
  const std::string path = "/v1/predictions/" + id;
  EXPECT_EQ(call("GET", kPath, "", as(stranger_token_)).status, 404);
  EXPECT_EQ(call("GET", path, "", as(stranger_token_)).status, 404);
  make_public();
  EXPECT_EQ(call("GET", kPath, "", as(stranger_token_)).json()["results"][0], shown);
  EXPECT_EQ(call("GET", path, "", as(stranger_token_)).json(), shown);
  EXPECT_EQ(call("POST", path + "/cancel", "", as(stranger_token_)).status, 404);
  let_two_days_pass();
  EXPECT_EQ(get(path).json()["output"], shown["output"]) << "its data is not removed";
}

TEST_F(ExamplesApi, ItsFilesAreKept) {
  const std::string input_file = upload("cat.png", "meow");
  plane_->scheduler.grant = grant_;
  json body = valid_body();
  body["input"]["text"] = input_file;
  const std::string id = post("/v1/predictions", body).json()["id"];
  const PredictionId prediction = *PredictionId::parse(id);
  const std::string out = output_file(prediction, "out put.png", "picture");
  complete_and_wait(finish_of(prediction, json{{"image", out}, {"again", {out}}}.dump()));
  const json shown = mark(id).json();
  EXPECT_EQ(shown["output"]["image"], out);
  EXPECT_TRUE(out.ends_with("/out%20put.png"));
  EXPECT_NE(shown["input"]["text"], input_file) << "an upload expires";
  let_two_days_pass();
  EXPECT_EQ(fetch(out).body, "picture");
  EXPECT_EQ(fetch(shown["input"]["text"]).body, "meow");
  EXPECT_EQ(get("/v1/models/acme/hello").json()["cover_image_url"], out);
  EXPECT_EQ(get(kPath).json()["results"][0], shown);

  EXPECT_EQ(call("DELETE", std::string(kPath) + "/" + id).status, 204);
  EXPECT_EQ(get("/v1/models/acme/hello").json()["cover_image_url"], nullptr);
  EXPECT_EQ(call("DELETE", std::string(kPath) + "/" + id).status, 404);
  let_two_days_pass();
  EXPECT_EQ(fetch(out).status, 404);
  EXPECT_EQ(get("/v1/predictions/" + id).json()["data_removed"], true);
}

TEST_F(ExamplesApi, AnAttemptThatFailsLeavesTheExampleOfAnother) {
  const std::string id = succeeded();
  ASSERT_EQ(mark(id).status, 201);
  ASSERT_TRUE(retention_.release_prediction(*PredictionId::parse(id)).ok());
  EXPECT_EQ(mark(id).status, 200);
  let_two_days_pass();
  EXPECT_EQ(get("/v1/predictions/" + id).json()["output"], "hi") << "its data is kept";
}

TEST_F(ExamplesApi, ListsShowNoLargeDefaultExample) {
  const std::string small = succeeded("small");
  const std::string large = succeeded("large", json(std::string(100'000, 'x')).dump());
  make_public();
  ASSERT_EQ(mark(large).status, 201);
  EXPECT_EQ(get("/v1/models/acme/hello").json()["default_example"]["id"], large);
  EXPECT_EQ(get("/v1/models").json()["results"][0]["default_example"], nullptr);
  EXPECT_EQ(get("/v1/search?query=hello").json()["models"][0]["model"]["default_example"], nullptr);
  ASSERT_EQ(mark(small).status, 201);
  const json body{{"prediction", small}};
  ASSERT_EQ(call("PUT", "/v1/models/acme/hello/default-example", body.dump()).status, 200);
  EXPECT_EQ(get("/v1/models").json()["results"][0]["default_example"]["id"], small);
}

TEST_F(ExamplesApi, PagesOfLargeExamplesEndEarly) {
  const std::string output = json(std::string(500'000, 'x')).dump();
  for (int i = 0; i < 18; ++i) {
    clock_.advance(std::chrono::seconds(1));
    ASSERT_EQ(mark(succeeded("x", output)).status, 201);
  }
  const json first = get(kPath).json();
  EXPECT_LT(first["results"].size(), 18U);
  const json second = fetch(first["next"]).json();
  EXPECT_EQ(first["results"].size() + second["results"].size(), 18U);
  EXPECT_EQ(second["next"], nullptr);
  EXPECT_EQ(fetch(second["previous"]).json()["results"], first["results"]);
  EXPECT_EQ(mark(succeeded("x", json(std::string(600'000, 'x')).dump())).status, 409);
}

TEST_F(ExamplesApi, DataThatIsGoneIsNoticed) {
  const std::string id = succeeded();
  let_two_days_pass();
  EXPECT_EQ(mark(id).status, 409);
  EXPECT_EQ(listed(), Ids{});
}

TEST_F(ExamplesApi, OnlyOnesOwnSuccessfulPredictionsOfTheModel) {
  EXPECT_EQ(mark("nonsense").status, 400);
  EXPECT_EQ(mark(ids_.next().str()).status, 400);
  EXPECT_EQ(post(kPath, json::object()).json()["errors"][0]["pointer"], "/prediction");
  const std::string running = post("/v1/predictions", valid_body()).json()["id"];
  EXPECT_EQ(mark(running).status, 409);
  const std::string id = succeeded();
  add_model(account_, "other", store::Visibility::kPrivate);
  EXPECT_EQ(post("/v1/models/acme/other/examples", {{"prediction", id}}).status, 400);
  make_public();
  EXPECT_EQ(post(kPath, {{"prediction", id}}, as(stranger_token_)).status, 403);
  EXPECT_EQ(call("DELETE", std::string(kPath) + "/" + id, "", as(stranger_token_)).status, 403);
}

TEST_F(ExamplesApi, TheOwnerChoosesTheDefault) {
  const std::string first = succeeded();
  const std::string second = succeeded();
  ASSERT_EQ(mark(first).status, 201);
  const std::string path = "/v1/models/acme/hello/default-example";
  const json body{{"prediction", second}};
  EXPECT_EQ(call("PUT", path, body.dump()).status, 400) << "no example yet";
  clock_.advance(std::chrono::seconds(1));
  ASSERT_EQ(mark(second).status, 201);
  EXPECT_EQ(get("/v1/models/acme/hello").json()["default_example"]["id"], first);
  const Reply changed = call("PUT", path, body.dump());
  EXPECT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(changed.json()["default_example"]["id"], second);
  EXPECT_EQ(listed(), (Ids{second, first})) << "newest first";
}

TEST_F(ExamplesApi, ExamplesArePaged) {
  Ids marked;
  for (int i = 0; i < 27; ++i) {
    marked.push_back(succeeded());
    clock_.advance(std::chrono::seconds(1));
    ASSERT_EQ(mark(marked.back()).status, 201);
  }
  const json first = get(kPath).json();
  ASSERT_EQ(first["results"].size(), 25U);
  EXPECT_EQ(first["results"][0]["id"], marked.back());
  const json second = fetch(first["next"]).json();
  ASSERT_EQ(second["results"].size(), 2U);
  EXPECT_EQ(second["results"][1]["id"], marked.front());
  EXPECT_EQ(fetch(second["previous"]).json()["results"], first["results"]);
  EXPECT_EQ(get(std::string(kPath) + "?cursor=cD14").status, 400);
}

}  // namespace
}  // namespace mimeo::control
