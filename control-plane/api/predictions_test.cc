#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

class PredictionsApi : public ApiTest {
 protected:
  // The description of the only problem, or the whole body.
  std::string problem_of(const json& body, const std::string& path = "/v1/predictions") {
    const Reply reply = post(path, body);
    const json shown = reply.json();
    if (reply.status != 422 || !shown.contains("invalid_fields")) return reply.body;
    std::string out;
    for (const json& p : shown["invalid_fields"]) {
      out += p["type"].get<std::string>() + "|" + p["field"].get<std::string>() + "|" +
             p["description"].get<std::string>() + ";";
    }
    return out;
  }
};

TEST_F(PredictionsApi, CreateAnswers201AndStarting) {
  const Reply reply = post("/v1/predictions", valid_body());
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.header("Content-Type"), "application/json");
  const json body = reply.json();
  EXPECT_EQ(body["status"], "starting");
  EXPECT_EQ(body["model"], "acme/hello");
  EXPECT_EQ(body["version"], version_.id.hex());
  EXPECT_EQ(body["input"], json::parse(R"({"text":"Alice"})"));
  EXPECT_EQ(body["output"], nullptr);
  EXPECT_EQ(body["logs"], "");
  EXPECT_EQ(body["id"].get<std::string>().size(), 26U);
  EXPECT_EQ(reply.header("Location"), body["urls"]["get"]);
  EXPECT_EQ(reply.header("Preference-Applied"), "");
  EXPECT_TRUE(body["urls"]["stream"].get<std::string>().starts_with(
      "https://mimeo.example/v1/streams/" + body["id"].get<std::string>()));
}

TEST_F(PredictionsApi, TheVersionMayBeNamedInThreeWays) {
  json body = valid_body();
  for (const std::string& name :
       {version_.id.hex(), "acme/hello:" + version_.id.hex(), std::string("acme/hello")}) {
    body["version"] = name;
    const Reply reply = post("/v1/predictions", body);
    EXPECT_EQ(reply.status, 201) << name << reply.body;
    EXPECT_EQ(reply.json()["version"], version_.id.hex());
  }
}

TEST_F(PredictionsApi, OtherVersionsAreInvalidOrNotPermitted) {
  json body = valid_body();
  for (const std::string& name :
       {std::string(64, '0'), std::string("latest"), std::string("acme/hello:latest"),
        std::string("../../etc/passwd"), std::string(""), std::string("acme/none"),
        "acme/other:" + version_.id.hex(), std::string("a/b/c")}) {
    body["version"] = name;
    const Reply reply = post("/v1/predictions", body);
    EXPECT_EQ(reply.status, 422) << name;
    EXPECT_EQ(reply.json()["title"], "Invalid version or not permitted") << name;
  }
}

TEST_F(PredictionsApi, SomeoneElsesPrivateModelDoesNotExist) {
  const Fields stranger = as(stranger_token_);
  EXPECT_EQ(call("GET", "/v1/models/acme/hello", "", stranger).status, 404);
  EXPECT_EQ(
      post("/v1/models/acme/hello/predictions", {{"input", {{"text", "x"}}}}, stranger).status,
      404);
  EXPECT_EQ(post("/v1/predictions", valid_body(), stranger).status, 422);
}

TEST_F(PredictionsApi, TheLatestVersionOfAModelRuns) {
  const Reply reply = post("/v1/models/acme/hello/predictions", {{"input", {{"text", "x"}}}});
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.json()["version"], version_.id.hex());
  add_model(account_, "empty", store::Visibility::kPrivate);
  EXPECT_EQ(post("/v1/models/acme/empty/predictions", {{"input", {{"text", "x"}}}}).status, 404);
  EXPECT_EQ(post("/v1/models/acme/none/predictions", {{"input", {{"text", "x"}}}}).status, 404);
}

TEST_F(PredictionsApi, ProblemsOfTheBodyHaveNoField) {
  EXPECT_EQ(problem_of({{"model", "x"}, {"input", json::object()}}),
            "required||version is required;"
            "additional_property_not_allowed||Additional property model is not allowed;");
  EXPECT_EQ(problem_of(json::object()),
            "required||version is required;required||input is required;");
  EXPECT_EQ(problem_of({{"version", "x"}, {"input", json::object()}},
                       "/v1/models/acme/hello/predictions"),
            "additional_property_not_allowed||Additional property version is not allowed;");
  EXPECT_EQ(problem_of(json::array()),
            "invalid_type||Invalid type. Expected: object, given: array;");
}

TEST_F(PredictionsApi, ProblemsOfTheInputNameTheField) {
  json body = valid_body();
  body["input"] = json::object();
  EXPECT_EQ(problem_of(body), "required|input|text is required;");
  body["input"] = {{"text", 7}, {"steps", 9}, {"unknown", 1}};
  EXPECT_EQ(problem_of(body),
            "number_lte|input.steps|Must be less than or equal to 4;"
            "invalid_type|input.text|Invalid type. Expected: string, given: integer;");
  body["input"] = nullptr;
  EXPECT_EQ(problem_of(body), "invalid_type|input|Invalid type. Expected: object, given: null;");
}

TEST_F(PredictionsApi, WrongTypesInTheBodyAreNamed) {
  json body = valid_body();
  body["version"] = 7;
  EXPECT_EQ(problem_of(body),
            "invalid_type|version|Invalid type. Expected: string, given: integer;");
  body = valid_body();
  body["webhook"] = "not a url";
  EXPECT_EQ(problem_of(body),
            "format|webhook|Does not match format 'uri': blanks, control characters and "
            "backslashes must be encoded;");
  body["webhook"] = "https://hook.example:port/";
  EXPECT_EQ(problem_of(body),
            "format|webhook|Does not match format 'uri': the port is not a number from 1 to "
            "65535;");
  body["webhook"] = "https://hook.example";
  body["webhook_events_filter"] = {"start", "never"};
  EXPECT_EQ(problem_of(body),
            "enum|webhook_events_filter.1|1 must be one of the following: "
            "\"start\", \"output\", \"logs\", \"completed\";");
  body["webhook_events_filter"] = "start";
  EXPECT_EQ(problem_of(body),
            "invalid_type|webhook_events_filter|Invalid type. Expected: array, given: string;");
  body = valid_body();
  body["stream"] = "yes";
  EXPECT_EQ(problem_of(body),
            "invalid_type|stream|Invalid type. Expected: boolean, given: string;");
}

TEST_F(PredictionsApi, AFilterIsEchoedWhenItWasGiven) {
  json body = valid_body();
  body["webhook"] = "https://hook.example";
  EXPECT_FALSE(post("/v1/predictions", body).json().contains("webhook_events_filter"));
  body["webhook_events_filter"] = nullptr;
  EXPECT_FALSE(post("/v1/predictions", body).json().contains("webhook_events_filter"));
  for (const char* given : {R"(["completed","output"])", "[]"}) {
    body["webhook_events_filter"] = json::parse(given);
    const json made = post("/v1/predictions", body).json();
    EXPECT_EQ(made["webhook_events_filter"], json::parse(R"(["output","completed"])")) << given;
    EXPECT_EQ(get("/v1/predictions/" + made["id"].get<std::string>()).json(), made) << given;
  }
}

TEST_F(PredictionsApi, LegacyKeysAreAccepted) {
  json body = valid_body();
  body["stream"] = true;
  body["webhook_completed"] = "https://hook.example/done";
  const Reply reply = post("/v1/predictions", body);
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.json()["webhook"], "https://hook.example/done");
  EXPECT_EQ(reply.json()["webhook_events_filter"], json::parse(R"(["completed"])"));
}

TEST_F(PredictionsApi, MalformedJsonIsABadRequest) {
  for (const std::string body : {"", "{", "{\"input\":}", "\xff\xfe", "nonsense"}) {
    const Reply reply = call("POST", "/v1/predictions", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(reply.header("Content-Type"), "application/problem+json");
  }
  EXPECT_EQ(call("POST", "/v1/predictions", std::string(100'000, '[')).status, 400);
  const Reply nul =
      call("POST", "/v1/predictions", R"({"version":"x","input":{"text":"a\u0000b"}})");
  EXPECT_EQ(nul.status, 422) << nul.body;
}

TEST_F(PredictionsApi, SecretsNeverComeBack) {
  json body = valid_body();
  body["input"]["key"] = "hunter2";
  const Reply created = post("/v1/predictions", body);
  EXPECT_EQ(created.json()["input"]["key"], "[REDACTED]");
  const std::string id = created.json()["id"];
  EXPECT_EQ(get("/v1/predictions/" + id).json()["input"]["key"], "[REDACTED]");
  EXPECT_EQ(*store_.get_input(*PredictionId::parse(id)), R"({"key":"hunter2","text":"Alice"})");
}

TEST_F(PredictionsApi, SyncAnswersWhenTheModelIsDone) {
  plane_->scheduler.grant = grant_;
  auto waiting = send("POST", "/v1/predictions", valid_body().dump(), {{"Prefer", "wait=10"}});
  const PredictionId id = next_prediction({});
  complete_and_wait(finish_of(id, R"(["Hello ","Alice"])"));
  const Reply reply = loop_.finish(waiting);
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.header("Preference-Applied"), "wait=10");
  EXPECT_EQ(reply.json()["status"], "succeeded");
  EXPECT_EQ(reply.json()["output"], json::parse(R"(["Hello ","Alice"])"));
  EXPECT_TRUE(reply.json()["metrics"].contains("predict_time"));
}

TEST_F(PredictionsApi, APreferenceMayComeOnALineOfItsOwn) {
  plane_->scheduler.grant = grant_;
  auto waiting = send("POST", "/v1/predictions", valid_body().dump(),
                      {{"Prefer", "handling=lenient"}, {"prefer", "wait=10"}});
  complete_and_wait(finish_of(next_prediction({}), R"(["Hello ","Alice"])"));
  const Reply reply = loop_.finish(waiting);
  EXPECT_EQ(reply.json()["status"], "succeeded");
  EXPECT_EQ(reply.header("Preference-Applied"), "wait=10");
}

TEST_F(PredictionsApi, SyncShowsAFailureAsSuch) {
  plane_->scheduler.grant = grant_;
  auto waiting = send("POST", "/v1/predictions", valid_body().dump(), {{"Prefer", "wait"}});
  store::Finish finish = finish_of(next_prediction({}));
  finish.status = PredictionStatus::kFailed;
  finish.output.clear();
  finish.error = "no luck";
  complete_and_wait(finish);
  const Reply reply = loop_.finish(waiting);
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.header("Preference-Applied"), "wait");
  EXPECT_EQ(reply.json()["status"], "failed");
  EXPECT_EQ(reply.json()["error"], "no luck");
}

TEST_F(PredictionsApi, SyncThatRunsOutOfTimeSaysStartingWhateverRuns) {
  plane_->scheduler.grant = grant_;
  auto waiting = send("POST", "/v1/predictions", valid_body().dump(), {{"Prefer", "wait=1"}});
  const PredictionId id = next_prediction({});
  publish(id, 1, EventKind::kStarted, "");
  publish(id, 2, EventKind::kOutput, "\"Hel\"");
  const Reply reply = loop_.finish(waiting);
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.json()["status"], "starting");
  EXPECT_EQ(reply.json()["output"], nullptr);
  EXPECT_FALSE(reply.json().contains("started_at"));
}

TEST_F(PredictionsApi, CancelAfterSetsTheDeadline) {
  const Reply reply = post("/v1/predictions", valid_body(), {{"Cancel-After", "1m30s"}});
  EXPECT_EQ(reply.status, 201);
  const auto created = *parse_rfc3339(reply.json()["created_at"].get<std::string>());
  const auto deadline = *parse_rfc3339(reply.json()["deadline"].get<std::string>());
  EXPECT_EQ(deadline - created, 90s);
  for (const char* bad : {"4", "25h", "soon", "-1"}) {
    const Reply refused = post("/v1/predictions", valid_body(), {{"Cancel-After", bad}});
    EXPECT_EQ(refused.status, 400) << bad;
    EXPECT_EQ(refused.json()["status"], 400) << bad;
  }
}

TEST_F(PredictionsApi, TheSameIdempotencyKeyGivesTheSamePrediction) {
  const Reply first = post("/v1/predictions", valid_body(), {{"Idempotency-Key", "k1"}});
  const Reply again = post("/v1/predictions", valid_body(), {{"Idempotency-Key", "k1"}});
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(first.json()["id"], again.json()["id"]);
}

TEST_F(PredictionsApi, PollingShowsWhatThereIs) {
  const PredictionId id = created_running();
  publish(id, 1, EventKind::kStarted, "");
  publish(id, 2, EventKind::kLog, "line\n");
  publish(id, 3, EventKind::kOutput, "\"Hel\"");
  json body = get("/v1/predictions/" + id.str()).json();
  EXPECT_EQ(body["status"], "processing");
  EXPECT_EQ(body["output"], json::parse(R"(["Hel"])"));
  EXPECT_EQ(body["logs"], "line\n");
  complete_and_wait(finish_of(id, R"(["Hel","lo"])"));
  body = get("/v1/predictions/" + id.str()).json();
  EXPECT_EQ(body["status"], "succeeded");
  EXPECT_EQ(body["output"], json::parse(R"(["Hel","lo"])"));
}

TEST_F(PredictionsApi, OthersPredictionsAreNotThere) {
  const std::string path = "/v1/predictions/" + created_running().str();
  EXPECT_EQ(call("GET", path, "", as(stranger_token_)).status, 404);
  EXPECT_EQ(call("POST", path + "/cancel", "", as(stranger_token_)).status, 404);
  EXPECT_EQ(get("/v1/predictions/" + std::string(26, '0')).status, 404);
  EXPECT_EQ(get("/v1/predictions/garbage").status, 404);
}

TEST_F(PredictionsApi, AQueuedPredictionIsCanceledAtOnce) {
  const std::string id = post("/v1/predictions", valid_body()).json()["id"];
  const Reply reply = call("POST", "/v1/predictions/" + id + "/cancel");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.json()["status"], "canceled");
  EXPECT_EQ(reply.json()["error"], nullptr);
  EXPECT_TRUE(reply.json()["metrics"].contains("total_time"));
  const Reply again =
      call("POST", "/v1/predictions/" + id + "/cancel", "", {{"Content-Type", "application/json"}});
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json(), reply.json());
}

TEST_F(PredictionsApi, ACanceledFinishedPredictionIsUnchanged) {
  const PredictionId id = created_running();
  complete_and_wait(finish_of(id));
  const Reply reply = call("POST", "/v1/predictions/" + id.str() + "/cancel");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.json()["status"], "succeeded");
}

TEST_F(PredictionsApi, ListsGoBothWaysInPagesOfAHundred) {
  std::vector<std::string> ids;
  for (int i = 0; i < 205; ++i) {
    clock_.advance(1ms);
    ids.push_back(post("/v1/predictions", valid_body()).json()["id"]);
  }
  const auto path_of = [](const json& url) {
    return url.get<std::string>().substr(std::string("https://mimeo.example").size());
  };
  const json first = get("/v1/predictions").json();
  ASSERT_EQ(first["results"].size(), 100U);
  EXPECT_EQ(first["results"][0]["id"], ids[204]);
  EXPECT_EQ(first["previous"], nullptr);
  // What is created meanwhile does not move the pages.
  (void)post("/v1/predictions", valid_body());
  const json second = get(path_of(first["next"])).json();
  EXPECT_EQ(second["results"][0]["id"], ids[104]);
  const json third = get(path_of(second["next"])).json();
  EXPECT_EQ(third["results"].size(), 5U);
  EXPECT_EQ(third["next"], nullptr);
  const json back = get(path_of(third["previous"])).json();
  EXPECT_EQ(back["results"], second["results"]);
  EXPECT_NE(back["next"], nullptr);
}

TEST_F(PredictionsApi, ListsCanBeFiltered) {
  const std::string first = post("/v1/predictions", valid_body()).json()["created_at"];
  clock_.advance(1s);
  const std::string second = post("/v1/predictions", valid_body()).json()["created_at"];
  EXPECT_EQ(get("/v1/predictions?created_after=" + second).json()["results"].size(), 1U);
  EXPECT_EQ(get("/v1/predictions?created_after=" + first).json()["results"].size(), 2U);
  EXPECT_EQ(get("/v1/predictions?created_before=" + second).json()["results"].size(), 1U);
  EXPECT_EQ(get("/v1/predictions?source=web").json()["results"].size(), 0U);
  // Without an offset; with a '+' that nobody encoded, and is a blank therefore.
  const std::string plain = second.substr(0, second.size() - 1);
  for (const std::string& at : {plain, plain + "+00:00", "2000-01-01%20" + plain.substr(11)}) {
    const std::size_t expected = at.starts_with("2000") ? 2U : 1U;
    EXPECT_EQ(get("/v1/predictions?created_after=" + at).json()["results"].size(), expected) << at;
  }
  for (const char* bad :
       {"created_after=yesterday", "created_before=x", "source=api", "cursor=!"}) {
    EXPECT_EQ(get(std::string("/v1/predictions?") + bad).status, 400) << bad;
  }
}

TEST_F(PredictionsApi, TrainingsNeedADestinationOfOnesOwn) {
  const std::string path = "/v1/models/acme/hello/versions/" + version_.id.hex() + "/trainings";
  const json input = {{"data", "https://x.example/data.zip"}};
  add_model(stranger_, "open", store::Visibility::kPublic);
  std::vector<json> bodies;
  bodies.push_back({{"input", input}});
  for (const json& bad : {json("acme/none"), json("nonsense"), json("stranger/x"),
                          json("stranger/open"), json(""), json(nullptr), json(7)}) {
    bodies.push_back({{"destination", bad}, {"input", input}});
  }
  for (const json& body : bodies) {
    const Reply reply = post(path, body);
    EXPECT_EQ(reply.status, 404) << body;
    EXPECT_EQ(reply.json()["detail"], "The specified training destination does not exist") << body;
  }
  const Reply reply =
      post(path, {{"destination", "acme/hello"}, {"input", input}, {"version", "ignored"}});
  ASSERT_EQ(reply.status, 201) << reply.body;
  const std::string id = reply.json()["id"];
  EXPECT_EQ(reply.json()["urls"]["get"], "https://mimeo.example/v1/trainings/" + id);
  EXPECT_EQ(get("/v1/trainings/" + id).status, 200);
  EXPECT_EQ(get("/v1/predictions/" + id).status, 200);
  EXPECT_EQ(get("/v1/trainings").json()["results"].size(), 1U);
  EXPECT_EQ(get("/v1/predictions").json()["results"].size(), 0U);
  EXPECT_EQ(call("POST", "/v1/trainings/" + id + "/cancel").json()["status"], "canceled");
}

TEST_F(PredictionsApi, TrainingsRunForADayOnInstancesOfTheirOwn) {
  const std::string path = "/v1/models/acme/hello/versions/" + version_.id.hex() + "/trainings";
  const json body = {{"destination", "acme/hello"},
                     {"input", {{"data", "https://x.example/data.zip"}}}};
  const Reply reply = post(path, body);
  ASSERT_EQ(reply.status, 201) << reply.body;
  const auto rows = store_.scan_active(1, {}, 10);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->front().run_limit, std::chrono::hours(24));
  const auto target = store_.get_runnable_target(rows->front().target);
  EXPECT_EQ(target->target.kind, store::TargetKind::kTraining);
  EXPECT_EQ(target->target.version, version_.id);
  EXPECT_EQ(target->target.max_instances, settings_.training_max_instances);
}

TEST_F(PredictionsApi, TrainingsNeedARegistry) {
  has_registry_ = false;
  start();
  const std::string path = "/v1/models/acme/hello/versions/" + version_.id.hex() + "/trainings";
  const Reply reply = post(
      path, {{"destination", "acme/hello"}, {"input", {{"data", "https://x.example/data.zip"}}}});
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(reply.json()["title"], "Trainings not available");
}

TEST_F(PredictionsApi, VersionsWhoseWeightsAreBesideTheImageAreNotTrained) {
  store::Version version = version_;
  version.id = *VersionId::parse(std::string(64, 'd'));
  version.config = R"({"weights":[{"name":"z","target":"/src/weights"}]})";
  ASSERT_TRUE(store_.put_version(version).ok());
  const Reply reply =
      post("/v1/models/acme/hello/versions/" + version.id.hex() + "/trainings",
           {{"destination", "acme/hello"}, {"input", {{"data", "https://x.example/d"}}}});
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(reply.json()["title"], "Version not trainable");
}

TEST_F(PredictionsApi, TrainingsAreCheckedLikePredictions) {
  const std::string path = "/v1/models/acme/hello/versions/" + version_.id.hex() + "/trainings";
  EXPECT_EQ(problem_of({{"destination", "acme/hello"}}, path), "required||input is required;");
  EXPECT_EQ(problem_of({{"destination", "acme/hello"}, {"input", {{"data", "x"}}}}, path),
            "format|input.data|Does not match format 'uri';");
  EXPECT_EQ(post("/v1/models/acme/hello/versions/" + std::string(64, '9') + "/trainings",
                 {{"destination", "acme/hello"}, {"input", json::object()}})
                .status,
            404);
  add_version(model_.id, 'c', "{}");
  EXPECT_EQ(post("/v1/models/acme/hello/versions/" + std::string(64, 'c') + "/trainings",
                 {{"destination", "acme/hello"}, {"input", json::object()}})
                .json()["title"],
            "Version not trainable");
}

TEST_F(PredictionsApi, APredictionIsNoTraining) {
  const std::string id = post("/v1/predictions", valid_body()).json()["id"];
  EXPECT_EQ(get("/v1/trainings/" + id).status, 404);
  EXPECT_EQ(call("POST", "/v1/trainings/" + id + "/cancel").status, 404);
}

}  // namespace
}  // namespace mimeo::control
