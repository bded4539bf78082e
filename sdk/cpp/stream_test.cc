// Streams of events and webhooks.

#include <gtest/gtest.h>

#include "sdk/cpp/test_model.h"

namespace mimeo::sdk {
namespace {

Model streaming_model(Gate& begun, Gate& gate) {
  Model model;
  model.input(string("mode").default_value("words"));
  model.output(Output::text_stream());
  model.predict([&](Prediction& p) -> Json {
    p.emit("one ");
    p.log("half way");
    begun.open();
    if (p.text("mode") == "wait" && !gate.wait(p)) throw Canceled{};
    if (p.text("mode") == "fail") throw std::runtime_error("boom");
    if (p.text("mode") == "many") {
      for (int i = 0; i < 3'000; ++i) p.emit("word ");
    }
    p.metric("tokens", 2);
    p.emit("two");
    return nullptr;
  });
  return model;
}

class StreamTest : public ::testing::Test {
 protected:
  StreamTest() { server_.wait_for_health("READY"); }
  ~StreamTest() override { gate_.open(); }

  static std::string request(const std::string& method, const std::string& path,
                             const std::string& mode) {
    const std::string body = Json{{"input", {{"mode", mode}}}}.dump();
    // HTTP/1.0: the body of the answer comes without chunks.
    return method + " " + path + " HTTP/1.0\r\nAccept: text/event-stream\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  // The events without the head, times made equal.
  static std::string events(const std::string& answer) {
    std::string text = answer.substr(std::min(answer.find("\r\n\r\n"), answer.size() - 4) + 4);
    const auto time = text.find("\"predict_time\":");
    if (time == std::string::npos) return text;
    return text.substr(0, time + 15) + "T" + text.substr(text.find_first_of(",}", time));
  }
  std::string stream(const std::string& mode) {
    http::RawClient client(server_.port());
    client.send(request("PUT", "/predictions/s", mode));
    return client.read_all();
  }

  Gate begun_, gate_;
  Model model_ = streaming_model(begun_, gate_);
  ModelServer server_{model_};
};

TEST_F(StreamTest, SendsTheEventsOfCog) {
  const std::string answer = stream("words");
  EXPECT_NE(answer.find("Content-Type: text/event-stream\r\n"), std::string::npos);
  EXPECT_EQ(events(answer),
            "event: start\ndata: {\"id\":\"s\",\"status\":\"processing\"}\n\n"
            "event: output\ndata: {\"chunk\":\"one \",\"index\":0}\n\n"
            "event: log\ndata: {\"source\":\"stdout\",\"data\":\"half way\\n\"}\n\n"
            "event: metric\ndata: {\"name\":\"tokens\",\"value\":2,\"mode\":\"replace\"}\n\n"
            "event: output\ndata: {\"chunk\":\"two\",\"index\":1}\n\n"
            "event: completed\ndata: {\"id\":\"s\",\"output\":[\"one \",\"two\"],"
            "\"logs\":\"half way\\n\",\"status\":\"succeeded\","
            "\"metrics\":{\"tokens\":2,\"predict_time\":T}}\n\n");
}

TEST_F(StreamTest, EndsWithTheFailure) {
  const std::string answer = stream("fail");
  EXPECT_NE(answer.find("event: completed\ndata: {\"id\":\"s\",\"error\":\"boom\""),
            std::string::npos)
      << answer;
}

TEST_F(StreamTest, AFastModelDoesNotBreakItsStream) {
  const std::string answer = stream("many");
  EXPECT_NE(answer.find("{\"chunk\":\"two\",\"index\":3001}"), std::string::npos);
  EXPECT_EQ(answer.find("event: error"), std::string::npos);
}

TEST_F(StreamTest, AReaderThatComesBackGetsEverythingAgain) {
  http::RawClient first(server_.port());
  first.send(request("PUT", "/predictions/s", "wait"));
  first.read_until("event: log");
  http::RawClient second(server_.port());
  second.send(request("PUT", "/predictions/s", "wait"));
  second.read_until("\"chunk\":\"one \"");
  first.close();  // The prediction has a reader still.
  gate_.open();
  EXPECT_NE(second.read_all().find("\"status\":\"succeeded\""), std::string::npos);
}

TEST_F(StreamTest, TheLastReaderTakesThePredictionWithIt) {
  http::RawClient client(server_.port());
  client.send(request("POST", "/predictions", "wait"));
  client.read_until("event: log");
  EXPECT_EQ(server_.call("GET", "/health-check").body["status"], "BUSY");
  client.close();
  server_.wait_for_health("READY");
}

TEST_F(StreamTest, ASyncAnswerHasTheWholeOutput) {
  const auto answer = server_.predict({});
  EXPECT_EQ(answer.body["output"], (Json{"one ", "two"}));
}

TEST(Stream, IsRefusedWhenTheModelDoesNotStream) {
  Gate begun, gate;
  const Model model = test_model(begun, gate);
  ModelServer server(model);
  server.wait_for_health("READY");
  EXPECT_EQ(server.predict({}, header("Accept", "text/event-stream")).status, 406);
}

// Collects webhooks; the first `failures` of a kind are refused.
class Receiver {
 public:
  std::vector<Json> wait_for_completed() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] {
      return !bodies_.empty() && bodies_.back().contains("completed_at") && failures_ == 0;
    });
    return bodies_;
  }
  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(server_.port()) + "/hook";
  }
  void fail_completed(int times) { failures_ = times; }
  [[nodiscard]] http::Headers headers() {
    const std::lock_guard lock(mutex_);
    return headers_;
  }

 private:
  boost::asio::awaitable<void> take(http::Exchange* exchange) {
    const Result<std::string> body = co_await exchange->read_body(16_MiB);
    http::Response response;
    {
      const std::lock_guard lock(mutex_);
      bodies_.push_back(Json::parse(*body));
      headers_ = exchange->head().headers;
      if (bodies_.back().contains("completed_at") && failures_ > 0) {
        --failures_;
        bodies_.pop_back();
        response.status = 503;
      }
      changed_.notify_all();
    }
    co_await exchange->respond(std::move(response));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Json> bodies_;
  http::Headers headers_;
  std::atomic<int> failures_ = 0;
  http::TestServer server_{[this](http::Exchange& exchange) { return take(&exchange); }};
};

std::string with_webhook(const Receiver& receiver, const Json& filter) {
  Json body = {{"input", {{"mode", "words"}}}, {"webhook", receiver.url()}};
  if (!filter.is_null()) body["webhook_events_filter"] = filter;
  return body.dump();
}

TEST_F(StreamTest, WebhooksTellTheStoryInOrder) {
  Receiver receiver;
  http::Headers headers = header("Prefer", "respond-async");
  headers.add("traceparent", "00-abc-def-01");
  server_.call("PUT", "/predictions/w", with_webhook(receiver, nullptr), headers);
  const std::vector<Json> bodies = receiver.wait_for_completed();
  std::size_t outputs = 0;
  for (const Json& body : bodies) {
    EXPECT_EQ(body["id"], "w");
    EXPECT_EQ(body["input"], (Json{{"mode", "words"}}));
    const std::size_t count = body.contains("output") ? body["output"].size() : 0;
    EXPECT_GE(count, outputs);
    outputs = count;
  }
  EXPECT_EQ(bodies.back()["status"], "succeeded");
  EXPECT_EQ(bodies.back()["output"], (Json{"one ", "two"}));
  EXPECT_EQ(bodies.back()["logs"], "half way\n");
  EXPECT_EQ(receiver.headers().get("traceparent"), "00-abc-def-01");
}

TEST_F(StreamTest, WebhooksCanBeFilteredAndTheLastOneIsTriedAgain) {
  Receiver receiver;
  receiver.fail_completed(2);
  server_.call("POST", "/predictions", with_webhook(receiver, {"completed"}));
  const std::vector<Json> bodies = receiver.wait_for_completed();
  ASSERT_EQ(bodies.size(), 1U);
  EXPECT_EQ(bodies[0]["status"], "succeeded");
}

TEST(Webhooks, CarryTheToken) {
  Gate begun, gate;
  const Model model = streaming_model(begun, gate);
  ServerSettings settings;
  settings.webhooks.auth_token = "sesame";
  ModelServer server(model, settings);
  server.wait_for_health("READY");
  Receiver receiver;
  server.call("POST", "/predictions", with_webhook(receiver, nullptr));
  receiver.wait_for_completed();
  EXPECT_EQ(receiver.headers().get("Authorization"), "Bearer sesame");
}

}  // namespace
}  // namespace mimeo::sdk
