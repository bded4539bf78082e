#include <sstream>

#include "control-plane/api/testing/api_fixture.h"

namespace mimeo::control {
namespace {

using nlohmann::json;

class Streams : public ApiTest {
 protected:
  std::string path_of(PredictionId id) {
    const json urls = get("/v1/predictions/" + id.str()).json()["urls"];
    return urls["stream"].get<std::string>().substr(std::string("https://mimeo.example").size());
  }
  std::future<Reply> follow(const std::string& path, Fields fields = {}) {
    fields.emplace_back("Authorization", "");
    return send("GET", path, "", fields);
  }
  // "event data" lines, and the ids.
  static std::vector<std::string> events(const std::string& body,
                                         std::vector<std::string>* ids = nullptr) {
    std::vector<std::string> out;
    std::string name;
    std::string data;
    std::istringstream lines(body);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("event: ")) name = line.substr(7);
      if (line.starts_with("id: ") && ids != nullptr) ids->push_back(line.substr(4));
      if (line.starts_with("data: ")) data += (data.empty() ? "" : "|") + line.substr(6);
      if (line.empty() && !name.empty()) {
        out.push_back(name + " " + data);
        name.clear();
        data.clear();
      }
    }
    return out;
  }
  using Lines = std::vector<std::string>;
};

TEST_F(Streams, OutputsFollowAsTheyComeAndDoneComesLast) {
  const PredictionId id = created_running();
  auto reading = follow(path_of(id));
  publish(id, 1, EventKind::kStarted, "");
  publish(id, 2, EventKind::kOutput, "\"Once\"");
  publish(id, 3, EventKind::kLog, "not for readers");
  publish(id, 4, EventKind::kOutput, R"("  upon\na time\n")");
  loop_.drive([&] { return plane_->hub->interest(id) == Interest::kClients; });
  complete_and_wait(finish_of(id, R"(["Once","  upon\na time\n"])"));
  const Reply reply = loop_.finish(reading);
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.header("Content-Type").starts_with("text/event-stream"));
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "*");
  std::vector<std::string> ids;
  EXPECT_EQ(events(reply.body, &ids), (Lines{"output Once", "output   upon|a time|", "done {}"}));
  ASSERT_EQ(ids.size(), 3U);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ids[i].ends_with(":" + std::to_string(i))) << ids[i];
  EXPECT_EQ(reply.body.find('\r'), std::string::npos);
}

TEST_F(Streams, AFinishedPredictionIsReplayed) {
  const PredictionId id = created_running();
  complete_and_wait(finish_of(id, R"(["a","b",""])"));
  auto reading = follow(path_of(id));
  EXPECT_EQ(events(loop_.finish(reading).body),
            (Lines{"output a", "output b", "output ", "done {}"}));
}

TEST_F(Streams, LastEventIdResumesWithoutRepeats) {
  const PredictionId id = created_running();
  complete_and_wait(finish_of(id, R"(["a","b","c"])"));
  auto reading = follow(path_of(id), {{"Last-Event-ID", "1700000000:0"}});
  EXPECT_EQ(events(loop_.finish(reading).body), (Lines{"output b", "output c", "done {}"}));
  reading = follow(path_of(id), {{"Last-Event-ID", "1700000000:3"}});
  EXPECT_EQ(loop_.finish(reading).status, 204);
  reading = follow(path_of(id), {{"Last-Event-ID", "garbage"}});
  EXPECT_EQ(events(loop_.finish(reading).body).size(), 4U);
}

TEST_F(Streams, AFailureIsToldBeforeDone) {
  const PredictionId id = created_running();
  store::Finish finish = finish_of(id, "");
  finish.status = PredictionStatus::kFailed;
  finish.error = "out of luck";
  complete_and_wait(finish);
  auto reading = follow(path_of(id));
  EXPECT_EQ(events(loop_.finish(reading).body),
            (Lines{R"(error {"detail":"out of luck"})", R"(done {"reason":"error"})"}));
}

TEST_F(Streams, ACancelEndsTheStream) {
  const std::string id = post("/v1/predictions", valid_body()).json()["id"];
  const PredictionId parsed = *PredictionId::parse(id);
  auto reading = follow(path_of(parsed));
  loop_.drive([&] { return plane_->hub->interest(parsed) == Interest::kClients; });
  EXPECT_EQ(call("POST", "/v1/predictions/" + id + "/cancel").status, 200);
  EXPECT_EQ(events(loop_.finish(reading).body), Lines{R"(done {"reason":"canceled"})"});
}

TEST_F(Streams, OutputsOfAnyTypeAreJsonText) {
  const PredictionId id = created_running();
  complete_and_wait(finish_of(id, R"({"a":1})"));
  auto reading = follow(path_of(id));
  EXPECT_EQ(events(loop_.finish(reading).body), (Lines{R"(output {"a":1})", "done {}"}));
}

TEST_F(Streams, OnlyTheRightTokenOpensAStream) {
  const std::string path = path_of(created_running());
  std::string wrong = path;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  auto reading = follow(wrong);
  EXPECT_EQ(loop_.finish(reading).status, 404);
  // Under the other path it would become file objects.
  reading = follow("/v1/files/" + path.substr(std::string("/v1/streams/").size()));
  EXPECT_EQ(loop_.finish(reading).status, 404);
  reading = follow("/v1/streams/short");
  EXPECT_EQ(loop_.finish(reading).status, 404);
}

TEST_F(Streams, AStreamGoesWithTheDataOfItsPrediction) {
  const PredictionId id = created_running();
  const std::string path = path_of(id);
  complete_and_wait(finish_of(id, R"(["a"])"));
  auto before = follow(path);
  EXPECT_EQ(loop_.finish(before).status, 200);
  store_.remove_content(id);
  auto after = follow(path);
  EXPECT_EQ(loop_.finish(after).status, 404);
}

TEST_F(Streams, FileModelsStreamUnderFiles) {
  version_ = add_version(model_.id, 'e', R"({"components":{"schemas":{"Input":{"type":"object"},
      "Output":{"type":"string","format":"uri"}}}})");
  grant_.version = version_.id;
  const PredictionId id = created_running();
  const std::string path = path_of(id);
  EXPECT_TRUE(path.starts_with("/v1/files/")) << path;
  complete_and_wait(finish_of(id, R"("https://mimeo.example/delivery/x/out.png")"));
  auto reading = follow(path);
  EXPECT_EQ(events(loop_.finish(reading).body),
            (Lines{"output https://mimeo.example/delivery/x/out.png", "done {}"}));
}

}  // namespace
}  // namespace mimeo::control
