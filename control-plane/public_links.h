// The two kinds of public link whose path is the credential: event streams
// ("/v1/streams/{token}", "/v1/files/{token}") and output files ("/delivery/{token}/{filename}").
// Who makes one (prediction_intake, hub_service) and who opens it (http) agree on it here.
//
// Both tokens begin with the 26 characters of the prediction's id, so that a lookup is by primary
// key and removing a prediction's data removes its links.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/random.h"

namespace mimeo::control {

// What a version streams. Clients decide by the path: under /v1/files/ every event becomes a file
// object.
enum class StreamKind : std::uint8_t {
  kNone,   // No stream URL.
  kText,   // /v1/streams/{token}
  kFiles,  // /v1/files/{token}
};

// Exactly this many characters: no id of a file is as long, so /v1/files/{...} is not ambiguous.
inline constexpr std::size_t kStreamTokenLength = 53;

// "<id><t|f><26 random characters>"; empty for kNone. The whole of it is stored as stream_token.
[[nodiscard]] std::string make_stream_token(PredictionId id, StreamKind kind, Random& random);

struct StreamToken {
  PredictionId prediction;
  StreamKind kind = StreamKind::kNone;
};
// nullopt when malformed. Does not say that the token is good: ask the store.
[[nodiscard]] std::optional<StreamToken> parse_stream_token(std::string_view token);

// "<id><26 random characters>", one for each stored output file.
[[nodiscard]] std::string make_delivery_token(PredictionId id, Random& random);

struct DeliveryToken {
  PredictionId prediction;
  std::string secret;  // The 26 random characters.
};
// nullopt when malformed. Does not say that the token is good: FilesStore::get_output() does.
[[nodiscard]] std::optional<DeliveryToken> parse_delivery_token(std::string_view token);

// Output files from before FilesStore knew them lie at "outputs/<id>/<secret>-<hash of filename>".
inline constexpr std::string_view kOldOutputs = "outputs";
[[nodiscard]] std::string old_output_key(const DeliveryToken& token, std::string_view filename);
// All of a prediction, for BlobStore::remove_all().
[[nodiscard]] std::string old_output_prefix(PredictionId id);

// "<external_url>/delivery/<token>/<filename, percent-encoded>".
[[nodiscard]] std::string delivery_url(std::string_view external_url, std::string_view token,
                                       std::string_view filename);

}  // namespace mimeo::control
