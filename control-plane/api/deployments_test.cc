#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

class DeploymentsApi : public ApiTest {
 protected:
  json body(const char* name = "app") {
    return {{"name", name},      {"model", "acme/hello"}, {"version", version_.id.hex()},
            {"hardware", "cpu"}, {"min_instances", 0},    {"max_instances", 2}};
  }
  std::string detail_of(const json& wanted) {
    const Reply reply = post("/v1/deployments", wanted);
    EXPECT_EQ(reply.status, 400) << reply.body;
    return reply.json()["detail"];
  }
};

TEST_F(DeploymentsApi, CreateEchoesExactlyWhatWasSent) {
  const Reply reply = post("/v1/deployments", body());
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json shown = reply.json();
  EXPECT_EQ(shown["owner"], "acme");
  EXPECT_EQ(shown["name"], "app");
  const json release = shown["current_release"];
  EXPECT_EQ(release["number"], 1);
  EXPECT_EQ(release["model"], "acme/hello");
  EXPECT_EQ(release["version"], version_.id.hex());
  EXPECT_EQ(release["created_by"]["username"], "acme");
  EXPECT_EQ(release["configuration"],
            json::parse(R"({"hardware":"cpu","min_instances":0,"max_instances":2})"));
  EXPECT_EQ(get("/v1/deployments/acme/app").json(), shown);
  EXPECT_EQ(get("/v1/deployments").json()["results"][0], shown);
}

TEST_F(DeploymentsApi, TheOwnerBeforeTheNameIsDropped) {
  EXPECT_EQ(post("/v1/deployments", body("acme/app")).json()["name"], "app");
}

TEST_F(DeploymentsApi, BoundsAndReferencesAreChecked) {
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, json>>{{"min_instances", 6},
                                                 {"min_instances", -1},
                                                 {"max_instances", 21},
                                                 {"min_instances", 3},
                                                 {"min_instances", "1"},
                                                 {"min_instances", 0.5},
                                                 {"hardware", "tpu"},
                                                 {"version", std::string(64, '0')},
                                                 {"version", "latest"},
                                                 {"model", "acme/none"},
                                                 {"model", "stranger/x"},
                                                 {"name", "Bad Name"},
                                                 {"name", ""},
                                                 {"max_instances", 1e30}}) {
    json wanted = body();
    wanted[key] = value;
    const std::string detail = detail_of(wanted);
    EXPECT_NE(detail.find("The following errors occurred:\n- "), std::string::npos) << key << value;
  }
  EXPECT_NE(detail_of(json::object()).find("max_instances: This field is required."),
            std::string::npos);
}

TEST_F(DeploymentsApi, ADuplicateIsAConflict) {
  EXPECT_EQ(post("/v1/deployments", body()).status, 200);
  EXPECT_EQ(post("/v1/deployments", body()).status, 409);
}

TEST_F(DeploymentsApi, PatchMakesAReleaseOnlyOnChange) {
  (void)post("/v1/deployments", body());
  const std::string path = "/v1/deployments/acme/app";
  const json same = call("PATCH", path, R"({"max_instances":2,"model":"acme/hello"})").json();
  EXPECT_EQ(same["current_release"]["number"], 1);
  const json changed = call("PATCH", path, R"({"max_instances":4})").json();
  EXPECT_EQ(changed["current_release"]["number"], 2);
  EXPECT_EQ(changed["current_release"]["configuration"],
            json::parse(R"({"hardware":"cpu","min_instances":0,"max_instances":4})"));
  EXPECT_EQ(call("PATCH", path, R"({"model":"acme/other"})").status, 400);
  EXPECT_EQ(call("PATCH", path, R"({"min_instances":5})").status, 400);  // Above max_instances.
  EXPECT_EQ(call("PATCH", path, R"({"version":"x"})").status, 400);
  EXPECT_EQ(call("PATCH", path, "[").status, 400);
}

TEST_F(DeploymentsApi, OthersDeploymentsAreNotThere) {
  (void)post("/v1/deployments", body());
  const Fields stranger = as(stranger_token_);
  const std::string path = "/v1/deployments/acme/app";
  EXPECT_EQ(call("GET", path, "", stranger).status, 404);
  EXPECT_EQ(call("PATCH", path, "{}", stranger).status, 404);
  EXPECT_EQ(call("DELETE", path, "", stranger).status, 404);
  EXPECT_EQ(post(path + "/predictions", {{"input", {{"text", "x"}}}}, stranger).status, 404);
  EXPECT_EQ(call("GET", "/v1/deployments", "", stranger).json()["results"].size(), 0U);
  EXPECT_EQ(get("/v1/deployments/acme/none").status, 404);
}

TEST_F(DeploymentsApi, PredictionsNameTheirDeployment) {
  (void)post("/v1/deployments", body());
  const std::string path = "/v1/deployments/acme/app/predictions";
  const Reply reply = post(path, {{"input", {{"text", "x"}}}}, {{"Cancel-After", "30"}});
  ASSERT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.json()["deployment"], "acme/app");
  EXPECT_EQ(reply.json()["version"], version_.id.hex());
  EXPECT_TRUE(reply.json().contains("deadline"));
  EXPECT_EQ(post(path, {{"input", json::object()}}).status, 422);
}

TEST_F(DeploymentsApi, StoppingItCancelsAndRefuses) {
  (void)post("/v1/deployments", body());
  const std::string path = "/v1/deployments/acme/app";
  const std::string id = post(path + "/predictions", {{"input", {{"text", "x"}}}}).json()["id"];
  EXPECT_EQ(call("PATCH", path, R"({"max_instances":0})").status, 200);
  loop_.drive([&] {
    return store_.get(*PredictionId::parse(id), 0)->status == PredictionStatus::kCanceled;
  });
  const Reply refused = post(path + "/predictions", {{"input", {{"text", "x"}}}});
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.json()["title"], "Deployment disabled");
}

TEST_F(DeploymentsApi, OneThatWasNeverUsedIsDeleted) {
  (void)post("/v1/deployments", body());
  const Reply reply = call("DELETE", "/v1/deployments/acme/app");
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(get("/v1/deployments/acme/app").status, 404);
}

TEST_F(DeploymentsApi, OneInUseIsNotDeleted) {
  (void)post("/v1/deployments", body());
  (void)post("/v1/deployments/acme/app/predictions", {{"input", {{"text", "x"}}}});
  const Reply reply = call("DELETE", "/v1/deployments/acme/app");
  EXPECT_EQ(reply.status, 409);
  EXPECT_NE(reply.json()["detail"], "");
}

}  // namespace
}  // namespace mimeo::control
