// Search, collections, official models, and pages of versions and deployments.
#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

class DiscoveryApi : public ApiTest {
 protected:
  static std::vector<std::string> names(const json& page) {
    std::vector<std::string> out;
    for (const json& model : page["results"]) out.push_back(model["name"]);
    return out;
  }
  std::vector<std::string> found(const std::string& query, const Fields& fields = {}) {
    const Reply reply = call("GET", "/v1/search?query=" + query, "", fields);
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<std::string> out;
    const json body = reply.json();
    for (const json& hit : body["models"]) out.push_back(hit["model"]["name"]);
    return out;
  }
  json follow(const json& link) {
    return get(link.get<std::string>().substr(std::string("https://mimeo.example").size())).json();
  }
  // Public, with a schema of 1 MB.
  store::Model add_large_model(const std::string& name, char digit, std::size_t number) {
    store::Model model = add_model(account_, name, store::Visibility::kPublic);
    store::Version version;
    version.id = *VersionId::parse(std::string(62, digit) + std::to_string(10 + number));
    version.model = model.id;
    version.cog_version = "0.9.4";
    version.openapi_schema = json{{"info", std::string(1'000'000, 'x')}}.dump();
    version.created_at = clock_.now();
    EXPECT_TRUE(store_.put_version(version).ok());
    return model;
  }
  void add_collection(const std::string& slug) {
    store::Collection collection;
    collection.slug = slug;
    collection.name = "The " + slug;
    collection.description = "About " + slug;
    collection.full_description = "# " + slug;
    ASSERT_TRUE(discovery_.create_collection(collection).ok());
  }
};

using Names = std::vector<std::string>;

TEST_F(DiscoveryApi, SearchShowsPublicModelsAndTheCallersOwn) {
  add_model(account_, "llama-private", store::Visibility::kPrivate);
  add_model(account_, "llama-open", store::Visibility::kPublic);
  EXPECT_EQ(found("llama", {{"Authorization", ""}}), Names{"llama-open"});
  EXPECT_EQ(found("llama", as(stranger_token_)), Names{"llama-open"});
  EXPECT_EQ(found("llama").size(), 2U);
  EXPECT_EQ(found("lama-open"), Names{"llama-open"}) << "a typo";
  EXPECT_EQ(names(call("QUERY", "/v1/models", "llama").json()), Names{"llama-open"})
      << "of the public models";
}

TEST_F(DiscoveryApi, SearchRanksTagsAndBounds) {
  const store::Model exact = add_model(account_, "llama", store::Visibility::kPublic);
  add_model(account_, "llama-chat", store::Visibility::kPublic);
  add_collection("chatty");
  ASSERT_TRUE(discovery_.add_to_collection("chatty", exact.id, std::nullopt).ok());
  const json first = get("/v1/search?query=llama&limit=1").json();
  ASSERT_EQ(first["models"].size(), 1U);
  EXPECT_EQ(first["models"][0]["model"]["name"], "llama");
  EXPECT_EQ(first["models"][0]["metadata"]["score"], 1.0);
  EXPECT_EQ(first["models"][0]["metadata"]["tags"], json::array({"chatty"}));
  EXPECT_EQ(get("/v1/search?query=llama").json()["models"].size(), 2U);
  const json body = get("/v1/search?query=chatty").json();
  EXPECT_EQ(body["collections"],
            json::parse(R"([{"name":"The chatty","slug":"chatty","description":"About chatty",
                             "models":["acme/llama"]}])"));
  EXPECT_EQ(body["pages"], json::array());
  EXPECT_EQ(get("/v1/search?query=" + std::string(1'001, 'x')).status, 400);
  EXPECT_EQ(get("/v1/search?query=%25%25").json()["models"].size(), 0U);
}

TEST_F(DiscoveryApi, AQueryIsPagedByScore) {
  for (int i = 0; i < 30; ++i) {
    add_model(account_, "robot-" + std::to_string(i), store::Visibility::kPublic);
  }
  const json first = call("QUERY", "/v1/models", "robot").json();
  ASSERT_EQ(first["results"].size(), 25U);
  EXPECT_EQ(first["previous"], nullptr);
  const std::string next = first["next"];
  const Reply reply =
      call("QUERY", next.substr(std::string("https://mimeo.example").size()), "robot");
  const json second = reply.json();
  EXPECT_EQ(second["results"].size(), 5U);
  EXPECT_EQ(second["next"], nullptr);
  const std::string previous = second["previous"];
  const json back =
      call("QUERY", previous.substr(std::string("https://mimeo.example").size()), "robot").json();
  EXPECT_EQ(names(back), names(first));
  EXPECT_EQ(call("QUERY", "/v1/models?cursor=cD14", "robot").status, 400);
  EXPECT_EQ(call("QUERY", "/v1/models", std::string(1'001, 'x')).status, 400);
  EXPECT_EQ(names(call("QUERY", "/v1/models", "").json()).size(), 25U) << "everything fits";
}

TEST_F(DiscoveryApi, ClientsFollowTheLinksOfAQueryWithGet) {
  for (int i = 0; i < 30; ++i) {
    add_model(account_, "robot-" + std::to_string(i), store::Visibility::kPublic);
  }
  add_model(account_, "other", store::Visibility::kPublic);
  const json first = call("QUERY", "/v1/models", "robot").json();
  const json second = follow(first["next"]);
  EXPECT_EQ(second["results"].size(), 5U);
  EXPECT_EQ(second["next"], nullptr);
  EXPECT_EQ(follow(second["previous"])["results"], first["results"]);
  EXPECT_EQ(get("/v1/models?query=robot").json(), first);
  EXPECT_EQ(call("QUERY", "/v1/models?query=robot", "").json(), first);
  EXPECT_EQ(names(call("QUERY", "/v1/models?query=robot", "other").json()), Names{"other"})
      << "the body counts";
  EXPECT_EQ(get("/v1/models?query=" + std::string(1'001, 'x')).status, 400);

  const std::string of_search = first["next"].get<std::string>();
  const std::string of_list = get("/v1/models").json()["next"].get<std::string>();
  const auto cursor_of = [](const std::string& link) { return link.substr(link.find("cursor=")); };
  EXPECT_EQ(get("/v1/models?" + cursor_of(of_search)).status, 400) << "another kind of page";
  EXPECT_EQ(get("/v1/models?query=robot&" + cursor_of(of_list)).status, 400);
}

TEST_F(DiscoveryApi, ListsOfModelsWithLargeSchemasEndEarly) {
  constexpr std::size_t kModels = 11;
  for (std::size_t i = 0; i < kModels; ++i) {
    add_large_model("robot-" + std::to_string(10 + i), static_cast<char>('c' + i % 4), i);
  }
  std::set<std::string> seen;
  std::vector<json> pages;
  for (json page = get("/v1/models").json();; page = follow(page["next"])) {
    EXPECT_LE(page.dump().size(), std::size_t{9} << 20);
    for (const json& model : page["results"]) {
      EXPECT_NE(model["latest_version"], nullptr);
      EXPECT_TRUE(seen.insert(model["name"]).second) << "twice";
    }
    pages.push_back(page);
    if (page["next"].is_null()) break;
  }
  EXPECT_EQ(seen.size(), kModels);
  EXPECT_EQ(pages.size(), 2U);
  EXPECT_EQ(follow(pages[1]["previous"])["results"], pages[0]["results"]);

  const json found = call("QUERY", "/v1/models", "robot").json();
  EXPECT_LT(found["results"].size(), kModels);
  EXPECT_EQ(found["results"].size() + follow(found["next"])["results"].size(), kModels);
}

TEST_F(DiscoveryApi, WhatHasNoPagesShowsLessOfModelsThatDoNotFit) {
  add_collection("large");
  for (std::size_t i = 0; i < 11; ++i) {
    const store::Model model =
        add_large_model("robot-" + std::to_string(10 + i), static_cast<char>('c' + i % 4), i);
    ASSERT_TRUE(discovery_.add_to_collection("large", model.id, std::nullopt).ok());
  }
  const json models = get("/v1/collections/large").json()["models"];
  ASSERT_EQ(models.size(), 11U) << "all of them";
  EXPECT_NE(models[0]["latest_version"], nullptr);
  EXPECT_EQ(models[10]["latest_version"], nullptr);
  const Reply hits = get("/v1/search?query=robot");
  EXPECT_LE(hits.body.size(), std::size_t{9} << 20);
  EXPECT_EQ(hits.json()["models"].size(), 11U);
}

TEST_F(DiscoveryApi, ACollectionShowsModelsThatTheCallerMaySee) {
  EXPECT_EQ(get("/v1/collections").json(),
            json::parse(R"({"next":null,"previous":null,"results":[]})"));
  EXPECT_EQ(get("/v1/collections/pictures").status, 404);
  add_collection("pictures");
  const store::Model open = add_model(account_, "open", store::Visibility::kPublic);
  ASSERT_TRUE(discovery_.add_to_collection("pictures", open.id, std::nullopt).ok());
  ASSERT_TRUE(discovery_.add_to_collection("pictures", model_.id, 0).ok());
  EXPECT_EQ(get("/v1/collections").json()["results"],
            json::parse(R"([{"name":"The pictures","slug":"pictures",
                             "description":"About pictures"}])"));
  const json shown = get("/v1/collections/pictures").json();
  EXPECT_EQ(shown["full_description"], "# pictures");
  ASSERT_EQ(shown["models"].size(), 2U);
  EXPECT_EQ(shown["models"][0], get("/v1/models/acme/hello").json()) << "full objects, in order";
  const json others = call("GET", "/v1/collections/pictures", "", as(stranger_token_)).json();
  ASSERT_EQ(others["models"].size(), 1U);
  EXPECT_EQ(others["models"][0]["name"], "open");
}

TEST_F(DiscoveryApi, CollectionsArePaged) {
  for (int i = 0; i < 101; ++i) add_collection("c" + std::to_string(1000 + i));
  const json first = get("/v1/collections").json();
  EXPECT_EQ(first["results"].size(), 100U);
  const json second = follow(first["next"]);
  ASSERT_EQ(second["results"].size(), 1U);
  EXPECT_EQ(second["results"][0]["slug"], "c1100");
  EXPECT_EQ(follow(second["previous"])["results"], first["results"]);
}

TEST_F(DiscoveryApi, AnOfficialModelHidesItsVersions) {
  ASSERT_TRUE(discovery_.set_official(model_.id, true).ok());
  EXPECT_EQ(get("/v1/models/acme/hello").json()["is_official"], true);
  EXPECT_NE(get("/v1/models/acme/hello").json()["latest_version"], nullptr)
      << "clients read the schema in it";
  EXPECT_EQ(get("/v1/models/acme/hello/versions").json(),
            json::parse(R"({"next":null,"previous":null,"results":[]})"));
  EXPECT_EQ(call("GET", "/v1/models/acme/hello/versions", "", as(stranger_token_)).status, 404);
  clock_.advance(std::chrono::seconds(10));
  const json made = post("/v1/models/acme/hello/predictions", {{"input", {{"text", "x"}}}}).json();
  EXPECT_EQ(made["version"], "hidden");
  const std::string id = made["id"];
  EXPECT_EQ(get("/v1/predictions/" + id).json()["version"], "hidden");
  EXPECT_EQ(get("/v1/predictions").json()["results"][0]["version"], "hidden");
  EXPECT_EQ(call("POST", "/v1/predictions/" + id + "/cancel").json()["version"], "hidden");
}

TEST_F(DiscoveryApi, OthersShowTheirVersion) {
  const json made = post("/v1/models/acme/hello/predictions", {{"input", {{"text", "x"}}}}).json();
  EXPECT_EQ(made["version"], version_.id.hex());
  EXPECT_EQ(get("/v1/models/acme/hello").json()["is_official"], false);
}

TEST_F(DiscoveryApi, VersionsArePagedInBothDirections) {
  for (int i = 0; i < 30; ++i) {
    store::Version version = version_;
    std::string hex = std::string(62, 'c') + std::to_string(10 + i);
    version.id = *VersionId::parse(hex);
    version.created_at = clock_.now();  // All at once.
    ASSERT_TRUE(store_.put_version(version).ok());
  }
  const json first = get("/v1/models/acme/hello/versions").json();
  ASSERT_EQ(first["results"].size(), 25U);
  const json second = follow(first["next"]);
  EXPECT_EQ(second["results"].size(), 7U);
  EXPECT_EQ(second["next"], nullptr);
  EXPECT_EQ(follow(second["previous"])["results"], first["results"]);
  std::set<std::string> ids;
  for (const json& page : {first, second}) {
    for (const json& version : page["results"]) ids.insert(version["id"]);
  }
  EXPECT_EQ(ids.size(), 32U) << "none twice, none missing";
  EXPECT_EQ(get("/v1/models/acme/hello/versions?cursor=cD0xLng=").status, 400);
}

TEST_F(DiscoveryApi, DeploymentsArePagedInBothDirections) {
  for (int i = 0; i < 27; ++i) {
    const Reply reply = post("/v1/deployments", {{"name", "d" + std::to_string(i)},
                                                 {"model", "acme/hello"},
                                                 {"version", version_.id.hex()},
                                                 {"hardware", "cpu"},
                                                 {"min_instances", 0},
                                                 {"max_instances", 1}});
    ASSERT_EQ(reply.status, 200) << reply.body;
  }
  const json first = get("/v1/deployments").json();
  ASSERT_EQ(first["results"].size(), 25U);
  const json second = follow(first["next"]);
  EXPECT_EQ(second["results"].size(), 2U);
  EXPECT_EQ(follow(second["previous"])["results"], first["results"]);
  EXPECT_EQ(get("/v1/deployments?cursor=cD0xLng=").status, 400);
}

TEST_F(DiscoveryApi, AVersionThatOthersRanIsNotDeleted) {
  store::ModelChange change;
  change.visibility = store::Visibility::kPublic;
  ASSERT_TRUE(store_.update_model(model_.id, change).ok());
  EXPECT_EQ(post("/v1/predictions", valid_body(), as(stranger_token_)).status, 201);
  change.visibility = store::Visibility::kPrivate;
  ASSERT_TRUE(store_.update_model(model_.id, change).ok());
  const std::string path = "/v1/models/acme/hello/versions/" + version_.id.hex();
  const Reply refused = call("DELETE", path);
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.json()["detail"].get<std::string>().find("somebody else"), std::string::npos);
  EXPECT_EQ(get(path).status, 200);
}

TEST_F(DiscoveryApi, AVersionThatADeploymentUsesIsNotDeleted) {
  (void)post("/v1/deployments", {{"name", "app"},
                                 {"model", "acme/hello"},
                                 {"version", version_.id.hex()},
                                 {"hardware", "cpu"},
                                 {"min_instances", 0},
                                 {"max_instances", 1}});
  const Reply refused = call("DELETE", "/v1/models/acme/hello/versions/" + version_.id.hex());
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.json()["detail"].get<std::string>().find("acme/app"), std::string::npos);
}

}  // namespace
}  // namespace mimeo::control
