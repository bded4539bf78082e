// The identity and the signature of a webhook, as standard-webhooks prescribes them.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/base/status.h"
#include "common/http/message.h"
#include "common/store/webhook_log.h"

namespace mimeo::control {

// "msg_" and 27 base62 characters: a second and 128 bits, as KSUIDs have them, so that ids sort by
// time.
[[nodiscard]] std::string make_webhook_id(WallTime at, const std::array<std::uint8_t, 16>& payload);
// Of something that is sent once.
[[nodiscard]] std::string make_webhook_id(WallTime at, Random& random);
// Of what is owed once per prediction: the same whoever sends it and however often.
[[nodiscard]] std::string webhook_id_of(PredictionId prediction, store::WebhookEvent event);

// All headers of the request but webhook-signature.
[[nodiscard]] http::Headers webhook_headers(std::string_view id, WallTime at);
// The value of webhook-signature: one signature per secret ("whsec_" and base64), with blanks
// between. kInvalidArgument for another form of secret.
[[nodiscard]] Result<std::string> sign_webhook(std::span<const std::string> secrets,
                                               std::string_view id, WallTime at,
                                               std::string_view body);

}  // namespace mimeo::control
