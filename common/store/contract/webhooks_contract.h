// Contract of the log of webhooks, of sending them again, and of secrets.

#pragma once

#include "common/store/contract/outbox_fixture.h"

namespace mimeo::store {

class WebhooksContract : public OutboxFixture {};

// --- the log ---

TEST_P(WebhooksContract, AttemptsAreLoggedAsTheyCome) {
  const NewPrediction p = hooked(8);
  settle(refused(p.id, "msg_1"));
  WebhookSettlement second = refused(p.id, "msg_1");
  second.delivery->state = DeliveryState::kDelivered;
  second.delivery->next_at.reset();
  second.attempt.response_status = 204;
  second.attempt.error = "";
  settle(second);
  const auto found = webhooks().get_webhook("msg_1", account_.id);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->prediction, p.id);
  EXPECT_EQ(found->event, WebhookEvent::kCompleted);
  EXPECT_EQ(found->url, "https://example.com/?a=b");
  EXPECT_EQ(found->state, DeliveryState::kDelivered);
  EXPECT_EQ(found->attempts, 2u);
  EXPECT_EQ(found->response_status, 204);
  EXPECT_EQ(found->error, "");
  EXPECT_EQ(found->next_at, std::nullopt);
  EXPECT_LT(found->created_at, found->changed_at);
  const auto attempts = webhooks().list_webhook_attempts("msg_1");
  ASSERT_TRUE(attempts.ok()) << attempts.status();
  ASSERT_EQ(attempts->size(), 2u);
  const WebhookAttempt& first = attempts->at(0);
  EXPECT_EQ(first.number, 1u);
  EXPECT_EQ(first.took, std::chrono::milliseconds{17});
  EXPECT_EQ(first.request_headers, R"({"webhook-id":"x"})");
  EXPECT_EQ(first.request_body, R"({"input":"secret"})");
  EXPECT_EQ(first.request_bytes, 4711);
  EXPECT_EQ(first.response_status, 500);
  EXPECT_EQ(first.response_headers, R"({"Server":"x"})");
  EXPECT_EQ(first.response_body, "no\uFFFDno \uFFFD");
  EXPECT_EQ(first.error, "the receiver answered 500");
  EXPECT_EQ(attempts->at(1).number, 2u);
  EXPECT_TRUE(absl::IsNotFound(webhooks().get_webhook("msg_1", account_.id + 1).status()));
  EXPECT_TRUE(absl::IsNotFound(webhooks().get_webhook("msg_2", 0).status()));
}

TEST_P(WebhooksContract, OneBatchMayTellOfTwoAttempts) {
  const NewPrediction p = hooked(8);
  const std::vector<WebhookSettlement> batch = {refused(p.id, "msg_1"), refused(p.id, "msg_2"),
                                                refused(p.id, "msg_1")};
  ASSERT_EQ(outbox().settle(batch), absl::OkStatus());
  EXPECT_EQ(webhooks().get_webhook("msg_1", 0)->attempts, 2u);
  EXPECT_EQ(webhooks().get_webhook("msg_2", 0)->attempts, 1u);
}

TEST_P(WebhooksContract, ListsByWhatIsAskedForNewestFirst) {
  const NewPrediction a = hooked(8);
  const NewPrediction b = hooked(8);
  settle(refused(a.id, "msg_1"));
  WebhookSettlement output = refused(b.id, "msg_2");
  output.delivery->event = WebhookEvent::kOutput;
  output.delivery->state = DeliveryState::kFailed;
  settle(output);
  settle(refused(b.id, "msg_3"));
  EXPECT_EQ(listed(all()), (std::vector<std::string>{"msg_3", "msg_2", "msg_1"}));
  WebhookFilter filter = all(1);
  EXPECT_EQ(listed(filter), std::vector<std::string>{"msg_3"});
  filter.before_row = webhooks().get_webhook("msg_3", 0)->row;
  EXPECT_EQ(listed(filter), std::vector<std::string>{"msg_2"});
  filter = all();
  filter.prediction = b.id;
  EXPECT_EQ(listed(filter), (std::vector<std::string>{"msg_3", "msg_2"}));
  filter.event = WebhookEvent::kOutput;
  EXPECT_EQ(listed(filter), std::vector<std::string>{"msg_2"});
  filter.state = DeliveryState::kPending;
  EXPECT_EQ(listed(filter), std::vector<std::string>{});
  filter = all();
  filter.account = make_account("stranger").id;
  EXPECT_EQ(listed(filter), std::vector<std::string>{});
}

TEST_P(WebhooksContract, WhatIsAskedForAgainIsDueOnceUnderItsOldId) {
  const NewPrediction p = hooked(2 | 8);
  WebhookSettlement output = refused(p.id, "msg_1");
  output.delivery->event = WebhookEvent::kOutput;
  output.delivery->state = DeliveryState::kFailed;
  settle(output);
  EXPECT_TRUE(hold(p.id, other_).is_held) << "no matter who holds the prediction";
  const AccountId stranger = make_account("stranger").id;
  EXPECT_TRUE(absl::IsNotFound(webhooks().redeliver_webhook("msg_1", stranger).status()));
  for (int i = 0; i < 2; ++i) {
    const auto again = webhooks().redeliver_webhook("msg_1", account_.id);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->state, DeliveryState::kPending);
  }
  const auto due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].redelivery_of, "msg_1");
  EXPECT_EQ(due[0].event, WebhookEvent::kOutput);
  EXPECT_EQ(due[0].url, "https://example.com/?a=b");
}

TEST_P(WebhooksContract, WhatIsStillTriedIsOnlyTriedSooner) {
  // The second: the last output of one whose end nobody wants.
  for (const std::uint8_t events : {8, 2}) {
    const NewPrediction p = hooked(events);
    finish(finish_of(p.id, 1));
    const WebhookDelivery claimed = claim(std::chrono::minutes{1}).at(0);
    const std::string id = "msg_" + std::to_string(events);
    WebhookSettlement put_off = outcome(claimed, id, DeliveryState::kPending);
    put_off.delay = std::chrono::minutes{1};
    settle(put_off);
    EXPECT_TRUE(claim(std::chrono::minutes{1}).empty());
    ASSERT_TRUE(webhooks().redeliver_webhook(id, account_.id).ok());
    const auto due = claim(std::chrono::minutes{1});
    ASSERT_EQ(due.size(), 1u);
    EXPECT_EQ(due[0].id, put_off.outbox_id);
  }
}

TEST_P(WebhooksContract, AnOutputOfBeforeIsNotTheLastOne) {
  const NewPrediction p = hooked(2);
  WebhookSettlement output = refused(p.id, "msg_1");
  output.delivery->event = WebhookEvent::kOutput;
  output.delivery->state = DeliveryState::kDelivered;
  settle(output);
  finish(finish_of(p.id, 1));
  WebhookSettlement put_off =
      outcome(claim(std::chrono::minutes{1}).at(0), "msg_2", DeliveryState::kPending);
  put_off.delay = std::chrono::minutes{1};
  settle(put_off);
  ASSERT_TRUE(webhooks().redeliver_webhook("msg_1", account_.id).ok());
  const auto due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].redelivery_of, "msg_1");
}

TEST_P(WebhooksContract, WhatIsOnItsWayIsNotSentTwiceByAskingForItAgain) {
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  settle(outcome(claim(std::chrono::minutes{1}).at(0), "msg_1", DeliveryState::kPending));
  const auto under_way = claim(std::chrono::minutes{1});
  ASSERT_EQ(under_way.size(), 1u);
  ASSERT_TRUE(webhooks().redeliver_webhook("msg_1", account_.id).ok());
  EXPECT_TRUE(claim(std::chrono::minutes{1}, other_).empty());
  settle(outcome(under_way[0], "msg_1", DeliveryState::kDelivered));
  EXPECT_EQ(state_of("msg_1"), DeliveryState::kDelivered);
  ASSERT_TRUE(webhooks().redeliver_webhook("msg_1", account_.id).ok());
  const auto again = claim(std::chrono::minutes{1}, other_);
  ASSERT_EQ(again.size(), 1u);
  ASSERT_TRUE(webhooks().redeliver_webhook("msg_1", account_.id).ok());
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty());
  settle(outcome(again[0], "msg_1", DeliveryState::kFailed));
  EXPECT_EQ(state_of("msg_1"), DeliveryState::kFailed) << "what was asked for last counts";
}

TEST_P(WebhooksContract, WhatTellsOfNoPredictionAnyMoreIsNotSentAgain) {
  const WallTime old = now_ - std::chrono::hours{24 * 30};
  NewPrediction p = new_prediction();
  p.id = Uuid::lowest_at(old);
  p.created_at = old;
  p.webhook = "https://example.com/?a=b";
  p.webhook_events = 8;
  ASSERT_TRUE(maintenance().make_partitions(old, std::chrono::hours{24}).ok());
  create(p);
  finish(finish_of(p.id, std::nullopt));
  settle(outcome(claim(std::chrono::minutes{1}).at(0), "msg_1", DeliveryState::kPending));
  Retention keep;
  keep.content = keep.records = std::chrono::hours{48};
  ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  const Status refused = webhooks().redeliver_webhook("msg_1", account_.id).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  const auto due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u) << "what was owed before";
  EXPECT_EQ(due[0].account, 0);
  WebhookSettlement gone = outcome(due[0], "msg_1", DeliveryState::kFailed);
  gone.delivery->account = 0;
  gone.attempt.error = "the prediction is gone";
  settle(gone);
  const auto found = webhooks().get_webhook("msg_1", account_.id);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->state, DeliveryState::kFailed);
  EXPECT_EQ(found->error, "the prediction is gone");
  EXPECT_EQ(found->next_at, std::nullopt);
  EXPECT_EQ(found->attempts, 1u) << "nothing was sent";
  gone.delivery->id = "msg_2";
  settle(gone);
  EXPECT_TRUE(absl::IsNotFound(webhooks().get_webhook("msg_2", 0).status()));
}

TEST_P(WebhooksContract, WhatWasSentGoesWithItsPartition) {
  const WallTime old = now_ - std::chrono::hours{24 * 5};
  NewPrediction p = new_prediction();
  p.id = Uuid::lowest_at(old);
  p.created_at = old;
  create(p);
  finish(finish_of(p.id, std::nullopt));
  settle(refused(p.id, "msg_1"));
  EXPECT_EQ(webhooks().list_webhook_attempts("msg_1")->at(0).request_body, R"({"input":"secret"})");
  Retention keep;
  keep.content = std::chrono::hours{48};
  ASSERT_TRUE(maintenance().make_partitions(old, std::chrono::hours{24}).ok());
  ASSERT_TRUE(maintenance().drop_expired(now_, keep).ok());
  EXPECT_TRUE(webhooks().list_webhook_attempts("msg_1")->empty());
  settle(refused(p.id, "msg_1"));
  const auto after = webhooks().list_webhook_attempts("msg_1");
  ASSERT_EQ(after->size(), 1u);
  EXPECT_EQ(after->at(0).request_body, "") << "not kept for a prediction whose content is gone";
  EXPECT_EQ(after->at(0).response_body, "");
  EXPECT_EQ(after->at(0).response_status, 500);
}

TEST_P(WebhooksContract, OldAndSurplusDeliveriesAreSwept) {
  const NewPrediction p = hooked(8);
  settle(refused(p.id, "msg_1"));
  const WallTime second = later();
  for (const char* id : {"msg_2", "msg_3", "msg_4"}) settle(refused(p.id, id));
  EXPECT_EQ(*webhooks().sweep_webhooks(now_ - std::chrono::hours{1}, 100), 0);
  EXPECT_EQ(*webhooks().sweep_webhooks(second, 100), 1);
  EXPECT_EQ(listed(all()), (std::vector<std::string>{"msg_4", "msg_3", "msg_2"}));
  EXPECT_EQ(*webhooks().sweep_webhooks(second, 2), 1);
  EXPECT_EQ(listed(all()), (std::vector<std::string>{"msg_4", "msg_3"}));
  EXPECT_TRUE(webhooks().list_webhook_attempts("msg_1")->empty());
  EXPECT_EQ(webhooks().list_webhook_attempts("msg_4")->size(), 1u);
}

TEST_P(WebhooksContract, EachAccountKeepsItsNewest) {
  const NewPrediction p = hooked(8);
  const std::vector<Account> others = {make_account("b"), make_account("c"), make_account("d")};
  for (int i = 0; i < 3; ++i) {
    for (const Account& other : {others[0], account_, others[2]}) {
      WebhookSettlement item = refused(p.id, other.username + std::to_string(i));
      item.delivery->account = other.id;
      settle(item);
    }
  }
  const WallTime before = now_ - std::chrono::hours{1};
  EXPECT_EQ(*webhooks().sweep_webhooks(before, 2), 3);
  EXPECT_EQ(*webhooks().sweep_webhooks(before, 2), 0);
  EXPECT_EQ(listed(all()), (std::vector<std::string>{"acme2", "acme1"}));
}

// --- secrets ---

TEST_P(WebhooksContract, AReplacedSecretSignsForAWhile) {
  const std::string first = webhooks().get_webhook_secrets(account_.id, now_)->current;
  EXPECT_EQ(first, "whsec_x");
  EXPECT_EQ(webhooks().get_webhook_secrets(account_.id, now_)->previous, "");
  const WallTime until = now_ + std::chrono::hours{24};
  ASSERT_EQ(webhooks().rotate_webhook_secret(account_.id, "whsec_y", until), absl::OkStatus());
  EXPECT_EQ(webhooks().get_webhook_secrets(account_.id, now_)->current, "whsec_y");
  EXPECT_EQ(webhooks().get_webhook_secrets(account_.id, now_)->previous, "whsec_x");
  EXPECT_EQ(webhooks().get_webhook_secrets(account_.id, until)->previous, "");
  const Account account = *catalog().get_account(account_.id);
  EXPECT_EQ(account.webhook_secret, "whsec_y");
  EXPECT_TRUE(account.file_secret.starts_with("fsec_")) << account.file_secret;
  EXPECT_NE(account.file_secret, account_.file_secret) << "that of the files, too";
  ASSERT_EQ(webhooks().rotate_webhook_secret(account_.id, "whsec_z", until), absl::OkStatus());
  EXPECT_EQ(webhooks().get_webhook_secrets(account_.id, now_)->previous, "whsec_y");
  EXPECT_TRUE(absl::IsNotFound(webhooks().rotate_webhook_secret(4711, "whsec_z", until)));
  EXPECT_TRUE(absl::IsNotFound(webhooks().get_webhook_secrets(4711, now_).status()));
}

}  // namespace mimeo::store
