// /webhooks over the real API, with the real sender before a receiver that the test plays.

#include <mutex>

#include "control-plane/api/testing/api_fixture.h"
#include "control-plane/webhooks/signature.h"

namespace mimeo::control {
namespace {

using nlohmann::json;
using store::DeliveryState;
using store::WebhookEvent;

class WebhooksApiTest : public ApiTest {
 protected:
  WebhooksApiTest() {
    receive_ = [this](const http::OutboundRequest& request) -> Result<http::Response> {
      const std::lock_guard lock(mutex_);
      received_.push_back(request);
      http::Response response;
      response.status = answer_;
      response.body = "thanks";
      return response;
    };
  }
  std::vector<http::OutboundRequest> received() {
    const std::lock_guard lock(mutex_);
    return received_;
  }
  void answer(int status) {
    const std::lock_guard lock(mutex_);
    answer_ = status;
  }
  // A delivery in the log, as one of `account`.
  void log(const std::string& id, PredictionId prediction, WebhookEvent event, DeliveryState state,
           AccountId account) {
    store::WebhookSettlement item;
    item.delivery.emplace();
    item.delivery->id = id;
    item.delivery->account = account;
    item.delivery->prediction = prediction;
    item.delivery->event = event;
    item.delivery->url = "https://hook.example/x?key=1";
    item.delivery->state = state;
    item.attempt.at = clock_.now();
    item.attempt.took = std::chrono::milliseconds(12);
    item.attempt.request_headers = R"({"webhook-id":")" + id + R"("})";
    item.attempt.request_body = "{}";
    item.attempt.request_bytes = 2;
    item.attempt.response_status = state == DeliveryState::kDelivered ? 200 : 500;
    item.attempt.response_headers = R"({"Server":"x"})";
    item.attempt.response_body = "oh";
    if (state != DeliveryState::kDelivered) item.attempt.error = "the receiver answered 500";
    ASSERT_EQ(store_.settle({&item, 1}), absl::OkStatus());
  }
  std::vector<std::string> listed(const std::string& query) {
    const Reply reply = get("/v1/webhooks/deliveries" + query);
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<std::string> ids;
    const json page = reply.json();
    for (const json& one : page["results"]) ids.push_back(one["id"]);
    return ids;
  }
  using Ids = std::vector<std::string>;

 private:
  std::mutex mutex_;
  std::vector<http::OutboundRequest> received_;
  int answer_ = 200;
};

TEST_F(WebhooksApiTest, DeliveriesAreListedByWhatIsAskedFor) {
  const PredictionId a = created_running();
  const PredictionId b = created_running();
  log("msg_1", a, WebhookEvent::kCompleted, DeliveryState::kDelivered, account_.id);
  log("msg_2", b, WebhookEvent::kOutput, DeliveryState::kFailed, account_.id);
  log("msg_3", b, WebhookEvent::kCompleted, DeliveryState::kPending, account_.id);
  log("msg_4", b, WebhookEvent::kCompleted, DeliveryState::kPending, stranger_.id);
  EXPECT_EQ(listed(""), (Ids{"msg_3", "msg_2", "msg_1"}));
  EXPECT_EQ(listed("?prediction=" + b.str()), (Ids{"msg_3", "msg_2"}));
  EXPECT_EQ(listed("?event=completed"), (Ids{"msg_3", "msg_1"}));
  EXPECT_EQ(listed("?status=failed"), (Ids{"msg_2"}));
  EXPECT_EQ(listed("?status=delivered&event=output"), Ids{});
  for (const char* wrong : {"?prediction=x", "?event=done", "?status=lost", "?cursor=x"}) {
    EXPECT_EQ(get(std::string("/v1/webhooks/deliveries") + wrong).status, 400) << wrong;
  }
  EXPECT_EQ(call("GET", "/v1/webhooks/deliveries", "", {{"Authorization", ""}}).status, 401);
}

TEST_F(WebhooksApiTest, AllOfThemArePaged) {
  const PredictionId id = created_running();
  for (int i = 0; i < 101; ++i) {
    log("msg_" + std::to_string(i), id, WebhookEvent::kOutput, DeliveryState::kDelivered,
        account_.id);
  }
  const json page = get("/v1/webhooks/deliveries?event=output").json();
  EXPECT_EQ(page["results"].size(), 100U);
  const std::string base = "https://mimeo.example";
  const std::string next = page["next"];
  EXPECT_NE(next.find("event=output"), std::string::npos);
  const json last = get(next.substr(base.size())).json();
  ASSERT_EQ(last["results"].size(), 1U);
  EXPECT_EQ(last["results"][0]["id"], "msg_0");
  EXPECT_TRUE(last["next"].is_null());
}

TEST_F(WebhooksApiTest, OneDeliveryShowsItsAttempts) {
  const PredictionId id = created_running();
  log("msg_1", id, WebhookEvent::kCompleted, DeliveryState::kPending, account_.id);
  log("msg_1", id, WebhookEvent::kCompleted, DeliveryState::kDelivered, account_.id);
  const json delivery = get("/v1/webhooks/deliveries/msg_1").json();
  EXPECT_EQ(delivery["prediction"], id.str());
  EXPECT_EQ(delivery["event"], "completed");
  EXPECT_EQ(delivery["url"], "https://hook.example/x?key=1");
  EXPECT_EQ(delivery["status"], "delivered");
  EXPECT_EQ(delivery["attempt_count"], 2);
  EXPECT_EQ(delivery["response_status"], 200);
  EXPECT_TRUE(delivery["error"].is_null());
  EXPECT_TRUE(delivery["next_attempt_at"].is_null());
  EXPECT_EQ(delivery["urls"]["redeliver"],
            "https://mimeo.example/v1/webhooks/deliveries/msg_1/redeliver");
  ASSERT_EQ(delivery["attempts"].size(), 2U);
  const json& first = delivery["attempts"][0];
  EXPECT_EQ(first["number"], 1);
  EXPECT_EQ(first["duration_ms"], 12);
  EXPECT_EQ(first["request"],
            json::parse(R"({"headers":{"webhook-id":"msg_1"},"body":"{}","body_bytes":2})"));
  EXPECT_EQ(first["response"],
            json::parse(R"({"status":500,"headers":{"Server":"x"},"body":"oh"})"));
  EXPECT_EQ(first["error"], "the receiver answered 500");
}

TEST_F(WebhooksApiTest, OthersDoNotSeeThem) {
  log("msg_1", created_running(), WebhookEvent::kCompleted, DeliveryState::kFailed, account_.id);
  for (const auto& [method, path] :
       {std::pair("GET", "/v1/webhooks/deliveries/msg_1"),
        std::pair("POST", "/v1/webhooks/deliveries/msg_1/redeliver")}) {
    EXPECT_EQ(call(method, path, "", as(stranger_token_)).status, 404) << path;
  }
  EXPECT_EQ(get("/v1/webhooks/deliveries/msg_2").status, 404);
  EXPECT_EQ(call("POST", "/v1/webhooks/deliveries/msg_2/redeliver").status, 404);
}

TEST_F(WebhooksApiTest, ADeliveryIsSentAgainUnderItsId) {
  json body = valid_body();
  body["webhook"] = "https://hook.example/x";
  body["webhook_events_filter"] = {"completed"};
  plane_->scheduler.grant = grant_;
  const PredictionId id =
      *PredictionId::parse(post("/v1/predictions", body).json()["id"].get<std::string>());
  webhooks_->start();
  complete_and_wait(finish_of(id));
  loop_.drive([&] { return received().size() == 1; });
  const std::string name = webhook_id_of(id, WebhookEvent::kCompleted);
  loop_.drive([&] { return store_.get_webhook(name, 0).ok(); });
  const Reply reply = call("POST", "/v1/webhooks/deliveries/" + name + "/redeliver");
  EXPECT_EQ(reply.status, 202) << reply.body;
  EXPECT_EQ(reply.json()["status"], "pending");
  loop_.drive([&] { return received().size() == 2; });
  EXPECT_EQ(received().at(1).headers.get("webhook-id"), name);
  EXPECT_EQ(received().at(1).body, get("/v1/predictions/" + id.str()).body);
  loop_.drive([&] { return store_.get_webhook(name, 0)->attempts == 2; });
  EXPECT_EQ(get("/v1/webhooks/deliveries/" + name).json()["status"], "delivered");
}

TEST_F(WebhooksApiTest, ATrainingTellsAsItsOwnUrlWould) {
  add_model(account_, "tuned", store::Visibility::kPrivate);
  plane_->scheduler.grant = grant_;
  const Reply created = post("/v1/models/acme/hello/versions/" + version_.id.hex() + "/trainings",
                             {{"destination", "acme/tuned"},
                              {"input", {{"data", "https://data.example/x"}}},
                              {"webhook", "https://hook.example/x"},
                              {"webhook_events_filter", {"start", "completed"}}});
  ASSERT_EQ(created.status, 201) << created.body;
  const std::string id = created.json()["id"];
  webhooks_->start();
  complete_and_wait(finish_of(*PredictionId::parse(id), "null"));
  loop_.drive([&] { return received().size() == 2; });
  EXPECT_EQ(received().at(1).body, get("/v1/trainings/" + id).body);
  EXPECT_EQ(json::parse(received().at(1).body)["urls"]["get"],
            "https://mimeo.example/v1/trainings/" + id);
}

TEST_F(WebhooksApiTest, WhatTellsOfNoPredictionAnyMoreIsNotSentAgain) {
  const PredictionId id = created_running();
  complete_and_wait(finish_of(id));
  log("msg_1", id, WebhookEvent::kCompleted, DeliveryState::kDelivered, account_.id);
  ASSERT_EQ(discovery_.erase_predictions({&id, 1}), absl::OkStatus());
  const Reply reply = call("POST", "/v1/webhooks/deliveries/msg_1/redeliver");
  EXPECT_EQ(reply.status, 409) << reply.body;
  EXPECT_EQ(reply.json()["detail"], "The prediction is gone.");
  EXPECT_EQ(get("/v1/webhooks/deliveries/msg_1").json()["status"], "delivered");
}

TEST_F(WebhooksApiTest, ThereIsAnEndToSendingAgain) {
  const PredictionId id = created_running();
  for (int i = 0; i < 100; ++i) {
    log("msg_1", id, WebhookEvent::kCompleted, DeliveryState::kFailed, account_.id);
  }
  EXPECT_EQ(call("POST", "/v1/webhooks/deliveries/msg_1/redeliver").status, 409);
}

TEST_F(WebhooksApiTest, ATestTellsWhatTheReceiverDid) {
  answer(302);
  const Reply reply =
      post("/v1/webhooks/test", {{"url", "https://hook.example/x?a=b"}, {"event", "output"}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json told = reply.json();
  EXPECT_EQ(told["status"], "failed");
  EXPECT_EQ(told["event"], "output");
  EXPECT_EQ(told["attempt"]["response"]["status"], 302);
  EXPECT_EQ(told["attempt"]["response"]["body"], "thanks");
  EXPECT_EQ(told["attempt"]["error"], "the receiver answered 302; redirects are not followed");
  ASSERT_EQ(received().size(), 1U);
  const json sent = json::parse(received().at(0).body);
  EXPECT_EQ(sent["status"], "processing");
  EXPECT_EQ(sent["output"], json::parse(R"(["It works."])"));
  EXPECT_EQ(sent["webhook"], "https://hook.example/x?a=b");
  EXPECT_EQ(received().at(0).url, "https://hook.example/x?a=b");
  answer(204);
  const json fine = post("/v1/webhooks/test", {{"url", "https://hook.example/x"}}).json();
  EXPECT_EQ(fine["status"], "delivered");
  EXPECT_EQ(fine["event"], "completed");
  EXPECT_EQ(json::parse(received().at(1).body)["status"], "succeeded");
}

TEST_F(WebhooksApiTest, ATestOfSomethingElseThanAUrlSaysWhatIsWrong) {
  const auto problem_of = [&](const json& body) {
    const Reply reply = post("/v1/webhooks/test", body);
    EXPECT_EQ(reply.status, 422) << reply.body;
    return reply.json()["invalid_fields"][0]["field"].get<std::string>();
  };
  EXPECT_EQ(problem_of(json::object()), "url");
  EXPECT_EQ(problem_of({{"url", 1}}), "url");
  EXPECT_EQ(problem_of({{"url", "ftp://x"}}), "url");
  EXPECT_EQ(problem_of({{"url", "https://x"}, {"event", "done"}}), "event");
  EXPECT_EQ(problem_of({{"url", "https://x"}, {"event", 1}}), "event");
  EXPECT_EQ(call("POST", "/v1/webhooks/test", "no json").status, 400);
  settings_.webhook_schemes = WebhookSchemes::kHttpsOnly;
  start();
  EXPECT_EQ(problem_of({{"url", "http://x"}}), "url");
  EXPECT_TRUE(received().empty());
}

TEST_F(WebhooksApiTest, ARotatedSecretSignsBesideTheOldOneForADay) {
  const std::string old = get("/v1/webhooks/default/secret").json()["key"];
  const json rotated = call("POST", "/v1/webhooks/default/secret/rotate").json();
  const std::string key = rotated["key"];
  EXPECT_NE(key, old);
  EXPECT_EQ(key.size(), 38U);
  EXPECT_EQ(rotated["previous_key_signs_until"], to_rfc3339(clock_.now() + std::chrono::hours(24)));
  EXPECT_EQ(get("/v1/webhooks/default/secret").json()["key"], key) << "at once";
  const std::string second = call("POST", "/v1/webhooks/default/secret/rotate").json()["key"];
  post("/v1/webhooks/test", {{"url", "https://hook.example/x"}});
  const http::OutboundRequest sent = received().at(0);
  const std::vector<std::string> both = {second, key};
  EXPECT_EQ(sent.headers.get("webhook-signature"),
            *sign_webhook(both, sent.headers.get("webhook-id"), clock_.now(), sent.body));
  clock_.advance(std::chrono::hours(25));
  post("/v1/webhooks/test", {{"url", "https://hook.example/x"}});
  const http::OutboundRequest later = received().at(1);
  EXPECT_EQ(later.headers.get("webhook-signature"),
            *sign_webhook(std::vector<std::string>{second}, later.headers.get("webhook-id"),
                          clock_.now(), later.body));
}

}  // namespace
}  // namespace mimeo::control
