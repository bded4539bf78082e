#include "control-plane/http/json_codec.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/store/webhook_log.h"
#include "control-plane/public_links.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

class JsonCodec : public ::testing::Test {
 protected:
  JsonCodec() {
    view_.id = ids_.next();
    view_.model_owner = "acme";
    view_.model_name = "hello";
    view_.version = *VersionId::parse(std::string(64, 'a'));
    view_.created_at = clock_.now();
    view_.input = R"({"text":"Alice"})";
  }
  json shown() {
    const std::string text = prediction_json(view_, urls_);
    json parsed = json::parse(text, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << text;
    return parsed;
  }
  void finish(PredictionStatus status) {
    view_.status = status;
    view_.started_at = view_.created_at + 1s;
    view_.completed_at = view_.created_at + 1128148us;
  }

  FakeClock clock_;
  SeededRandom random_{3};
  IdGenerator ids_{clock_, random_};
  Urls urls_{"https://m.example/"};
  store::PredictionView view_;
};

TEST_F(JsonCodec, ANewPredictionHasAllRequiredFieldsAndNoOthers) {
  const json body = shown();
  const std::string id = view_.id.str();
  EXPECT_EQ(body, json::parse(R"({"id":")" + id + R"(","model":"acme/hello","version":")" +
                              std::string(64, 'a') + R"(","input":{"text":"Alice"},"logs":"",
      "output":null,"data_removed":false,"error":null,"source":"api","status":"starting",
      "created_at":"2023-11-14T22:13:20.000000Z","urls":{
        "cancel":"https://m.example/v1/predictions/)" +
                              id + R"(/cancel",
        "get":"https://m.example/v1/predictions/)" +
                              id + R"(",
        "web":"https://m.example/p/)" +
                              id + R"("}})"));
}

TEST_F(JsonCodec, AFinishedPredictionHasPlatformAndOwnMetrics) {
  finish(PredictionStatus::kSucceeded);
  view_.output = R"(["a","b"])";
  view_.metrics = R"({"input_token_count":7,"tokens_per_second":1.5})";
  const json body = shown();
  EXPECT_EQ(body["output"], json::parse(R"(["a","b"])"));
  EXPECT_EQ(body["metrics"], json::parse(R"({"input_token_count":7,"tokens_per_second":1.5,
      "predict_time":0.128148,"total_time":1.128148})"));
  EXPECT_TRUE(body["metrics"]["input_token_count"].is_number_integer());
  EXPECT_EQ(body["completed_at"], "2023-11-14T22:13:21.128148Z");
}

TEST_F(JsonCodec, ThePlatformsTimesWinOverTheModelsOwn) {
  finish(PredictionStatus::kSucceeded);
  view_.metrics = R"({"predict_time":99,"x":1})";
  const std::string text = prediction_json(view_, urls_);
  EXPECT_EQ(text.find("99"), std::string::npos) << text;
  EXPECT_EQ(shown()["metrics"]["x"], 1);
}

TEST_F(JsonCodec, ErrorIsNullUnlessItFailedAndThenAString) {
  finish(PredictionStatus::kCanceled);
  view_.error = "left over";
  EXPECT_TRUE(shown()["error"].is_null());
  finish(PredictionStatus::kFailed);
  EXPECT_EQ(shown()["error"], "left over");
  view_.error.clear();
  EXPECT_TRUE(shown()["error"].is_string());
  EXPECT_NE(shown()["error"], "");
}

TEST_F(JsonCodec, ACancelBeforeTheStartHasTimesToo) {
  view_.status = PredictionStatus::kCanceled;
  view_.completed_at = view_.created_at + 2s;
  const json body = shown();
  EXPECT_EQ(body["metrics"], json::parse(R"({"predict_time":0.0,"total_time":2.0})"));
  EXPECT_FALSE(body.contains("started_at"));
}

TEST_F(JsonCodec, RemovedDataLeavesTheRecord) {
  finish(PredictionStatus::kSucceeded);
  view_.output = "1";
  view_.logs = "x";
  view_.data_removed = true;
  const json body = shown();
  EXPECT_EQ(body["input"], json::object());
  EXPECT_TRUE(body["output"].is_null());
  EXPECT_EQ(body["logs"], "");
  EXPECT_EQ(body["data_removed"], true);
}

TEST_F(JsonCodec, TheStreamUrlSaysWhatIsStreamed) {
  EXPECT_FALSE(shown()["urls"].contains("stream"));
  view_.stream_token = make_stream_token(view_.id, StreamKind::kText, random_);
  EXPECT_EQ(shown()["urls"]["stream"], "https://m.example/v1/streams/" + view_.stream_token);
  view_.stream_token = make_stream_token(view_.id, StreamKind::kFiles, random_);
  EXPECT_EQ(shown()["urls"]["stream"], "https://m.example/v1/files/" + view_.stream_token);
}

TEST_F(JsonCodec, WebhooksAreEchoedAsGiven) {
  EXPECT_FALSE(shown().contains("webhook"));
  view_.webhook = "https://hook.example/?a=b";
  view_.webhook_events = kWebhookDefault;
  EXPECT_EQ(shown()["webhook"], "https://hook.example/?a=b");
  EXPECT_FALSE(shown().contains("webhook_events_filter"));
  view_.webhook_events = kWebhookDefault | store::kWebhookEventsGiven;
  EXPECT_EQ(shown()["webhook_events_filter"], json::parse(R"(["output","completed"])"));
  view_.webhook_events = 1 | 4;
  EXPECT_EQ(shown()["webhook_events_filter"], json::parse(R"(["start","logs"])"));
}

TEST_F(JsonCodec, DeadlineAndDeploymentOnlyWhereThereAreSome) {
  view_.deadline_at = view_.created_at + 30s;
  view_.deployment = "acme/app";
  EXPECT_EQ(shown()["deadline"], "2023-11-14T22:13:50.000000Z");
  EXPECT_EQ(shown()["deployment"], "acme/app");
}

TEST_F(JsonCodec, ATrainingPointsToTrainings) {
  view_.is_training = true;
  EXPECT_EQ(shown()["urls"]["get"], "https://m.example/v1/trainings/" + view_.id.str());
}

TEST_F(JsonCodec, LogsOfAnyBytesAreAString) {
  view_.logs = std::string("a\0b\xff\"\r\n", 8);
  EXPECT_TRUE(shown()["logs"].is_string());
}

TEST_F(JsonCodec, AnEmptyModelHasItsKeys) {
  store::Model model;
  model.owner = "acme";
  model.name = "hello";
  model.created_at = clock_.now();
  EXPECT_EQ(json::parse(model_json(model, {}, urls_)),
            json::parse(R"({"url":"https://m.example/acme/hello","owner":"acme","name":"hello",
      "description":null,"visibility":"private","is_official":false,"github_url":null,
      "paper_url":null,"license_url":null,"run_count":0,"cover_image_url":null,
      "default_example":null,"latest_version":null,"created_at":"2023-11-14T22:13:20.000000Z"})"));
}

TEST_F(JsonCodec, TheVersionOfAnOfficialModelIsHidden) {
  view_.version = {};
  EXPECT_EQ(json::parse(prediction_json(view_, urls_))["version"], "hidden");
}

TEST_F(JsonCodec, TheCoverIsTheAuthorsElseOfTheExamplesOutputElseOfItsInput) {
  store::Model model;
  store::ModelFacts facts;
  EXPECT_EQ(cover_image_url(model, facts, urls_), "");
  store::Example& example = facts.default_example.emplace();
  example.prediction.input = R"({"a":"see https://x.example","image":"https://x.example/cat.png"})";
  example.prediction.output = R"("https://elsewhere.example/not-a-file")";
  EXPECT_EQ(cover_image_url(model, facts, urls_), "https://x.example/cat.png");
  example.prediction.output = R"({"n":1,"files":["https://m.example/delivery/t/out.png"]})";
  EXPECT_EQ(cover_image_url(model, facts, urls_), "https://m.example/delivery/t/out.png");
  model.cover_image_url = "https://author.example/c.png";
  EXPECT_EQ(cover_image_url(model, facts, urls_), "https://author.example/c.png");
}

TEST_F(JsonCodec, ADeploymentShowsWhoMadeItsRelease) {
  store::Deployment deployment;
  deployment.owner = "acme";
  deployment.name = "app";
  deployment.model_owner = "acme";
  deployment.model_name = "hello";
  deployment.current.number = 2;
  deployment.current.version = view_.version;
  deployment.current.sku = "cpu";
  deployment.current.min_instances = 1;
  deployment.current.max_instances = 5;
  deployment.current.created_at = clock_.now();
  store::Account account;
  account.username = "acme";
  account.type = store::AccountType::kOrganization;
  EXPECT_EQ(json::parse(deployment_json(deployment, &account)),
            json::parse(R"({
      "owner":"acme","name":"app","current_release":{"number":2,"model":"acme/hello","version":")" +
                        std::string(64, 'a') + R"(","created_at":"2023-11-14T22:13:20.000000Z",
      "created_by":{"type":"organization","username":"acme","name":"acme","github_url":null,
      "avatar_url":null},"configuration":{"hardware":"cpu","min_instances":1,
      "max_instances":5}}})"));
}

TEST_F(JsonCodec, AFileHasAllThatTheStrictestClientWants) {
  store::File file;
  file.id = view_.id;
  file.name = "test.txt";
  file.content_type = "text/plain";
  file.md5_hex = "d4";
  file.sha256_hex = "e3";
  file.created_at = clock_.now();
  file.expires_at = clock_.now() + 24h;
  EXPECT_EQ(json::parse(file_json(file, urls_)), json::parse(R"({"id":")" + view_.id.str() + R"(",
      "name":"test.txt","content_type":"text/plain","size":0,"etag":"d4",
      "checksums":{"sha256":"e3","md5":"d4"},"metadata":{},
      "created_at":"2023-11-14T22:13:20.000000Z","expires_at":"2023-11-15T22:13:20.000000Z",
      "urls":{"get":"https://m.example/v1/files/)" + view_.id.str() +
                                                             R"("}})"));
}

}  // namespace
}  // namespace mimeo::control
