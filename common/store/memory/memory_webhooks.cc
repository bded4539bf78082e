// The OutboxStore and WebhookLogStore parts of MemoryStore.

#include <algorithm>

#include "common/store/memory/memory_store.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

Status no_such_webhook() { return absl::NotFoundError("no such webhook"); }

}  // namespace

bool MemoryStore::may_claim(const OutboxRecord& record, ReplicaId sender) const {
  const WebhookDelivery& delivery = record.delivery;
  if (record.due_at > clock_.now()) return false;
  if (!delivery.redelivery_of.empty()) return true;
  const bool is_behind = std::any_of(outbox_.begin(), outbox_.end(), [&](const auto& entry) {
    const WebhookDelivery& other = entry.second.delivery;
    return other.prediction == delivery.prediction && other.id < delivery.id &&
           other.redelivery_of.empty();
  });
  const auto hold = webhook_holds_.find(delivery.prediction);
  const bool is_held = hold != webhook_holds_.end() && hold->second.sender != sender &&
                       hold->second.until > clock_.now();
  return !is_behind && !is_held;
}

Result<std::vector<WebhookDelivery>> MemoryStore::claim_due(std::size_t limit,
                                                            std::chrono::milliseconds lease,
                                                            ReplicaId sender) {
  const std::scoped_lock lock(mutex_);
  std::vector<OutboxRecord*> due;
  for (auto& [id, record] : outbox_) {
    if (may_claim(record, sender)) due.push_back(&record);
  }
  std::stable_sort(due.begin(), due.end(),
                   [](const auto* a, const auto* b) { return a->due_at < b->due_at; });
  if (due.size() > limit) due.resize(limit);
  std::vector<WebhookDelivery> claimed;
  for (OutboxRecord* record : due) {
    WebhookDelivery delivery = record->delivery;
    if (const auto found = predictions_.find(delivery.prediction); found != predictions_.end()) {
      delivery.account = found->second.account;
      delivery.url = found->second.webhook;
    }
    delivery.claim = ++record->delivery.claim;
    claimed.push_back(std::move(delivery));
    ++record->delivery.tries;
    record->due_at = clock_.now() + lease;
    record->is_claimed = true;
  }
  return claimed;
}

void MemoryStore::log_webhook(const WebhookSettlement& item, bool is_stale) {
  const LoggedWebhook& given = *item.delivery;
  if (given.account == 0) {
    const auto found = webhooks_.find(given.id);
    if (found == webhooks_.end()) return;
    LoggedWebhook& known = found->second.delivery;
    if (known.state != DeliveryState::kPending) return;
    known.state = DeliveryState::kFailed;
    known.next_at.reset();
    known.changed_at = item.attempt.at;
    known.error = sanitize_text(item.attempt.error);
    return;
  }
  WebhookRecord& record = webhooks_[given.id];
  const bool is_new = record.delivery.row == 0;
  const LoggedWebhook before = std::exchange(record.delivery, given);
  LoggedWebhook& delivery = record.delivery;
  delivery.row = is_new ? ++last_id_ : before.row;
  delivery.created_at = is_new ? item.attempt.at : before.created_at;
  delivery.attempts = before.attempts + 1;
  delivery.changed_at = item.attempt.at;
  delivery.url = sanitize_text(given.url);
  delivery.error = sanitize_text(item.attempt.error);
  delivery.response_status = item.attempt.response_status;
  if (!is_new) {
    const bool is_delivered =
        before.state == DeliveryState::kDelivered || given.state == DeliveryState::kDelivered;
    if (is_delivered) {
      delivery.state = DeliveryState::kDelivered;
      delivery.next_at.reset();
    } else if (is_stale) {
      delivery.state = before.state;
      delivery.next_at = before.next_at;
    }
  }
  WebhookAttempt attempt = item.attempt;
  attempt.number = delivery.attempts;
  for (std::string* text : {&attempt.request_body, &attempt.response_body, &attempt.error,
                            &attempt.request_headers, &attempt.response_headers}) {
    *text = sanitize_text(*text);
  }
  if (!predictions_.contains(given.prediction) || without_content_.contains(given.prediction)) {
    attempt.request_body.clear();
    attempt.response_body.clear();
  }
  record.attempts.push_back(std::move(attempt));
}

// False when it was claimed anew meanwhile, or is not there.
bool MemoryStore::settle_outbox(const WebhookSettlement& item) {
  const auto found = outbox_.find(item.outbox_id);
  if (found == outbox_.end() || found->second.delivery.claim != item.claim) return false;
  OutboxRecord& record = found->second;
  if (item.then == WebhookSettlement::Then::kRemove) {
    const WebhookDelivery& delivery = record.delivery;
    if (delivery.event != WebhookEvent::kStart && delivery.redelivery_of.empty()) {
      webhook_holds_.erase(delivery.prediction);
    }
    outbox_.erase(found);
    return true;
  }
  record.due_at = clock_.now() + item.delay;
  record.is_claimed = false;
  const bool is_free = item.then == WebhookSettlement::Then::kTryAgainFreely;
  if (is_free && record.delivery.tries > 0) --record.delivery.tries;
  return true;
}

Status MemoryStore::settle(std::span<const WebhookSettlement> batch) {
  const std::scoped_lock lock(mutex_);
  for (const WebhookSettlement& item : batch) {
    const bool is_settled = settle_outbox(item);
    if (item.delivery) log_webhook(item, item.outbox_id != 0 && !is_settled);
  }
  return absl::OkStatus();
}

Result<std::vector<WebhookHold>> MemoryStore::hold_predictions(std::span<const PredictionId> ids,
                                                               ReplicaId sender,
                                                               std::chrono::milliseconds lease) {
  const std::scoped_lock lock(mutex_);
  const WallTime now = clock_.now();
  std::vector<WebhookHold> holds;
  for (const PredictionId id : ids) {
    HoldRecord& record = webhook_holds_[id];
    WebhookHold hold;
    hold.is_held = record.sender.is_nil() || record.sender == sender || record.until <= now;
    if (hold.is_held) record = {sender, now + lease};
    const auto active = active_.find(id);
    hold.is_active = active != active_.end();
    hold.has_started = hold.is_active && active->second.row.started_at.has_value();
    hold.owes_start = std::any_of(outbox_.begin(), outbox_.end(), [id](const auto& entry) {
      const WebhookDelivery& other = entry.second.delivery;
      return other.prediction == id && other.event == WebhookEvent::kStart &&
             other.redelivery_of.empty();
    });
    holds.push_back(hold);
  }
  return holds;
}

Status MemoryStore::release_holds(ReplicaId sender) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(webhook_holds_,
                [sender](const auto& entry) { return entry.second.sender == sender; });
  return absl::OkStatus();
}

Result<std::vector<LoggedWebhook>> MemoryStore::list_webhooks(const WebhookFilter& filter) {
  const std::scoped_lock lock(mutex_);
  std::vector<LoggedWebhook> found;
  for (const auto& [id, record] : webhooks_) {
    const LoggedWebhook& d = record.delivery;
    const bool matches = d.account == filter.account &&
                         (!filter.prediction || d.prediction == *filter.prediction) &&
                         (!filter.event || d.event == *filter.event) &&
                         (!filter.state || d.state == *filter.state) &&
                         (filter.before_row == 0 || d.row < filter.before_row);
    if (matches) found.push_back(d);
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.row > b.row; });
  if (found.size() > filter.limit) found.resize(filter.limit);
  return found;
}

Result<LoggedWebhook> MemoryStore::get_webhook(std::string_view id, AccountId account) {
  const std::scoped_lock lock(mutex_);
  const auto found = webhooks_.find(id);
  if (found == webhooks_.end()) return no_such_webhook();
  if (account != 0 && account != found->second.delivery.account) return no_such_webhook();
  return found->second.delivery;
}

Result<std::vector<WebhookAttempt>> MemoryStore::list_webhook_attempts(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  const auto found = webhooks_.find(id);
  if (found == webhooks_.end()) return std::vector<WebhookAttempt>{};
  return found->second.attempts;
}

Result<LoggedWebhook> MemoryStore::redeliver_webhook(std::string_view id, AccountId account) {
  const std::scoped_lock lock(mutex_);
  const auto found = webhooks_.find(id);
  if (found == webhooks_.end()) return no_such_webhook();
  LoggedWebhook& delivery = found->second.delivery;
  if (account != 0 && account != delivery.account) return no_such_webhook();
  if (!predictions_.contains(delivery.prediction)) {
    return absl::FailedPreconditionError("the prediction is gone");
  }
  bool is_waiting = false;
  // `output` and `logs` of a running prediction are not tried again by themselves: one that is
  // pending is the last of its prediction.
  const bool may_be_owed = delivery.event == WebhookEvent::kStart ||
                           delivery.event == WebhookEvent::kCompleted ||
                           delivery.state == DeliveryState::kPending;
  delivery.state = DeliveryState::kPending;
  delivery.next_at = clock_.now();
  for (auto& [row, record] : outbox_) {
    const WebhookDelivery& other = record.delivery;
    if (other.prediction != delivery.prediction || other.event != delivery.event) continue;
    const bool is_same = other.redelivery_of == id || (other.redelivery_of.empty() && may_be_owed);
    const bool is_leased = record.is_claimed && record.due_at > clock_.now();
    if (is_same && !is_leased) record.due_at = clock_.now();
    is_waiting |= is_same;
  }
  if (!is_waiting) {
    add_delivery(delivery.prediction, delivery.event);
    outbox_.at(last_id_).delivery.redelivery_of = std::string(id);
  }
  return delivery;
}

void MemoryStore::forget_attempts(PredictionId id) {
  for (auto& [name, webhook] : webhooks_) {
    if (webhook.delivery.prediction == id) webhook.attempts.clear();
  }
}

Result<std::int64_t> MemoryStore::sweep_webhooks(WallTime before, std::size_t per_account) {
  const std::scoped_lock lock(mutex_);
  std::map<AccountId, std::vector<std::int64_t>> rows;
  for (const auto& [id, record] : webhooks_) {
    rows[record.delivery.account].push_back(record.delivery.row);
  }
  for (auto& [account, numbers] : rows) std::sort(numbers.rbegin(), numbers.rend());
  return static_cast<std::int64_t>(std::erase_if(webhooks_, [&](const auto& entry) {
    const LoggedWebhook& d = entry.second.delivery;
    const std::vector<std::int64_t>& numbers = rows.at(d.account);
    const bool is_beyond = numbers.size() > per_account && d.row <= numbers[per_account];
    return d.created_at < before || is_beyond;
  }));
}

Result<WebhookSecrets> MemoryStore::get_webhook_secrets(AccountId account, WallTime now) {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(account);
  if (found == accounts_.end()) return absl::NotFoundError("no such account");
  WebhookSecrets secrets;
  secrets.current = found->second.webhook_secret;
  const auto replaced = replaced_secrets_.find(account);
  if (replaced != replaced_secrets_.end() && replaced->second.second > now) {
    secrets.previous = replaced->second.first;
  }
  return secrets;
}

Status MemoryStore::rotate_webhook_secret(AccountId account, std::string_view secret,
                                          WallTime until) {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(account);
  if (found == accounts_.end()) return absl::NotFoundError("no such account");
  std::string& current = found->second.webhook_secret;
  found->second.file_secret = next_file_secret();
  replaced_secrets_[account] = {std::exchange(current, std::string(secret)), until};
  return absl::OkStatus();
}

}  // namespace mimeo::store
