// Contract of the outbox: what is owed, in which order it is handed out, how it is settled.

#pragma once

#include "common/store/contract/outbox_fixture.h"

namespace mimeo::store {

class OutboxContract : public OutboxFixture {};

TEST_P(OutboxContract, WebhooksAreOwedForWhatWasAskedFor) {
  NewPrediction p = new_prediction();
  p.grant = grant();
  p.webhook = "https://example.com";
  p.webhook_events = 1 | 8;
  create(p);
  start(p.id, 1);
  finish(finish_of(p.id, 1));
  NewPrediction only_completed = p;
  only_completed.id = ids_.next();
  only_completed.webhook_events = 8;
  create(only_completed);
  start(only_completed.id, 1);
  const PredictionId without_webhook = create_assigned();
  finish(finish_of(without_webhook, 1));

  auto due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].prediction, p.id);
  EXPECT_EQ(due[0].event, WebhookEvent::kStart);
  EXPECT_EQ(due[0].tries, 0u);
  settle(removal(due[0]));
  due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].prediction, p.id);
  EXPECT_EQ(due[0].event, WebhookEvent::kCompleted);
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty()) << "claimed by somebody";
}

TEST_P(OutboxContract, CancelOwesAWebhookToo) {
  NewPrediction p = new_prediction();
  p.webhook = "https://example.com";
  p.webhook_events = 8;
  create(p);
  ASSERT_TRUE(predictions().cancel(p.id, 0, later()).ok());
  EXPECT_EQ(claim(std::chrono::minutes{1}).size(), 1u);
}

TEST_P(OutboxContract, ARetryStartsQuietly) {
  NewPrediction p = new_prediction();
  p.grant = grant();
  p.webhook = "https://example.com";
  p.webhook_events = 1;
  create(p);
  start(p.id, 1);
  requeue(p.id, 1, 1);
  assign(assignment(p.id, 1));
  start(p.id, 2);
  EXPECT_EQ(claim(std::chrono::minutes{1}).size(), 1u);
}

TEST_P(OutboxContract, ADueWebhookNamesItsReceiver) {
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  const auto due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].url, "https://example.com/?a=b");
  EXPECT_EQ(due[0].account, account_.id);
  EXPECT_EQ(due[0].redelivery_of, "");
}

TEST_P(OutboxContract, ADeliveryComesBackUntilItIsSettled) {
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  const auto first = claim(std::chrono::milliseconds{0});
  ASSERT_EQ(first.size(), 1u);
  const auto again = claim(std::chrono::minutes{1}, other_);
  ASSERT_EQ(again.size(), 1u) << "the lease of the first claim was over at once";
  EXPECT_EQ(again[0].id, first[0].id);
  EXPECT_EQ(again[0].tries, 1u);
  const auto put_off = [&](const WebhookDelivery& claimed, WebhookSettlement::Then then) {
    WebhookSettlement item = removal(claimed);
    item.then = then;
    return item;
  };
  settle(put_off(again[0], WebhookSettlement::Then::kTryAgain));
  const auto third = claim(std::chrono::minutes{1});
  EXPECT_EQ(third.at(0).tries, 2u);
  settle(put_off(third[0], WebhookSettlement::Then::kTryAgainFreely));
  const auto fourth = claim(std::chrono::minutes{1});
  EXPECT_EQ(fourth.at(0).tries, 2u) << "the one before did not count";
  WebhookSettlement much_later = put_off(fourth[0], WebhookSettlement::Then::kTryAgainFreely);
  much_later.delay = std::chrono::minutes{1};
  settle(much_later);
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty());
  settle(removal(fourth[0]));
  WebhookDelivery nowhere = fourth[0];
  nowhere.id += 1000;
  settle(removal(nowhere));
  settle(put_off(fourth[0], WebhookSettlement::Then::kTryAgain));
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty());
}

TEST_P(OutboxContract, AnOlderClaimSettlesNothing) {
  finish(finish_of(hooked(8).id, 1));
  const auto first = claim(std::chrono::milliseconds{0});
  const auto second = claim(std::chrono::minutes{1}, other_);
  ASSERT_EQ(second.size(), 1u);
  WebhookSettlement freely = removal(first.at(0));
  freely.then = WebhookSettlement::Then::kTryAgainFreely;
  settle(freely);
  settle(removal(first[0]));
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty()) << "it is the second one's";
  freely = removal(second[0]);
  freely.then = WebhookSettlement::Then::kTryAgainFreely;
  settle(freely);
  EXPECT_EQ(claim(std::chrono::minutes{1}).size(), 1u);
}

TEST_P(OutboxContract, AnOlderClaimTellsTheLogOnlyThatItWasDelivered) {
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  const WebhookDelivery first = claim(std::chrono::milliseconds{0}).at(0);
  const WebhookDelivery second = claim(std::chrono::minutes{1}, other_).at(0);
  settle(outcome(second, "msg_1", DeliveryState::kFailed));
  settle(outcome(first, "msg_1", DeliveryState::kPending));
  EXPECT_EQ(state_of("msg_1"), DeliveryState::kFailed) << "nobody will try it again";
  EXPECT_EQ(webhooks().get_webhook("msg_1", 0)->next_at, std::nullopt);
  EXPECT_EQ(webhooks().list_webhook_attempts("msg_1")->size(), 2u);
  settle(outcome(first, "msg_1", DeliveryState::kDelivered));
  EXPECT_EQ(state_of("msg_1"), DeliveryState::kDelivered);
  settle(outcome(first, "msg_1", DeliveryState::kFailed));
  EXPECT_EQ(state_of("msg_1"), DeliveryState::kDelivered) << "it was";
}

TEST_P(OutboxContract, AStartThatWasNeverWrittenIsOwedByTheEnd) {
  const NewPrediction p = hooked(1 | 8);
  Finish ended = finish_of(p.id, 1);
  ended.started_at = now_;
  finish(ended);
  EXPECT_EQ(owed(), (std::vector{WebhookEvent::kStart, WebhookEvent::kCompleted}));
  const NewPrediction written = hooked(1 | 8);
  start(written.id, 1);
  ended = finish_of(written.id, 1);
  ended.started_at = now_;
  finish(ended);
  EXPECT_EQ(owed(), (std::vector{WebhookEvent::kStart, WebhookEvent::kCompleted})) << "once";
  finish(finish_of(hooked(1 | 8).id, 1));
  EXPECT_EQ(owed(), std::vector{WebhookEvent::kCompleted}) << "it never started";
}

TEST_P(OutboxContract, AStartOfManyEndsComesBeforeEachOfThem) {
  std::vector<Finish> batch;
  for (int i = 0; i < 20; ++i) {
    batch.push_back(finish_of(hooked(1 | 8).id, 1));
    batch.back().started_at = now_;
  }
  ASSERT_TRUE(predictions().finish(batch).ok());
  for (const WebhookDelivery& one : claim(std::chrono::minutes{1})) {
    EXPECT_EQ(one.event, WebhookEvent::kStart);
  }
}

TEST_P(OutboxContract, WhoDoesNotWantTheEndIsToldTheLastOutputOrLogs) {
  const auto owed_for = [&](std::uint8_t events, const char* output, const char* logs) {
    Finish ended = finish_of(hooked(events).id, 1);
    ended.output = output;
    ended.logs = logs;
    finish(ended);
    return owed();
  };
  using Events = std::vector<WebhookEvent>;
  EXPECT_EQ(owed_for(2, "1", ""), Events{WebhookEvent::kOutput});
  EXPECT_EQ(owed_for(4, "", "line"), Events{WebhookEvent::kLogs});
  EXPECT_EQ(owed_for(2 | 4, "1", "line"), Events{WebhookEvent::kOutput}) << "one tells both";
  EXPECT_EQ(owed_for(2 | 4, "", "line"), Events{WebhookEvent::kLogs});
  EXPECT_EQ(owed_for(2 | 4 | 8, "1", "line"), Events{WebhookEvent::kCompleted});
  for (const std::uint8_t events : {0, 1, 2, 4}) {
    EXPECT_EQ(owed_for(events, "", ""), Events{}) << int{events};
  }
  EXPECT_EQ(owed_for(2, "null", "line"), Events{});
  EXPECT_EQ(owed_for(4, "1", ""), Events{});
}

TEST_P(OutboxContract, TheLastOutputWaitsAsTheEndWould) {
  const NewPrediction p = hooked(1 | 2);
  start(p.id, 1);
  EXPECT_TRUE(hold(p.id, other_).is_held);
  finish(finish_of(p.id, 1));
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty());
  const auto first = claim(std::chrono::minutes{1}, other_);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].event, WebhookEvent::kStart);
  settle(removal(first[0]));
  const auto second = claim(std::chrono::minutes{1}, other_);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].event, WebhookEvent::kOutput);
  settle(removal(second[0]));
  EXPECT_TRUE(hold(p.id, sender_).is_held) << "gone with the last webhook";
}

TEST_P(OutboxContract, TheEndIsNotHandedOutBeforeTheStartIsSettled) {
  const NewPrediction p = hooked(1 | 8);
  start(p.id, 1);
  finish(finish_of(p.id, 1));
  const auto first = claim(std::chrono::minutes{1});
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].event, WebhookEvent::kStart);
  EXPECT_TRUE(claim(std::chrono::minutes{1}, other_).empty());
  settle(removal(first[0]));
  const auto second = claim(std::chrono::minutes{1}, other_);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].event, WebhookEvent::kCompleted);
}

TEST_P(OutboxContract, TheEndWaitsForWhoeverHoldsThePrediction) {
  const NewPrediction p = hooked(2 | 8);
  start(p.id, 1);
  EXPECT_TRUE(hold(p.id, sender_).is_held);
  EXPECT_FALSE(hold(p.id, other_).is_held) << "one at a time";
  EXPECT_TRUE(hold(p.id, sender_).is_held) << "renewed";
  finish(finish_of(p.id, 1));
  EXPECT_TRUE(claim(std::chrono::minutes{1}, other_).empty());
  const auto due = claim(std::chrono::milliseconds{0}, sender_);
  ASSERT_EQ(due.size(), 1u);
  settle(removal(due[0]));
  EXPECT_TRUE(hold(p.id, other_).is_held) << "gone with the last webhook";
}

TEST_P(OutboxContract, AHoldEndsWithItsTimeOrItsSender) {
  const NewPrediction p = hooked(2 | 8);
  start(p.id, 1);
  finish(finish_of(p.id, 1));
  EXPECT_TRUE(hold(p.id, other_, std::chrono::milliseconds{0}).is_held);
  EXPECT_EQ(claim(std::chrono::milliseconds{0}).size(), 1u);
  EXPECT_TRUE(hold(p.id, other_).is_held);
  EXPECT_TRUE(claim(std::chrono::milliseconds{0}).empty());
  ASSERT_EQ(outbox().release_holds(other_), absl::OkStatus());
  EXPECT_EQ(claim(std::chrono::milliseconds{0}).size(), 1u);
}

TEST_P(OutboxContract, AHoldSaysWhetherTheStartIsOut) {
  const NewPrediction p = hooked(1 | 2);
  WebhookHold at = hold(p.id, sender_);
  EXPECT_TRUE(at.is_active);
  EXPECT_FALSE(at.has_started);
  start(p.id, 1);
  at = hold(p.id, sender_);
  EXPECT_TRUE(at.has_started);
  EXPECT_TRUE(at.owes_start);
  settle(removal(claim(std::chrono::minutes{1}).at(0)));
  EXPECT_FALSE(hold(p.id, sender_).owes_start);
  finish(finish_of(p.id, 1));
  EXPECT_FALSE(hold(p.id, sender_).is_active);
  EXPECT_FALSE(hold(ids_.next(), sender_).is_active) << "never heard of";
}

}  // namespace mimeo::store
