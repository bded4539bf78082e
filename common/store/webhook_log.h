// What became of webhooks, for those who sent for them: one row per delivery, one per attempt, and
// the secrets that sign them. Attempts hold what was sent and answered, so whoever removes the
// content of a prediction removes them with it. Written by OutboxStore::settle (outbox.h). Same
// rules as predictions.h.

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"

namespace mimeo::store {

// Numbers are stored and are the bits of NewPrediction::webhook_events.
enum class WebhookEvent : std::uint8_t { kStart = 1, kOutput = 2, kLogs = 4, kCompleted = 8 };
// One more of those bits: the caller named the events, they are not the default.
inline constexpr std::uint8_t kWebhookEventsGiven = 16;
// Their names in the API.
struct WebhookEventName {
  WebhookEvent event;
  std::string_view name;
};
inline constexpr std::array kWebhookEventNames{
    WebhookEventName{WebhookEvent::kStart, "start"},
    WebhookEventName{WebhookEvent::kOutput, "output"},
    WebhookEventName{WebhookEvent::kLogs, "logs"},
    WebhookEventName{WebhookEvent::kCompleted, "completed"}};
[[nodiscard]] constexpr std::string_view name_of(WebhookEvent event) {
  for (const WebhookEventName& known : kWebhookEventNames) {
    if (known.event == event) return known.name;
  }
  return "";
}
[[nodiscard]] constexpr std::optional<WebhookEvent> webhook_event_of(std::string_view name) {
  for (const WebhookEventName& known : kWebhookEventNames) {
    if (known.name == name) return known.event;
  }
  return std::nullopt;
}

// One request and what came of it. Texts are bounded by who writes them.
struct WebhookAttempt {
  std::uint32_t number = 0;  // From 1; given by the store.
  WallTime at;
  std::chrono::milliseconds took{0};
  std::string request_headers;     // JSON object, without the signature; empty = nothing was sent.
  std::string request_body;        // Its beginning.
  std::int64_t request_bytes = 0;  // Of the whole body.
  std::int32_t response_status = 0;  // 0 = no answer.
  std::string response_headers;      // JSON object.
  std::string response_body;         // Its beginning.
  std::string error;                 // Why it does not count as delivered; empty = it does.
};

enum class DeliveryState : std::uint8_t {
  kPending = 0,    // Will be tried again.
  kDelivered = 1,  // The receiver answered 2xx.
  kFailed = 2,     // Given up.
};
// Their names in the API.
struct DeliveryStateName {
  DeliveryState state;
  std::string_view name;
};
inline constexpr std::array kDeliveryStateNames{
    DeliveryStateName{DeliveryState::kPending, "pending"},
    DeliveryStateName{DeliveryState::kDelivered, "delivered"},
    DeliveryStateName{DeliveryState::kFailed, "failed"}};
[[nodiscard]] constexpr std::string_view name_of(DeliveryState state) {
  for (const DeliveryStateName& known : kDeliveryStateNames) {
    if (known.state == state) return known.name;
  }
  return "";
}
[[nodiscard]] constexpr std::optional<DeliveryState> delivery_state_of(std::string_view name) {
  for (const DeliveryStateName& known : kDeliveryStateNames) {
    if (known.name == name) return known.state;
  }
  return std::nullopt;
}

struct LoggedWebhook {
  std::int64_t row = 0;  // Rises with the first attempt's time; given by the store.
  std::string id;        // The webhook-id.
  AccountId account = 0;
  PredictionId prediction;
  WebhookEvent event = WebhookEvent::kCompleted;
  std::string url;
  DeliveryState state = DeliveryState::kPending;
  std::uint32_t attempts = 0;
  WallTime created_at;               // Of the first attempt.
  WallTime changed_at;               // Of the newest.
  std::optional<WallTime> next_at;   // With kPending.
  std::int32_t response_status = 0;  // Of the newest attempt.
  std::string error;
};

struct WebhookFilter {
  AccountId account = 0;
  std::optional<PredictionId> prediction;
  std::optional<WebhookEvent> event;
  std::optional<DeliveryState> state;
  std::int64_t before_row = 0;  // Rows below it; 0 = from the newest.
  std::size_t limit = 100;
};

struct WebhookSecrets {
  std::string current;
  std::string previous;  // Signs as well until it expires; empty = none.
};

class WebhookLogStore {
 public:
  virtual ~WebhookLogStore() = default;

  // Newest first.
  virtual Result<std::vector<LoggedWebhook>> list_webhooks(const WebhookFilter& filter) = 0;
  // kNotFound. `account` 0 = any (internal callers).
  virtual Result<LoggedWebhook> get_webhook(std::string_view id, AccountId account) = 0;
  // Oldest first; empty once the prediction's content was removed.
  virtual Result<std::vector<WebhookAttempt>> list_webhook_attempts(std::string_view id) = 0;
  // Sends it once more, at once. What is still to be tried is only tried sooner, and what is on its
  // way left alone. kNotFound; kFailedPrecondition when the prediction is gone.
  virtual Result<LoggedWebhook> redeliver_webhook(std::string_view id, AccountId account) = 0;

  // Removes deliveries whose first attempt was before `before`, and of each account all but the
  // newest `per_account`; a few thousand per call. Returns how many: call again until it is 0.
  virtual Result<std::int64_t> sweep_webhooks(WallTime before, std::size_t per_account) = 0;

  // What signs at `now`. kNotFound.
  virtual Result<WebhookSecrets> get_webhook_secrets(AccountId account, WallTime now) = 0;
  // The secret until now goes on signing until `until`; one before it ends. The account's file
  // secret is replaced, too. kNotFound.
  virtual Status rotate_webhook_secret(AccountId account, std::string_view secret,
                                       WallTime until) = 0;
};

}  // namespace mimeo::store
