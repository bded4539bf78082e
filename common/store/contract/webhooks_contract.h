// Contract of webhooks: what is owed and in which order, what is logged of it, secrets.

#pragma once

#include "common/store/contract/store_contract.h"

namespace mimeo::store {

class WebhooksContract : public StoreContract {
 protected:
  std::vector<WebhookDelivery> claim(std::chrono::milliseconds lease, ReplicaId sender) {
    const auto due = outbox().claim_due(100, lease, sender);
    EXPECT_TRUE(due.ok()) << due.status();
    return due.value_or(std::vector<WebhookDelivery>{});
  }
  std::vector<WebhookDelivery> claim(std::chrono::milliseconds lease) {
    return claim(lease, sender_);
  }
  NewPrediction hooked(std::uint8_t events) {
    NewPrediction p = new_prediction();
    p.grant = grant();
    p.webhook = "https://example.com/?a=b";
    p.webhook_events = events;
    create(p);
    return p;
  }
  static WebhookSettlement removal(std::int64_t outbox_id) {
    WebhookSettlement item;
    item.outbox_id = outbox_id;
    return item;
  }
  // An attempt on `prediction` that the receiver refused, to be tried again.
  WebhookSettlement refused(PredictionId prediction, const std::string& id) {
    WebhookSettlement item;
    item.delivery.emplace();
    item.delivery->id = id;
    item.delivery->account = account_.id;
    item.delivery->prediction = prediction;
    item.delivery->event = WebhookEvent::kCompleted;
    item.delivery->url = "https://example.com/?a=b";
    item.delivery->state = DeliveryState::kPending;
    item.delivery->next_at = now_ + std::chrono::seconds{1};
    item.attempt.at = later();
    item.attempt.took = std::chrono::milliseconds{17};
    item.attempt.request_headers = R"({"webhook-id":"x"})";
    item.attempt.request_body = R"({"input":"secret"})";
    item.attempt.request_bytes = 4711;
    item.attempt.response_status = 500;
    item.attempt.response_headers = R"({"Server":"x"})";
    item.attempt.response_body = std::string("no\0no \xff", 7);
    item.attempt.error = "the receiver answered 500";
    return item;
  }
  void settle(const WebhookSettlement& item) {
    ASSERT_EQ(outbox().settle({&item, 1}), absl::OkStatus());
  }
  WebhookHold hold(PredictionId id, ReplicaId sender,
                   std::chrono::milliseconds lease = std::chrono::minutes{1}) {
    const auto holds = outbox().hold_predictions({&id, 1}, sender, lease);
    EXPECT_TRUE(holds.ok()) << holds.status();
    return holds.ok() && holds->size() == 1 ? holds->at(0) : WebhookHold{};
  }
  std::vector<std::string> listed(const WebhookFilter& filter) {
    const auto page = webhooks().list_webhooks(filter);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> ids;
    for (const LoggedWebhook& one : page.value_or(std::vector<LoggedWebhook>{})) {
      ids.push_back(one.id);
    }
    return ids;
  }
  WebhookFilter all(std::size_t limit = 100) const {
    WebhookFilter filter;
    filter.account = account_.id;
    filter.limit = limit;
    return filter;
  }

  const ReplicaId sender_ = ids_.next();
  const ReplicaId other_ = ids_.next();
};

// --- what is owed ---

TEST_P(WebhooksContract, WebhooksAreOwedForWhatWasAskedFor) {
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
  settle(removal(due[0].id));
  due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].prediction, p.id);
  EXPECT_EQ(due[0].event, WebhookEvent::kCompleted);
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty()) << "claimed by somebody";
}

TEST_P(WebhooksContract, CancelOwesAWebhookToo) {
  NewPrediction p = new_prediction();
  p.webhook = "https://example.com";
  p.webhook_events = 8;
  create(p);
  ASSERT_TRUE(predictions().cancel(p.id, 0, later()).ok());
  EXPECT_EQ(claim(std::chrono::minutes{1}).size(), 1u);
}

TEST_P(WebhooksContract, ARetryStartsQuietly) {
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

TEST_P(WebhooksContract, ADueWebhookNamesItsReceiver) {
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  const auto due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].url, "https://example.com/?a=b");
  EXPECT_EQ(due[0].account, account_.id);
  EXPECT_EQ(due[0].redelivery_of, "");
}

TEST_P(WebhooksContract, ADeliveryComesBackUntilItIsSettled) {
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  const auto first = claim(std::chrono::milliseconds{0});
  ASSERT_EQ(first.size(), 1u);
  const auto again = claim(std::chrono::minutes{1}, other_);
  ASSERT_EQ(again.size(), 1u) << "the lease of the first claim was over at once";
  EXPECT_EQ(again[0].id, first[0].id);
  EXPECT_EQ(again[0].tries, 1u);
  WebhookSettlement later_on = removal(first[0].id);
  later_on.then = WebhookSettlement::Then::kTryAgain;
  settle(later_on);
  EXPECT_EQ(claim(std::chrono::minutes{1}).at(0).tries, 2u);
  later_on.then = WebhookSettlement::Then::kTryAgainFreely;
  settle(later_on);
  EXPECT_EQ(claim(std::chrono::minutes{1}).at(0).tries, 2u) << "the one before did not count";
  later_on.delay = std::chrono::minutes{1};
  settle(later_on);
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty());
  settle(removal(first[0].id));
  settle(removal(first[0].id + 1000));
  later_on.delay = std::chrono::milliseconds{0};
  settle(later_on);
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty());
}

TEST_P(WebhooksContract, TheEndIsNotHandedOutBeforeTheStartIsSettled) {
  const NewPrediction p = hooked(1 | 8);
  start(p.id, 1);
  finish(finish_of(p.id, 1));
  const auto first = claim(std::chrono::minutes{1});
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].event, WebhookEvent::kStart);
  EXPECT_TRUE(claim(std::chrono::minutes{1}, other_).empty());
  settle(removal(first[0].id));
  const auto second = claim(std::chrono::minutes{1}, other_);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].event, WebhookEvent::kCompleted);
}

TEST_P(WebhooksContract, TheEndWaitsForWhoeverHoldsThePrediction) {
  const NewPrediction p = hooked(2 | 8);
  start(p.id, 1);
  EXPECT_TRUE(hold(p.id, sender_).is_held);
  EXPECT_FALSE(hold(p.id, other_).is_held) << "one at a time";
  EXPECT_TRUE(hold(p.id, sender_).is_held) << "renewed";
  finish(finish_of(p.id, 1));
  EXPECT_TRUE(claim(std::chrono::minutes{1}, other_).empty());
  const auto due = claim(std::chrono::milliseconds{0}, sender_);
  ASSERT_EQ(due.size(), 1u);
  settle(removal(due[0].id));
  EXPECT_TRUE(hold(p.id, other_).is_held) << "gone with the last webhook";
}

TEST_P(WebhooksContract, AHoldEndsWithItsTimeOrItsSender) {
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

TEST_P(WebhooksContract, AHoldSaysWhetherTheStartIsOut) {
  const NewPrediction p = hooked(1 | 2);
  WebhookHold at = hold(p.id, sender_);
  EXPECT_TRUE(at.is_active);
  EXPECT_FALSE(at.has_started);
  start(p.id, 1);
  at = hold(p.id, sender_);
  EXPECT_TRUE(at.has_started);
  EXPECT_TRUE(at.owes_start);
  settle(removal(claim(std::chrono::minutes{1}).at(0).id));
  EXPECT_FALSE(hold(p.id, sender_).owes_start);
  finish(finish_of(p.id, 1));
  EXPECT_FALSE(hold(p.id, sender_).is_active);
  EXPECT_FALSE(hold(ids_.next(), sender_).is_active) << "never heard of";
}

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
  const NewPrediction p = hooked(8);
  finish(finish_of(p.id, 1));
  WebhookSettlement put_off = refused(p.id, "msg_1");
  put_off.outbox_id = claim(std::chrono::minutes{1}).at(0).id;
  put_off.then = WebhookSettlement::Then::kTryAgain;
  put_off.delay = std::chrono::minutes{1};
  settle(put_off);
  EXPECT_TRUE(claim(std::chrono::minutes{1}).empty());
  ASSERT_TRUE(webhooks().redeliver_webhook("msg_1", account_.id).ok());
  const auto due = claim(std::chrono::minutes{1});
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].id, put_off.outbox_id);
}

TEST_P(WebhooksContract, WhatWasSentGoesWithThePredictionsContent) {
  const NewPrediction removed = hooked(8);
  const NewPrediction kept = hooked(8);
  settle(refused(removed.id, "msg_1"));
  settle(refused(kept.id, "msg_2"));
  ASSERT_EQ(webhooks().remove_webhook_content({&removed.id, 1}), absl::OkStatus());
  EXPECT_TRUE(webhooks().list_webhook_attempts("msg_1")->empty());
  EXPECT_EQ(webhooks().list_webhook_attempts("msg_2")->size(), 1u);
  EXPECT_EQ(webhooks().get_webhook("msg_1", 0)->attempts, 1u) << "that it was sent is known";
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
  EXPECT_EQ(catalog().get_account(account_.id)->webhook_secret, "whsec_y");
  ASSERT_EQ(webhooks().rotate_webhook_secret(account_.id, "whsec_z", until), absl::OkStatus());
  EXPECT_EQ(webhooks().get_webhook_secrets(account_.id, now_)->previous, "whsec_y");
  EXPECT_TRUE(absl::IsNotFound(webhooks().rotate_webhook_secret(4711, "whsec_z", until)));
  EXPECT_TRUE(absl::IsNotFound(webhooks().get_webhook_secrets(4711, now_).status()));
}

}  // namespace mimeo::store
