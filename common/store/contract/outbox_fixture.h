// What tests of the outbox and of the log of webhooks have in common.

#pragma once

#include "common/store/contract/store_contract.h"

namespace mimeo::store {

class OutboxFixture : public StoreContract {
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
  static WebhookSettlement removal(const WebhookDelivery& claimed) {
    WebhookSettlement item;
    item.outbox_id = claimed.id;
    item.claim = claimed.claim;
    return item;
  }
  // What came of a claimed delivery, for the log as well.
  WebhookSettlement outcome(const WebhookDelivery& claimed, const std::string& id,
                            DeliveryState state) {
    WebhookSettlement item = refused(claimed.prediction, id);
    item.outbox_id = claimed.id;
    item.claim = claimed.claim;
    item.delivery->event = claimed.event;
    item.delivery->state = state;
    if (state == DeliveryState::kPending) {
      item.then = WebhookSettlement::Then::kTryAgain;
    } else {
      item.delivery->next_at.reset();
    }
    return item;
  }
  DeliveryState state_of(const std::string& id) {
    const auto found = webhooks().get_webhook(id, 0);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? found->state : DeliveryState::kPending;
  }
  // The events that are owed, in the order in which they are handed out.
  std::vector<WebhookEvent> owed() {
    std::vector<WebhookEvent> events;
    for (;;) {
      const auto due = claim(std::chrono::minutes{1});
      if (due.empty()) return events;
      for (const WebhookDelivery& one : due) {
        events.push_back(one.event);
        settle(removal(one));
      }
    }
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

}  // namespace mimeo::store
