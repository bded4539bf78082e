#include "control-plane/webhooks/sender.h"

#include <set>

#include "control-plane/testing/webhook_fixture.h"

namespace mimeo::control {
namespace {

using namespace std::chrono_literals;
using store::DeliveryState;
using store::PredictionView;
using store::WebhookEvent;

using WebhookSenderTest = WebhookTest;

TEST_F(WebhookSenderTest, TheEndIsDeliveredOnceSignedAndWithTheWholePrediction) {
  start();
  const PredictionView created = create_hooked(8);
  complete_and_wait(finish_of(created.id));
  wait_for(1);
  loop_.drive([&] { return is_outbox_empty(); });
  ASSERT_EQ(receiver_.count(), 1U);
  const http::OutboundRequest request = receiver_.requests().at(0);
  EXPECT_EQ(request.url, "https://example.com/hook?a=b");
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.body, "succeeded \"hello\"");
  EXPECT_EQ(request.max_redirects, 0);
  EXPECT_EQ(request.headers.get("content-type"), "application/json");
  const std::string id(request.headers.get("webhook-id"));
  EXPECT_EQ(id, webhook_id_of(created.id, WebhookEvent::kCompleted));
  const std::vector<std::string> secrets = {account_.webhook_secret};
  EXPECT_EQ(request.headers.get("webhook-signature"),
            *sign_webhook(secrets, id, clock_.now(), request.body));
}

TEST_F(WebhookSenderTest, AStartIsDeliveredBeforeTheEnd) {
  start();
  const PredictionView created = create_hooked(9);
  complete_and_wait(finish_of(created.id));
  wait_for(2);
  EXPECT_EQ(receiver_.ids(),
            (std::vector<std::string>{webhook_id_of(created.id, WebhookEvent::kStart),
                                      webhook_id_of(created.id, WebhookEvent::kCompleted)}));
}

TEST_F(WebhookSenderTest, AnEndThatIsRefusedIsTriedAgainWithTheSameIdAndThenGivenUp) {
  receiver_.answer(500);
  start();
  const PredictionView created = create_hooked(8);
  complete_and_wait(finish_of(created.id));
  wait_for(3);
  loop_.drive([&] { return is_outbox_empty(); });
  const std::vector<std::string> ids = receiver_.ids();
  EXPECT_EQ(ids.size(), 3U);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 1U);
}

TEST_F(WebhookSenderTest, AStartThatIsRefusedIsNotTriedAgain) {
  receiver_.answer(500);
  start();
  const PredictionView created = create_hooked(1);
  complete_and_wait(finish_of(created.id));
  wait_for(1);
  loop_.drive([&] { return is_outbox_empty(); });
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 1U);
}

TEST_F(WebhookSenderTest, WhatTheAddressRulesRefuseIsNotTriedAgainAndTheLogSaysWhy) {
  receiver_.fail(absl::PermissionDeniedError("the address is not a public one"));
  start();
  const PredictionView created = create_hooked(8);
  complete_and_wait(finish_of(created.id));
  loop_.drive([&] { return !logged().empty(); });
  EXPECT_TRUE(is_outbox_empty());
  EXPECT_EQ(receiver_.count(), 1U);
  EXPECT_EQ(logged().at(0).state, DeliveryState::kFailed);
  EXPECT_EQ(logged().at(0).error, "not sent: the address is not a public one");
}

TEST_F(WebhookSenderTest, OutputOfARunningPredictionIsSentAsItsNewestState) {
  start();
  const PredictionView created = create_hooked(2);
  receiver_.hold();
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  publish(created.id, 3, EventKind::kOutput, "2");
  publish(created.id, 4, EventKind::kOutput, "3");
  receiver_.release();
  wait_for(2);
  loop_.settle();
  EXPECT_EQ(receiver_.bodies(), (std::vector<std::string>{"processing [1]", "processing [1,2,3]"}));
  EXPECT_NE(receiver_.ids().at(0), receiver_.ids().at(1));
}

TEST_F(WebhookSenderTest, OutputComesAtMostOncePerThrottle) {
  options_.throttle = 1h;
  start();
  const PredictionView created = create_hooked(2 | 8);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  publish(created.id, 3, EventKind::kOutput, "2");
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 1U);
  complete_and_wait(finish_of(created.id));
  wait_for(2);
  EXPECT_EQ(receiver_.bodies().at(1), "succeeded \"hello\"") << "the end does not wait for it";
}

TEST_F(WebhookSenderTest, OnlyWhatWasAskedForIsSent) {
  start();
  const PredictionView created = create_hooked(2 | 8);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kLog, "line\n");
  complete_and_wait(finish_of(created.id));
  wait_for(1);
  loop_.drive([&] { return is_outbox_empty(); });
  EXPECT_EQ(receiver_.bodies(), (std::vector<std::string>{"succeeded \"hello\""}));
}

TEST_F(WebhookSenderTest, TheEndWaitsForARequestThatIsUnderWay) {
  options_.progress_timeout = 1h;
  options_.hold = 3h;
  start();
  const PredictionView created = create_hooked(2 | 8);
  receiver_.hold();
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  complete_and_wait(finish_of(created.id));
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 1U);
  receiver_.release();
  wait_for(2);
  EXPECT_EQ(receiver_.bodies().back(), "succeeded \"hello\"");
}

TEST_F(WebhookSenderTest, ARefusedProgressRequestIsNotTriedAgain) {
  receiver_.answer(500);
  start();
  const PredictionView created = create_hooked(4);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kLog, "line\n");
  wait_for(1);
  publish(created.id, 3, EventKind::kLog, "more\n");
  wait_for(2);
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 2U);
}

TEST_F(WebhookSenderTest, ASlowReceiverDoesNotHoldUpAnother) {
  options_.gate.in_flight_per_host = 1;
  start();
  receiver_.hold();
  std::vector<PredictionId> ids;
  for (const std::string host : {"slow", "slow", "slow", "other"}) {
    ids.push_back(create_hooked(8, "https://" + host + ".example/hook").id);
  }
  for (const PredictionId id : ids) complete_and_wait(finish_of(id));
  loop_.drive([&] { return receiver_.count("other.example") == 1; });
  EXPECT_EQ(receiver_.count("slow.example"), 1U);
  receiver_.release();
  loop_.drive([&] { return receiver_.count("slow.example") == 3; });
}

// A model with one value ends before its output was ever sent as that of a running prediction.
TEST_F(WebhookSenderTest, WhoWantsOutputAloneIsToldTheLastOne) {
  options_.first_progress_after = 1h;
  start();
  const PredictionView created = create_hooked(2);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "\"hello\"");
  complete_and_wait(finish_of(created.id));
  wait_for(1);
  EXPECT_EQ(receiver_.bodies(), std::vector<std::string>{"succeeded \"hello\""});
  EXPECT_EQ(receiver_.ids().at(0), webhook_id_of(created.id, WebhookEvent::kOutput));
  loop_.drive([&] { return is_outbox_empty() && !logged().empty(); });
  EXPECT_EQ(logged().at(0).event, WebhookEvent::kOutput);
}

TEST_F(WebhookSenderTest, TheLastOutputIsTriedAgainAsTheEndWouldBe) {
  receiver_.answer(500);
  start();
  complete_and_wait(finish_of(create_hooked(2).id));
  wait_for(3);
  loop_.drive([&] { return is_outbox_empty(); });
  EXPECT_EQ(receiver_.count(), 3U);
}

TEST_F(WebhookSenderTest, AStartWaitsForAHostThatIsLeftAlone) {
  options_.gate.failures_to_open = 1;
  options_.gate.open_for = 30s;
  options_.retry_after.clear();
  receiver_.fail(absl::UnavailableError("connection refused"));
  start();
  complete_and_wait(finish_of(create_hooked(8).id));
  loop_.drive([&] { return logged().size() == 1; });
  receiver_.answer(200);
  const PredictionView second = create_hooked(1);
  complete_and_wait(finish_of(second.id));
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 1U);
  clock_.advance(31s);
  wait_for(2);
  EXPECT_EQ(receiver_.ids().at(1), webhook_id_of(second.id, WebhookEvent::kStart));
}

TEST_F(WebhookSenderTest, AHostThatIsDownIsLeftAloneWithoutUsingUpTries) {
  options_.retry_after = {0ms};
  options_.gate.failures_to_open = 2;
  options_.gate.open_for = 30s;
  receiver_.fail(absl::UnavailableError("connection refused"));
  start();
  complete_and_wait(finish_of(create_hooked(8).id));
  wait_for(2);  // Both of its tries; now the host is left alone.
  loop_.drive([&] { return is_outbox_empty(); });
  const PredictionView second = create_hooked(8);
  complete_and_wait(finish_of(second.id));
  run_for_a_while();
  EXPECT_EQ(receiver_.count(), 2U);
  receiver_.answer(200);
  clock_.advance(31s);
  wait_for(3);
  EXPECT_EQ(receiver_.ids().back(), webhook_id_of(second.id, WebhookEvent::kCompleted));
  loop_.drive([&] { return logged().size() == 2; });
  EXPECT_EQ(logged().at(0).state, DeliveryState::kDelivered);
  EXPECT_EQ(logged().at(0).attempts, 1U);
}

TEST_F(WebhookSenderTest, AHostThatStaysDownIsGivenUpAndTheLogSaysWhy) {
  options_.gate.failures_to_open = 1;
  options_.gate.open_for = 1h;
  options_.retry_after.clear();
  options_.patience_alone = 0ms;
  receiver_.fail(absl::UnavailableError("connection refused"));
  start();
  for (std::size_t i = 1; i <= 2; ++i) {
    complete_and_wait(finish_of(create_hooked(8).id));
    loop_.drive([&] { return logged().size() == i; });
  }
  EXPECT_EQ(receiver_.count(), 1U);
  EXPECT_EQ(logged().at(1).error, "no answer: connection refused");
  EXPECT_EQ(logged().at(0).error, "not sent: the host did not answer several times just now");
  EXPECT_EQ(logged().at(0).state, DeliveryState::kFailed);
  EXPECT_TRUE(is_outbox_empty());
}

TEST_F(WebhookSenderTest, WhatAStoppedProcessLeftIsDeliveredByTheNext) {
  receiver_.answer(500);
  options_.retry_after = {1h};
  start();
  const PredictionView created = create_hooked(8);
  complete_and_wait(finish_of(created.id));
  loop_.drive([&] { return !logged().empty(); });
  stop(*sender_);
  sender_.reset();
  restart_plane();
  receiver_.answer(200);
  clock_.advance(1h);
  start();
  wait_for(2);
  EXPECT_EQ(receiver_.ids().at(1), receiver_.ids().at(0));
  loop_.drive([&] { return logged().at(0).state == DeliveryState::kDelivered; });
}

// --- stopping ---

TEST_F(WebhookSenderTest, WhatIsBrokenOffByAStopIsSentByTheNextAtOnce) {
  options_.stop_after = 1ms;
  start();
  receiver_.hold();
  const PredictionView ended = create_hooked(8);
  const PredictionView running = create_hooked(2, "https://b.example");
  complete_and_wait(finish_of(ended.id));
  publish(running.id, 1, EventKind::kStarted, "");
  publish(running.id, 2, EventKind::kOutput, "1");
  auto test = loop_.start(sender_->send_test(account_.id, "https://c.example/x", "{}"));
  wait_for(3);
  stop(*sender_);
  sender_.reset();
  ASSERT_TRUE(TestLoop::is_ready(test));
  EXPECT_TRUE(absl::IsCancelled(test.get()->status));
  EXPECT_TRUE(store_.hold_predictions({&running.id, 1}, ids_.next(), 1s)->at(0).is_held);
  const auto due = store_.claim_due(10, 0ms, ids_.next());
  ASSERT_EQ(due->size(), 1U) << "given back, not leased any more";
  EXPECT_EQ(due->at(0).tries, 0U);
}

TEST_F(WebhookSenderTest, AnOutcomeThatComesWhileStoppingIsWrittenDown) {
  options_.stop_after = 1h;
  start();
  receiver_.hold();
  complete_and_wait(finish_of(create_hooked(8).id));
  wait_for(1);
  auto stopping = loop_.start(stopped(sender_.get()));
  run_for_a_while();
  receiver_.release();
  EXPECT_TRUE(loop_.finish(stopping));
  sender_.reset();
  ASSERT_EQ(logged().size(), 1U);
  EXPECT_EQ(logged().at(0).state, DeliveryState::kDelivered);
  EXPECT_TRUE(is_outbox_empty());
}

// --- the log ---

TEST_F(WebhookSenderTest, EveryAttemptIsLoggedWithRequestAndAnswerButNoSignature) {
  receiver_.answer(503);
  options_.retry_after = {1s};
  start();
  const PredictionView created = create_hooked(8);
  complete_and_wait(finish_of(created.id));
  loop_.drive([&] { return !logged().empty(); });
  EXPECT_EQ(logged().at(0).state, DeliveryState::kPending);
  EXPECT_EQ(logged().at(0).next_at, clock_.now() + 1s);
  receiver_.answer(204);
  clock_.advance(1s);
  loop_.drive([&] { return logged().at(0).state == DeliveryState::kDelivered; });
  EXPECT_EQ(logged().at(0).event, WebhookEvent::kCompleted);
  EXPECT_EQ(logged().at(0).url, "https://example.com/hook?a=b");
  const auto attempts = *store_.list_webhook_attempts(logged().at(0).id);
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_EQ(attempts[0].response_status, 503);
  EXPECT_EQ(attempts[0].error, "the receiver answered 503");
  EXPECT_EQ(attempts[1].response_status, 204);
  EXPECT_EQ(attempts[1].error, "");
  EXPECT_EQ(attempts[1].request_body, "succeeded \"hello\"");
  EXPECT_EQ(attempts[1].request_bytes, 17);
  EXPECT_EQ(attempts[1].response_body, "thanks");
  EXPECT_EQ(attempts[1].response_headers, R"({"Server":"test"})");
  EXPECT_NE(attempts[1].request_headers.find("webhook-id"), std::string::npos);
  EXPECT_EQ(attempts[1].request_headers.find("signature"), std::string::npos);
}

TEST_F(WebhookSenderTest, OfTheAnswersHeadersTheFirstAreLogged) {
  send_ = [](const http::OutboundRequest&) -> Result<http::Response> {
    http::Response response;
    for (int i = 0; i < 5000; ++i) response.headers.add("X-Same", std::string(100, 'x'));
    response.headers.add("X-Last", "1");
    return response;
  };
  start();
  complete_and_wait(finish_of(create_hooked(8).id));
  loop_.drive([&] { return !logged().empty(); });
  const auto attempt = store_.list_webhook_attempts(logged().at(0).id)->at(0);
  EXPECT_LT(attempt.response_headers.size(), 8192U);
  EXPECT_GT(attempt.response_headers.size(), 4096U);
  EXPECT_EQ(attempt.response_headers.find("X-Last"), std::string::npos);
}

TEST_F(WebhookSenderTest, AnAnswerThatIsTooLargeIsNotCalledUnsent) {
  receiver_.fail(absl::ResourceExhaustedError("the answer is too large"));
  start();
  complete_and_wait(finish_of(create_hooked(1).id));
  loop_.drive([&] { return !logged().empty(); });
  EXPECT_EQ(logged().at(0).error, "no answer that can be read: the answer is too large");
}

TEST_F(WebhookSenderTest, WhatTellsOfNoPredictionAnyMoreIsLoggedAsFailed) {
  receiver_.answer(500);
  options_.retry_after = {1h};
  start();
  complete_and_wait(finish_of(create_hooked(8).id));
  loop_.drive([&] { return !logged().empty(); });
  ASSERT_EQ(logged().at(0).state, DeliveryState::kPending);
  store::Retention keep;
  keep.content = keep.records = 1h;
  clock_.advance(2h);
  ASSERT_TRUE(store_.drop_expired(clock_.now(), keep).ok());
  loop_.drive([&] { return logged().at(0).state == DeliveryState::kFailed; });
  EXPECT_EQ(logged().at(0).error, "the prediction is gone");
  EXPECT_EQ(receiver_.count(), 1U);
}

TEST_F(WebhookSenderTest, RequestsOfRunningPredictionsAreLoggedToo) {
  start();
  const PredictionView created = create_hooked(2);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  loop_.drive([&] { return !logged().empty(); });
  EXPECT_EQ(logged().at(0).event, WebhookEvent::kOutput);
  EXPECT_EQ(logged().at(0).id, receiver_.ids().at(0));
  EXPECT_EQ(logged().at(0).state, DeliveryState::kDelivered);
}

TEST_F(WebhookSenderTest, WhatIsAskedForAgainIsSentOnceMoreUnderItsIdAsThingsAreNow) {
  receiver_.answer(500);
  start();
  const PredictionView created = create_hooked(2);
  publish(created.id, 1, EventKind::kStarted, "");
  publish(created.id, 2, EventKind::kOutput, "1");
  wait_for(1);
  loop_.drive([&] { return !logged().empty(); });
  receiver_.answer(200);
  complete_and_wait(finish_of(created.id));
  loop_.drive([&] { return logged().size() == 2; });  // The last output is another delivery.
  const std::string id = receiver_.ids().at(0);
  ASSERT_TRUE(store_.redeliver_webhook(id, account_.id).ok());
  sender_->look_now();
  wait_for(3);
  EXPECT_EQ(receiver_.ids().at(2), id);
  EXPECT_EQ(receiver_.bodies().at(2), "succeeded \"hello\"");
  loop_.drive([&] { return store_.get_webhook(id, 0)->state == DeliveryState::kDelivered; });
  EXPECT_EQ(store_.get_webhook(id, 0)->attempts, 2U);
}

// --- tests and secrets ---

TEST_F(WebhookSenderTest, ATestIsSentAtOnceAndItsReceiptGivenBack) {
  receiver_.answer(418);
  start();
  const auto receipt = loop_.run(sender_->send_test(account_.id, "https://a.example/x", "{}"));
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_EQ(receipt->attempt.response_status, 418);
  EXPECT_EQ(receipt->attempt.response_body, "thanks");
  EXPECT_EQ(receipt->attempt.error, "the receiver answered 418");
  EXPECT_EQ(receiver_.bodies(), std::vector<std::string>{"{}"});
  EXPECT_TRUE(logged().empty());
}

TEST_F(WebhookSenderTest, SoManyTestsOfAnAccountAtOnceAndNoMore) {
  options_.tests_per_account = 1;
  start();
  receiver_.hold();
  auto first = loop_.start(sender_->send_test(account_.id, "https://a.example/x", "{}"));
  wait_for(1);
  const auto second = loop_.run(sender_->send_test(account_.id, "https://b.example/x", "{}"));
  EXPECT_EQ(second.status(),
            absl::ResourceExhaustedError("Other test webhooks of this account are on their way."));
  auto other =
      loop_.start(sender_->send_test(add_account("other").id, "https://a.example/x", "{}"));
  wait_for(2);
  receiver_.release();
  EXPECT_TRUE(loop_.finish(first).ok());
  EXPECT_TRUE(loop_.finish(other).ok());
}

TEST_F(WebhookSenderTest, ATestSaysWhyItIsRefused) {
  options_.gate.in_flight_per_host = 1;
  options_.gate.waiting_per_host = 0;
  start();
  receiver_.hold();
  auto first = loop_.start(sender_->send_test(account_.id, "https://a.example/x", "{}"));
  wait_for(1);
  const auto second = loop_.run(sender_->send_test(account_.id, "https://a.example/x", "{}"));
  EXPECT_EQ(second.status(),
            absl::ResourceExhaustedError(
                "Too many webhooks are on their way, to this receiver or of this account."));
  receiver_.release();
  EXPECT_TRUE(loop_.finish(first).ok());
  stop(*sender_);
  const auto third = loop_.run(sender_->send_test(account_.id, "https://a.example/x", "{}"));
  EXPECT_TRUE(absl::IsUnavailable(third.status()));
}

TEST_F(WebhookSenderTest, BothSecretsSignAfterOneWasReplaced) {
  start();
  ASSERT_TRUE(loop_.run(sender_->send_test(account_.id, "https://a.example/x", "{}")).ok());
  const std::string next = "whsec_" + std::string(32, 'A');
  ASSERT_TRUE(store_.rotate_webhook_secret(account_.id, next, clock_.now() + 24h).ok());
  sender_->forget_secrets(account_.id);
  ASSERT_TRUE(loop_.run(sender_->send_test(account_.id, "https://a.example/x", "{}")).ok());
  const auto request = receiver_.requests().back();
  const std::vector<std::string> secrets = {next, account_.webhook_secret};
  EXPECT_EQ(request.headers.get("webhook-signature"),
            *sign_webhook(secrets, request.headers.get("webhook-id"), clock_.now(), "{}"));
}

}  // namespace
}  // namespace mimeo::control
