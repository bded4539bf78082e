#include "sdk/cpp/server.h"

#include <gtest/gtest.h>

#include <future>

#include "sdk/cpp/test_model.h"

namespace mimeo::sdk {
namespace {

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() { server_.wait_for_health("READY"); }
  ~ServerTest() override { gate_.open(); }

  std::future<ModelServer::Answer> start(const std::string& id, const std::string& mode) {
    const std::string body = Json{{"input", {{"mode", mode}}}}.dump();
    return std::async(std::launch::async,
                      [this, id, body] { return server_.call("PUT", "/predictions/" + id, body); });
  }

  Gate begun_, gate_;
  Model model_ = test_model(begun_, gate_);
  ModelServer server_{model_};
};

TEST_F(ServerTest, AnswersWithTheResult) {
  const auto answer = server_.predict({{"text", "hi"}, {"count", 2}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body["status"], "succeeded");
  EXPECT_EQ(answer.body["output"], "hihi");
  EXPECT_EQ(answer.body["logs"], "mode echo\n");
  EXPECT_TRUE(answer.body["metrics"]["predict_time"].is_number());
  EXPECT_TRUE(answer.body["id"].get<std::string>().starts_with("pred_"));
}

TEST_F(ServerTest, FillsInDefaultsAndIgnoresUnknownInputs) {
  EXPECT_EQ(server_.call("POST", "/predictions").body["output"], "x");
  EXPECT_EQ(server_.call("POST", "/predictions", "{}").body["output"], "x");
  EXPECT_EQ(server_.call("POST", "/predictions", R"({"input":null})").body["output"], "x");
  EXPECT_EQ(server_.predict({{"nobody", "knows"}}).body["output"], "x");
}

TEST_F(ServerTest, SaysWhatIsWrongWithEachInput) {
  const auto message = [&](const Json& input) {
    const auto answer = server_.predict(input);
    EXPECT_EQ(answer.status, 422) << answer.text;
    const Json& error = answer.body["detail"][0];
    EXPECT_EQ(error["loc"].size(), 3U);
    EXPECT_EQ(error["type"], "value_error");
    return error["loc"][2].get<std::string>() + ": " + error["msg"].get<std::string>();
  };
  EXPECT_EQ(message({{"count", 9}}), "count: 9 is greater than the maximum of 3");
  EXPECT_EQ(message({{"count", 0}}), "count: 0 is less than the minimum of 1");
  EXPECT_EQ(message({{"count", "1"}}), "count: \"1\" is not of type \"integer\"");
  EXPECT_EQ(message({{"count", true}}), "count: true is not of type \"integer\"");
  EXPECT_EQ(message({{"text", 5}}), "text: 5 is not of type \"string\"");
  EXPECT_EQ(message({{"text", ""}}), "text: \"\" is shorter than 1 character");
  EXPECT_EQ(message({{"text", "abcde"}}), "text: \"abcde\" is longer than 4 characters");
  EXPECT_EQ(message({{"text", "A"}}), "text: \"A\" does not match \"^[a-zü]+$\"");
  EXPECT_EQ(message({{"color", "pink"}}), "color: \"pink\" is not one of [\"red\",\"blue\"]");
  EXPECT_EQ(message({{"words", {"a", 1}}}), "words/1: 1 is not of type \"string\"");
  EXPECT_EQ(message({{"words", "a"}}), "words: \"a\" is not of type \"array\"");
  EXPECT_EQ(message({{"key", "secret-too-long"}}), "key: the value is longer than 8 characters");
  EXPECT_EQ(message(Json::array()), "__root__: [] is not of type \"object\"");
}

TEST_F(ServerTest, AcceptsWhatJsonSchemaAccepts) {
  EXPECT_EQ(server_.predict({{"count", 2.0}}).body["output"], "xx");
  EXPECT_EQ(server_.predict({{"scale", 1}, {"image", nullptr}}).status, 200);
  EXPECT_EQ(server_.predict({{"text", "üüüü"}}).body["output"], "üüüü") << "characters, not bytes";
}

TEST(Server, NamesAMissingInput) {
  Model model;
  model.input(string("text"));
  model.output(Output::string());
  model.predict([](Prediction& p) -> Json { return p.text("text"); });
  ModelServer server(model);
  server.wait_for_health("READY");
  const auto answer = server.predict(Json::object());
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(answer.body["detail"][0]["loc"], (Json{"body", "input", "text"}));
  EXPECT_EQ(answer.body["detail"][0]["msg"], "Field required");
  EXPECT_EQ(answer.body["detail"][0]["type"], "value_error.missing");
}

TEST_F(ServerTest, RefusesBodiesAsCogDoes) {
  const auto post = [&](const std::string& body, const http::Headers& headers = {}) {
    return server_.call("POST", "/predictions", body, headers);
  };
  EXPECT_EQ(post("{").status, 400);
  EXPECT_EQ(post("[]").status, 422);
  EXPECT_EQ(post(R"({"id":7})").status, 422);
  EXPECT_EQ(post(R"({"webhook":7})").status, 422);
  EXPECT_EQ(post(R"({"context":{"a":7}})").status, 422);
  EXPECT_EQ(post("{}", header("Content-Type", "text/plain")).status, 415);
  EXPECT_EQ(post("{}", header("Content-Type", "application/json; charset=utf-8")).status, 200);
  const auto filter = post(R"({"webhook_events_filter":["nope"]})");
  EXPECT_EQ(filter.status, 422);
  EXPECT_NE(filter.text.find("unknown variant `nope`"), std::string::npos) << filter.text;
  const auto mismatch = server_.call("PUT", "/predictions/a", R"({"id":"b"})");
  EXPECT_EQ(mismatch.status, 422);
  EXPECT_EQ(mismatch.body["detail"][0]["loc"], (Json{"body", "id"}));
}

TEST_F(ServerTest, AFailureIsAResult) {
  const auto answer = server_.predict({{"mode", "fail"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body["status"], "failed");
  EXPECT_EQ(answer.body["error"], "boom");
  EXPECT_EQ(answer.body["logs"], "mode fail\n");
  EXPECT_FALSE(answer.body.contains("output"));
  EXPECT_EQ(server_.predict({{"mode", "throw"}}).body["status"], "failed");
  EXPECT_EQ(server_.predict({{"mode", "echo"}}).body["status"], "succeeded") << "it goes on";
}

TEST_F(ServerTest, HandsOutMetricsAndContext) {
  const auto metrics = server_.predict({{"mode", "metrics"}}).body["metrics"];
  EXPECT_EQ(metrics["tokens"], 7);
  EXPECT_EQ(metrics["a"]["b"], "x");
  const auto context = server_.call("POST", "/predictions",
                                    R"({"input":{"mode":"context"},"context":{"who":"me"}})");
  EXPECT_EQ(context.body["output"], "me");
}

TEST_F(ServerTest, TakesOnePredictionAtATimeAndSaysSo) {
  auto first = start("one", "wait");
  begun_.wait();
  EXPECT_EQ(server_.call("GET", "/health-check").body["status"], "BUSY");
  const auto second = server_.predict({});
  EXPECT_EQ(second.status, 409);
  EXPECT_EQ(second.body["status"], "failed");
  gate_.open();
  EXPECT_EQ(first.get().body["status"], "succeeded");
  EXPECT_EQ(server_.predict({}).status, 200) << "the slot is free before the answer is sent";
}

TEST_F(ServerTest, PutOfARunningIdGivesItsState) {
  auto first = start("one", "wait");
  begun_.wait();
  const auto again = server_.call("PUT", "/predictions/one", R"({"input":{"text":"other"}})");
  EXPECT_EQ(again.status, 202);
  EXPECT_EQ(again.body["status"], "processing");
  EXPECT_EQ(again.body["input"], (Json{{"mode", "wait"}}));
  EXPECT_EQ(again.body["logs"], "mode wait\n");
  gate_.open();
  first.get();
  EXPECT_EQ(server_.call("PUT", "/predictions/one", R"({"input":{"text":"y"}})").body["output"],
            "y")
      << "forgotten once it ended";
}

TEST_F(ServerTest, CancelsARunningPrediction) {
  auto first = start("one", "wait");
  begun_.wait();
  EXPECT_EQ(server_.call("POST", "/predictions/other/cancel").status, 404);
  const auto cancel = server_.call("POST", "/predictions/one/cancel");
  EXPECT_EQ(cancel.status, 200);
  EXPECT_EQ(cancel.text, "{}");
  const auto answer = first.get();
  EXPECT_EQ(answer.body["status"], "canceled");
  EXPECT_EQ(answer.body["logs"], "mode wait\n");
  EXPECT_FALSE(answer.body.contains("error"));
  EXPECT_EQ(server_.call("POST", "/predictions/one/cancel").status, 404);
}

TEST_F(ServerTest, AClientThatLeavesCancelsItsPrediction) {
  http::RawClient client(server_.port());
  client.send(
      "POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Length: 25\r\n\r\n"
      R"({"input":{"mode":"wait"}})");
  begun_.wait();
  client.close();
  server_.wait_for_health("READY");
}

TEST_F(ServerTest, AnswersAsyncRequestsAtOnce) {
  const auto answer = server_.call("PUT", "/predictions/a", R"({"input":{"mode":"wait"}})",
                                   header("Prefer", "respond-async"));
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, (Json{{"id", "a"}, {"status", "starting"}}));
  gate_.open();
  server_.wait_for_health("READY");
}

TEST_F(ServerTest, KnowsItsRoutes) {
  const auto index = server_.call("GET", "/");
  EXPECT_EQ(index.body["predictions_cancel_url"], "/predictions/{prediction_id}/cancel");
  EXPECT_FALSE(index.body.contains("trainings_url"));
  EXPECT_EQ(server_.call("GET", "/openapi.json").body["openapi"], "3.0.2");
  EXPECT_EQ(server_.call("GET", "/predictions/x").status, 405);
  EXPECT_EQ(server_.call("GET", "/nowhere").status, 404);
  const auto health = server_.call("GET", "/health-check");
  EXPECT_EQ(health.body["setup"]["status"], "succeeded");
  EXPECT_TRUE(health.body["version"]["coglet"].is_string());
}

TEST(Server, RunsAsManyPredictionsAsItHasSlots) {
  Gate begun, gate;
  const Model model = test_model(begun, gate);
  ServerSettings settings;
  settings.slots = 3;
  ModelServer server(model, settings);
  server.wait_for_health("READY");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(server
                  .call("PUT", "/predictions/" + std::to_string(i), R"({"input":{"mode":"wait"}})",
                        header("Prefer", "respond-async"))
                  .status,
              202);
  }
  EXPECT_EQ(server.predict({}).status, 409);
  gate.open();
  server.wait_for_health("READY");
}

TEST(Server, IsStartingUntilSetupIsDone) {
  Gate gate;
  Model model;
  model.setup([&gate](const SetupLog& log) {
    log("loading");
    gate.wait();
  });
  model.predict([](Prediction&) -> Json { return 1; });
  ModelServer server(model);
  EXPECT_EQ(server.call("GET", "/health-check").body["status"], "STARTING");
  const auto early = server.predict({});
  EXPECT_EQ(early.status, 503);
  EXPECT_EQ(early.body["status"], "failed");
  gate.open();
  EXPECT_EQ(server.wait_for_health("READY").body["setup"]["logs"], "loading\n");
  EXPECT_EQ(server.predict({}).body["output"], 1);
}

TEST(Server, TellsWhySetupFailed) {
  Model model;
  model.setup([](const SetupLog&) { throw std::runtime_error("no weights"); });
  model.predict([](Prediction&) -> Json { return 1; });
  ModelServer server(model);
  const auto health = server.wait_for_health("SETUP_FAILED");
  EXPECT_EQ(health.body["setup"]["status"], "failed");
  EXPECT_EQ(health.body["setup"]["logs"], "Setup failed: no weights");
  EXPECT_EQ(server.predict({}).status, 503);
}

TEST(Server, AsksTheModelForItsHealth) {
  std::atomic<bool> is_well = false;
  Model model;
  model.predict([](Prediction&) -> Json { return 1; });
  model.healthcheck([&is_well] { return is_well.load(); });
  ModelServer server(model);
  EXPECT_EQ(server.wait_for_health("UNHEALTHY").body["user_healthcheck_error"],
            "Healthcheck failed: user-defined healthcheck returned False");
  is_well = true;
  server.wait_for_health("READY");
}

TEST(Server, ShutdownWaitsForPredictionsThatNobodyWaitsFor) {
  Gate begun, gate;
  const Model model = test_model(begun, gate);
  ModelServer server(model);
  server.wait_for_health("READY");
  server.call("PUT", "/predictions/a", R"({"input":{"mode":"stubborn"}})",
              header("Prefer", "respond-async"));
  begun.wait();
  EXPECT_EQ(server.call("POST", "/shutdown").text, "{}");
  EXPECT_FALSE(server.io().stopped());
  gate.open();
  server.join();  // The io_context ends by itself.
}

TEST(Server, RefusesModelsThatContradictThemselves) {
  Model model;
  model.input(integer("n").default_value(9).at_most(3));
  model.predict([](Prediction&) -> Json { return 1; });
  EXPECT_THROW(Schema{model}, std::invalid_argument);
}

// --- Training ---

// Learns a text by heart, and says it again.
Model parrot(Weights* seen, Gate& gate) {
  Model model;
  model.setup([seen](const SetupLog&, const Weights& weights) { *seen = weights; });
  model.output(Output::string());
  model.predict([](Prediction&) { return "untrained"; });
  model.training_input(string("text").min_length(2));
  model.train([&gate](Prediction& p) -> Json {
    p.log("learning");
    if (p.text("text") == "fail") throw std::runtime_error("cannot learn");
    if (p.text("text") == "wait" && !gate.wait(p)) throw Canceled{};
    const auto path = p.scratch() / "parrot.txt";
    std::ofstream(path) << p.text("text");
    return p.upload(path);
  });
  return model;
}

class TrainingTest : public ::testing::Test {
 protected:
  static ServerSettings training() {
    ServerSettings settings;
    settings.trains = true;
    return settings;
  }
  ModelServer::Answer train(ModelServer& server, const std::string& id, const std::string& text) {
    server.wait_for_health("READY");
    return server.call("PUT", "/trainings/" + id, Json{{"input", {{"text", text}}}}.dump());
  }
  Weights seen_;
  Gate gate_;  // Never opened.
  Model model_ = parrot(&seen_, gate_);
};

TEST_F(TrainingTest, ATrainingReturnsItsWeightsAsAFile) {
  ModelServer server(model_, training());
  const auto answer = train(server, "t1", "hello");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body["status"], "succeeded");
  EXPECT_EQ(answer.body["output"], "data:text/plain;base64,aGVsbG8=");
  EXPECT_EQ(answer.body["logs"], "learning\n");
  EXPECT_EQ(train(server, "t2", "fail").body["error"], "cannot learn");
  EXPECT_EQ(train(server, "t3", "x").status, 422);
  EXPECT_EQ(server.call("GET", "/").body["trainings_url"], "/trainings");
}

TEST_F(TrainingTest, ACanceledTrainingEndsAndTheNextOneRuns) {
  ModelServer server(model_, training());
  auto running = std::async(std::launch::async, [&] { return train(server, "t1", "wait"); });
  server.wait_for_health("BUSY");
  EXPECT_EQ(server.call("POST", "/trainings/t1/cancel").status, 200);
  EXPECT_EQ(running.get().body["status"], "canceled");
  EXPECT_EQ(train(server, "t2", "after").body["status"], "succeeded");
}

TEST_F(TrainingTest, OutsideOfTrainingModeTheRouteRunsTheModel) {
  ModelServer server(model_);
  EXPECT_EQ(train(server, "t1", "hello").body["output"], "untrained");
}

TEST_F(TrainingTest, SetupGetsTheWeightsOfTheVersion) {
  {
    ModelServer server(model_);
    server.wait_for_health("READY");
    EXPECT_FALSE(seen_.has_value());
  }
  ServerSettings settings;
  settings.weights = "/src/weights";
  {
    ModelServer server(model_, settings);
    server.wait_for_health("READY");
    EXPECT_EQ(seen_, "/src/weights");
  }
  settings.weights = "data:text/plain;base64,aGVsbG8=";
  ModelServer server(model_, settings);
  server.wait_for_health("READY");
  std::ifstream in(seen_.value());
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "hello");
  std::filesystem::remove_all(seen_->parent_path());
}

TEST_F(TrainingTest, WeightsThatCannotBeFetchedFailTheSetup) {
  ServerSettings settings;
  settings.weights = "http://127.0.0.1:1/none";
  ModelServer server(model_, settings);
  const auto health = server.wait_for_health("SETUP_FAILED");
  EXPECT_NE(health.text.find("the weights"), std::string::npos) << health.text;
}

}  // namespace
}  // namespace mimeo::sdk
