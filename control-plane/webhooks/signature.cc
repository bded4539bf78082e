#include "control-plane/webhooks/signature.h"

#include <algorithm>
#include <optional>

#include "common/crypto/crypto.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::string_view kBase62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::int64_t kKsuidEpoch = 1'400'000'000;  // Unix seconds; theirs begins in 2014.
constexpr std::size_t kKsuidLength = 27;

std::int64_t unix_seconds(WallTime at) {
  return std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
}

// The big-endian number `bytes` in base 62, most significant digit first.
std::string base62(std::array<std::uint8_t, 20> bytes) {
  std::string digits(kKsuidLength, kBase62[0]);
  for (std::size_t place = kKsuidLength; place-- > 0;) {
    unsigned rest = 0;
    for (std::uint8_t& byte : bytes) {
      const unsigned value = rest * 256 + byte;
      byte = static_cast<std::uint8_t>(value / 62);
      rest = value % 62;
    }
    digits[place] = kBase62[rest];
  }
  return digits;
}

}  // namespace

std::string make_webhook_id(WallTime at, const std::array<std::uint8_t, 16>& payload) {
  const auto second = static_cast<std::uint32_t>(unix_seconds(at) - kKsuidEpoch);
  std::array<std::uint8_t, 20> bytes{};
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[i] = static_cast<std::uint8_t>(second >> (24 - 8 * i));
  }
  std::copy(payload.begin(), payload.end(), bytes.begin() + 4);
  return "msg_" + base62(bytes);
}

std::string make_webhook_id(WallTime at, Random& random) {
  std::array<std::uint8_t, 16> payload{};
  random.fill(payload);
  return make_webhook_id(at, payload);
}

std::string webhook_id_of(PredictionId prediction, store::WebhookEvent event) {
  const std::string hash =
      crypto::sha256(concat("webhook ", prediction.hex(), " ", static_cast<int>(event)));
  std::array<std::uint8_t, 16> payload{};
  std::copy_n(hash.begin(), payload.size(), payload.begin());
  return make_webhook_id(prediction.created_at(), payload);
}

http::Headers webhook_headers(std::string_view id, WallTime at) {
  http::Headers headers;
  headers.add("Content-Type", "application/json");
  headers.add("User-Agent", "Mimeo-Webhooks/1");
  headers.add("webhook-id", std::string(id));
  headers.add("webhook-timestamp", std::to_string(unix_seconds(at)));
  return headers;
}

Result<std::string> sign_webhook(std::span<const std::string> secrets, std::string_view id,
                                 WallTime at, std::string_view body) {
  constexpr std::string_view kPrefix = "whsec_";
  const std::string head = concat(id, ".", unix_seconds(at), ".");
  const std::array<std::string_view, 2> content = {head, body};  // Bodies are large: no copy.
  std::string signatures;
  for (const std::string& secret : secrets) {
    std::optional<std::string> key;
    if (secret.starts_with(kPrefix)) {
      key = crypto::base64_decode(std::string_view(secret).substr(kPrefix.size()));
    }
    if (!key) return absl::InvalidArgumentError("the account's webhook secret is malformed");
    if (!signatures.empty()) signatures += ' ';
    signatures += "v1," + crypto::base64(crypto::hmac_sha256(*key, content));
  }
  return signatures;
}

}  // namespace mimeo::control
