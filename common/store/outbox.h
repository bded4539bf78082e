// Webhooks that still have to be delivered. Rows are written by PredictionStore in the same
// transaction as the change of state that they tell of; webhook_sender.h delivers them. Same rules
// as predictions.h.

#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"

namespace mimeo::store {

// Only these two are durable; `output` and `logs` come from the event hub and are never retried.
// Numbers are stored and are the bits of NewPrediction::webhook_events.
enum class WebhookEvent : std::uint8_t { kStart = 1, kCompleted = 8 };

struct WebhookDelivery {
  std::int64_t id = 0;  // Stable over retries: the webhook-id.
  PredictionId prediction;
  WebhookEvent event = WebhookEvent::kCompleted;
  std::uint32_t tries = 0;  // How often it was claimed before.
  WallTime created_at;
};

class OutboxStore {
 public:
  virtual ~OutboxStore() = default;

  // Up to `limit` due deliveries, oldest first, for this caller alone: they become due again after
  // `lease` unless they are removed or put off. Claiming counts as a try.
  virtual Result<std::vector<WebhookDelivery>> claim_due(std::size_t limit,
                                                         std::chrono::milliseconds lease) = 0;
  // Delivered, or given up. Unknown ids are ignored.
  virtual Status remove_deliveries(std::span<const std::int64_t> ids) = 0;
  // Due again after `delay`. Unknown ids are ignored.
  virtual Status put_off_delivery(std::int64_t id, std::chrono::milliseconds delay) = 0;
};

}  // namespace mimeo::store
