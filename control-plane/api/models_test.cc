#include <set>

#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

class ModelsApi : public ApiTest {
 protected:
  static json new_model(const char* name) {
    return {{"owner", "acme"}, {"name", name}, {"visibility", "public"}, {"hardware", "cpu"}};
  }
  std::vector<std::string> names(const json& page) {
    std::vector<std::string> out;
    for (const json& model : page["results"]) out.push_back(model["name"]);
    return out;
  }
};

TEST_F(ModelsApi, CreateAnswersWithAnEmptyModel) {
  json body = new_model("fresh");
  body["description"] = "d";
  const Reply reply = post("/v1/models", body);
  EXPECT_EQ(reply.status, 201) << reply.body;
  const json shown = reply.json();
  EXPECT_EQ(shown["url"], "https://mimeo.example/acme/fresh");
  EXPECT_EQ(shown["description"], "d");
  EXPECT_EQ(shown["run_count"], 0);
  EXPECT_EQ(shown["latest_version"], nullptr);
  EXPECT_EQ(shown["default_example"], nullptr);
  EXPECT_EQ(get("/v1/models/acme/fresh").json(), shown);
}

TEST_F(ModelsApi, AWrongHardwareListsTheRightOnes) {
  json body = new_model("x");
  body["hardware"] = "gpu-none";
  const Reply reply = post("/v1/models", body);
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.json(), json::parse(R"({"status":400,"title":"Validation failed",
    "detail":"The following errors occurred:\n- hardware: gpu-none is not a valid hardware SKU. Your options are: cpu, gpu-t4.",
    "errors":[{"pointer":"/hardware","detail":"gpu-none is not a valid hardware SKU. Your options are: cpu, gpu-t4."}]})"));
}

TEST_F(ModelsApi, AllThatIsWrongIsNamedAtOnce) {
  const Reply reply =
      post("/v1/models", {{"name", "Bad Name"}, {"visibility", "secret"}, {"hardware", 7}});
  EXPECT_EQ(reply.status, 400);
  std::set<std::string> pointers;
  const json shown = reply.json();
  for (const json& e : shown["errors"]) pointers.insert(e["pointer"]);
  EXPECT_EQ(pointers, (std::set<std::string>{"/owner", "/name", "/visibility", "/hardware"}));
  EXPECT_EQ(call("POST", "/v1/models", "[]").status, 400);
  EXPECT_EQ(call("POST", "/v1/models", "{").status, 400);
}

TEST_F(ModelsApi, ForAnotherOwnerIsForbidden) {
  json body = new_model("x");
  body["owner"] = "stranger";
  EXPECT_EQ(post("/v1/models", body).status, 403);
}

TEST_F(ModelsApi, ADuplicateIsAConflictWithTheKnownSentence) {
  const Reply reply = post("/v1/models", new_model("hello"));
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(reply.json()["errors"][0]["detail"],
            "A model with that name and owner already exists.");
}

TEST_F(ModelsApi, PatchChangesExactlyItsSixFields) {
  const Reply reply = call("PATCH", "/v1/models/acme/hello",
                           R"({"description":"new","github_url":"https://g","paper_url":"https://p",
                               "license_url":"https://l","weights_url":"https://w","readme":"# Hi"})");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["description"], "new");
  EXPECT_EQ(reply.json()["visibility"], "private");
  EXPECT_EQ(reply.json()["run_count"], 0);
  EXPECT_EQ(reply.json()["latest_version"]["id"], version_.id.hex());
  const Reply readme = get("/v1/models/acme/hello/readme");
  EXPECT_EQ(readme.status, 200);
  EXPECT_EQ(readme.body, "# Hi");
  EXPECT_TRUE(readme.header("Content-Type").starts_with("text/plain"));
  EXPECT_EQ(call("PATCH", "/v1/models/acme/hello", R"({"description":null})").json()["description"],
            nullptr);
  EXPECT_EQ(call("PATCH", "/v1/models/acme/hello", R"({"description":5})").status, 400);
  const Reply other =
      call("PATCH", "/v1/models/acme/hello", R"({"description":"x","visibility":"public"})");
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.json()["errors"][0]["pointer"], "/visibility");
  EXPECT_EQ(get("/v1/models/acme/hello").json()["description"], nullptr) << "nothing was changed";
}

TEST_F(ModelsApi, AnAccountHasAtMostAThousandModels) {
  store::Model model;
  model.owner_id = account_.id;
  while (*discovery_.count_models(account_.id) < 1'000) {
    model.name = "m" + std::to_string(*discovery_.count_models(account_.id));
    ASSERT_TRUE(store_.create_model(model).ok());
  }
  const Reply reply = post("/v1/models", new_model("one-more"));
  EXPECT_EQ(reply.status, 409);
  EXPECT_NE(reply.json()["detail"].get<std::string>().find("1,000"), std::string::npos);
}

TEST_F(ModelsApi, OnlyTheOwnerChangesAModel) {
  add_model(stranger_, "theirs", store::Visibility::kPublic);
  EXPECT_EQ(get("/v1/models/stranger/theirs").status, 200);
  EXPECT_EQ(call("PATCH", "/v1/models/stranger/theirs", "{}").status, 403);
  EXPECT_EQ(call("DELETE", "/v1/models/stranger/theirs").status, 403);
  EXPECT_EQ(call("PATCH", "/v1/models/acme/hello", "{}", as(stranger_token_)).status, 404);
}

TEST_F(ModelsApi, OnlyPrivateModelsWithoutVersionsAreDeleted) {
  EXPECT_EQ(call("DELETE", "/v1/models/acme/hello").status, 409);
  add_model(account_, "shown", store::Visibility::kPublic);
  EXPECT_EQ(call("DELETE", "/v1/models/acme/shown").status, 409);
  add_model(account_, "gone", store::Visibility::kPrivate);
  const Reply reply = call("DELETE", "/v1/models/acme/gone");
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.body, "");
  EXPECT_EQ(get("/v1/models/acme/gone").status, 404);
}

TEST_F(ModelsApi, NoReadmeIsNotFound) {
  EXPECT_EQ(get("/v1/models/acme/hello/readme").status, 404);
}

TEST_F(ModelsApi, ListsPublicModelsInBothOrders) {
  for (int i = 0; i < 30; ++i) {
    add_model(account_, "m" + std::to_string(i), store::Visibility::kPublic);
  }
  add_model(account_, "hidden", store::Visibility::kPrivate);
  const json first = get("/v1/models?sort_by=model_created_at").json();
  ASSERT_EQ(first["results"].size(), 25U);
  EXPECT_EQ(first["results"][0]["name"], "m29");
  const std::string next = first["next"].get<std::string>();
  EXPECT_TRUE(next.starts_with("https://mimeo.example/v1/models?sort_by=model_created_at&cursor="))
      << next;
  const json second = get(next.substr(std::string("https://mimeo.example").size())).json();
  EXPECT_EQ(names(second), (std::vector<std::string>{"m4", "m3", "m2", "m1", "m0"}));
  EXPECT_EQ(second["next"], nullptr);
  EXPECT_EQ(first["previous"], nullptr);
  add_model(account_, "newer", store::Visibility::kPublic);
  const std::string previous = second["previous"].get<std::string>();
  const json back = get(previous.substr(std::string("https://mimeo.example").size())).json();
  EXPECT_EQ(names(back), names(first)) << "what came meanwhile shifts nothing";
  EXPECT_EQ(back["next"], next);
  const json ascending = get("/v1/models?sort_by=model_created_at&sort_direction=asc").json();
  EXPECT_EQ(ascending["results"][0]["name"], "m0");
  EXPECT_EQ(get("/v1/models?sort_by=name").status, 400);
  EXPECT_EQ(get("/v1/models?sort_direction=up").status, 400);
  EXPECT_EQ(get("/v1/models?query=x&sort_direction=up").status, 400);
  EXPECT_EQ(get("/v1/models?query=x&sort_direction=asc").status, 200);
  EXPECT_EQ(get("/v1/models?cursor=cD14").status, 400);
}

TEST_F(ModelsApi, QueryAcceptsTextInEverySpelling) {
  add_model(account_, "llama", store::Visibility::kPublic);
  add_model(account_, "cat", store::Visibility::kPublic);
  for (const char* body : {"llama", "\"llama\"", " \"llama\" "}) {
    const Reply reply = call("QUERY", "/v1/models", body, {{"Content-Type", "text/plain"}});
    EXPECT_EQ(reply.status, 200) << body;
    EXPECT_EQ(names(reply.json()), std::vector<std::string>{"llama"}) << body;
  }
  EXPECT_EQ(call("QUERY", "/v1/models", "\xff\xfe").status, 200);
}

TEST_F(ModelsApi, SearchNeedsNoTokenAndHasFourKeys) {
  add_model(account_, "llama", store::Visibility::kPublic);
  const Reply reply = call("GET", "/v1/search?query=llama&limit=500", "", {{"Authorization", ""}});
  EXPECT_EQ(reply.status, 200);
  const json body = reply.json();
  EXPECT_EQ(body["query"], "llama");
  EXPECT_EQ(body["models"][0]["model"]["name"], "llama");
  EXPECT_TRUE(body["models"][0]["metadata"]["tags"].is_array());
  EXPECT_TRUE(body["collections"].is_array());
  EXPECT_TRUE(body["pages"].is_array());
  EXPECT_EQ(get("/v1/search").json(),
            json::parse(R"({"detail":"Query parameter \"query\" is required"})"));
  EXPECT_EQ(get("/v1/search").status, 400);
  EXPECT_EQ(get("/v1/search?query=x&limit=a").status, 400);
}

TEST_F(ModelsApi, VersionsAreListedNewestFirst) {
  const json page = get("/v1/models/acme/hello/versions").json();
  ASSERT_EQ(page["results"].size(), 2U);
  EXPECT_EQ(page["results"][0]["id"], version_.id.hex());
  EXPECT_EQ(page["results"][0]["cog_version"], "0.9.4");
  EXPECT_TRUE(page["results"][0]["openapi_schema"]["components"]["schemas"].contains("Input"));
  EXPECT_EQ(get("/v1/models/acme/none/versions").status, 404);
  EXPECT_EQ(call("GET", "/v1/models/acme/hello/versions", "", as(stranger_token_)).status, 404);
}

TEST_F(ModelsApi, TheOwnerReadsWhyAPushDidNotBecomeAVersion) {
  ASSERT_EQ(post("/v1/models", new_model("odd")).status, 201);
  store::Version refused;
  refused.id = *VersionId::parse(std::string(64, 'e'));
  refused.model = store_.get_model("acme", "odd", 0)->id;
  refused.state = store::VersionState::kRefused;
  refused.refusal = "it has no label run.cog.version";
  refused.image_digest = "sha256:" + refused.id.hex();
  ASSERT_TRUE(store_.put_version(refused).ok());
  const std::string path = "/v1/models/acme/odd/versions/" + refused.id.hex();
  const auto reply = get(path);
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.json()["detail"], "The push of " + refused.image_digest +
                                        " did not become a version: " + refused.refusal);
  const std::string input = R"({"input":{}})";
  const auto run = call("POST", "/v1/models/acme/odd/predictions", input);
  EXPECT_EQ(run.status, 404);
  EXPECT_EQ(run.json()["detail"], reply.json()["detail"]);
  EXPECT_EQ(call("GET", path, "", as(stranger_token_)).json()["detail"],
            "The requested resource could not be found.");
}

TEST_F(ModelsApi, AVersionBelongsToItsModel) {
  const std::string id = version_.id.hex();
  EXPECT_EQ(get("/v1/models/acme/hello/versions/" + id).json()["id"], id);
  EXPECT_EQ(get("/v1/models/acme/other/versions/" + id).status, 404);
  EXPECT_EQ(get("/v1/models/acme/hello/versions/latest").status, 404);
  EXPECT_EQ(get("/v1/models/acme/hello/versions/" + std::string(64, 'f')).status, 404);
}

TEST_F(ModelsApi, AVersionIsDeletedUnlessItIsPublicOrForeign) {
  const std::string path = "/v1/models/acme/hello/versions/" + version_.id.hex();
  EXPECT_EQ(call("DELETE", path, "", as(stranger_token_)).status, 404);
  const Reply reply = call("DELETE", path);
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.body, "");
  EXPECT_EQ(get(path).status, 404);
  EXPECT_EQ(post("/v1/predictions", valid_body()).status, 422);
  const store::Model shown = add_model(account_, "shown", store::Visibility::kPublic);
  add_version(shown.id, 'd', kSchema);
  EXPECT_EQ(call("DELETE", "/v1/models/acme/shown/versions/" + std::string(64, 'd')).status, 409);
}

}  // namespace
}  // namespace mimeo::control
