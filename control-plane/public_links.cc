#include "control-plane/public_links.h"

#include <algorithm>

#include "common/crypto/crypto.h"
#include "common/http/message.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kIdLength = 26;
constexpr std::size_t kSecretLength = 26;  // 130 bits.

bool is_base32(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return kCrockfordAlphabet.find(c) != std::string_view::npos; });
}

}  // namespace

std::string make_stream_token(PredictionId id, StreamKind kind, Random& random) {
  if (kind == StreamKind::kNone) return {};
  return id.str() + (kind == StreamKind::kFiles ? 'f' : 't') + random.base32(kSecretLength);
}

std::optional<StreamToken> parse_stream_token(std::string_view token) {
  if (token.size() != kStreamTokenLength || !is_base32(token.substr(kIdLength + 1))) {
    return std::nullopt;
  }
  const Result<Uuid> id = Uuid::parse(token.substr(0, kIdLength));
  if (!id.ok()) return std::nullopt;
  switch (token[kIdLength]) {
    case 't':
      return StreamToken{.prediction = *id, .kind = StreamKind::kText};
    case 'f':
      return StreamToken{.prediction = *id, .kind = StreamKind::kFiles};
    default:
      return std::nullopt;
  }
}

std::string make_delivery_token(PredictionId id, Random& random) {
  return id.str() + random.base32(kSecretLength);
}

std::optional<DeliveryToken> parse_delivery_token(std::string_view token) {
  if (token.size() != kIdLength + kSecretLength || !is_base32(token)) return std::nullopt;
  const Result<Uuid> id = Uuid::parse(token.substr(0, kIdLength));
  if (!id.ok()) return std::nullopt;
  DeliveryToken parsed;
  parsed.prediction = *id;
  parsed.secret = token.substr(kIdLength);
  return parsed;
}

std::string old_output_key(const DeliveryToken& token, std::string_view filename) {
  const std::string hash = to_hex(crypto::sha256(filename)).substr(0, 16);
  return old_output_prefix(token.prediction) + "/" + token.secret + "-" + hash;
}

std::string old_output_prefix(PredictionId id) { return std::string(kOldOutputs) + "/" + id.str(); }

std::string delivery_url(std::string_view external_url, std::string_view token,
                         std::string_view filename) {
  std::string url(external_url);
  url.append("/delivery/").append(token).append("/").append(http::percent_encode(filename));
  return url;
}

}  // namespace mimeo::control
