#include "common/oci/registry_status.h"

#include <nlohmann/json.hpp>
#include <string>

namespace mimeo::oci {
namespace {

using Json = nlohmann::json;

// The registry's own words, as far as they are for people.
std::string message_of(const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("errors") || !json["errors"].is_array() ||
      json["errors"].empty() || !json["errors"][0].is_object()) {
    return {};
  }
  const Json& first = json["errors"][0];
  const std::string message = first.contains("message") && first["message"].is_string()
                                  ? first["message"].get<std::string>()
                                  : std::string();
  return message.empty() ? message : ": " + message.substr(0, 300);
}

}  // namespace

Status status_of(const http::Response& answer) {
  if (answer.status >= 200 && answer.status < 300) return absl::OkStatus();
  const std::string text =
      "the registry answered " + std::to_string(answer.status) + message_of(answer.body);
  switch (answer.status) {
    case 401:
      return absl::UnauthenticatedError(text);
    case 403:
      return absl::PermissionDeniedError(text);
    case 404:
      return absl::NotFoundError(text);
    case 408:
    case 429:
      return absl::UnavailableError(text);
    default:
      return answer.status >= 500 ? absl::UnavailableError(text) : absl::InternalError(text);
  }
}

}  // namespace mimeo::oci
