// Webhooks that still have to be delivered. Rows are written by PredictionStore in the same
// transaction as the change of state that they tell of; webhook_sender.h delivers them. Same rules
// as predictions.h.
//
// Order: `completed` is not handed out while `start` of the same prediction is still owed, nor
// while another sender may be sending `output` or `logs` of it (a hold).

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/store/webhook_log.h"

namespace mimeo::store {

// `start` and `completed` are durable, and so is one last `output` or `logs` of a prediction that
// has ended and whose `completed` nobody wants. Otherwise those two come from the event hub, are
// never retried, and are only here when somebody asked for one again.
struct WebhookDelivery {
  std::int64_t id = 0;
  PredictionId prediction;
  WebhookEvent event = WebhookEvent::kCompleted;
  std::string redelivery_of;  // The webhook-id of what is sent again on request; else empty.
  std::uint32_t tries = 0;    // How often it was tried before.
  std::uint32_t claim = 0;    // Which claim of it this is: for settle().
  WallTime created_at;
  AccountId account = 0;
  std::string url;  // Empty when the prediction is gone.
};

// Whether a sender may send `output` and `logs` of a prediction now.
struct WebhookHold {
  bool is_held = false;      // By this sender, for the time it asked for.
  bool is_active = false;    // The prediction has not ended.
  bool has_started = false;  // Its start is written, and so is the row of `start`.
  bool owes_start = false;   // That row is still here.
};

// How a claimed delivery, or one that never was in the outbox, ended.
struct WebhookSettlement {
  enum class Then : std::uint8_t {
    kRemove,          // Delivered, or given up.
    kTryAgain,        // Due again after `delay`.
    kTryAgainFreely,  // The same; this one does not count as a try.
  };
  std::int64_t outbox_id = 0;  // 0 = not in the outbox. Unknown ids are ignored.
  std::uint32_t claim = 0;     // As it was handed out.
  Then then = Then::kRemove;
  std::chrono::milliseconds delay{0};
  // For the log, with `attempt` as its newest; nullopt = nothing worth telling. Of `delivery`,
  // `row`, `attempts`, `created_at` and `changed_at` are the store's to fill. Account 0: the
  // prediction is gone; what the log has as pending has failed, and nothing is added.
  std::optional<LoggedWebhook> delivery;
  WebhookAttempt attempt;
};

class OutboxStore {
 public:
  virtual ~OutboxStore() = default;

  // Up to `limit` due deliveries, longest due first, for this caller alone: they become due again
  // after `lease` unless they are settled. Claiming counts as a try.
  virtual Result<std::vector<WebhookDelivery>> claim_due(std::size_t limit,
                                                         std::chrono::milliseconds lease,
                                                         ReplicaId sender) = 0;
  // All or nothing; may be lost when the database crashes (the deliveries are then sent again).
  // Attempts on predictions whose content is gone are kept without theirs. A claim that is not the
  // newest any more moves nothing in the outbox; the log gets its attempt, and its state only when
  // it was delivered. Nothing but redeliver_webhook() takes back that something was delivered.
  virtual Status settle(std::span<const WebhookSettlement> batch) = 0;

  // Asks to send `output` and `logs` of these predictions, without others doing the same, for
  // `lease`; one answer each, in order.
  virtual Result<std::vector<WebhookHold>> hold_predictions(std::span<const PredictionId> ids,
                                                            ReplicaId sender,
                                                            std::chrono::milliseconds lease) = 0;
  // Gives up this sender's holds.
  virtual Status release_holds(ReplicaId sender) = 0;
};

}  // namespace mimeo::store
