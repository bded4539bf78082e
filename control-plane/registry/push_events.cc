#include "control-plane/registry/push_events.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/oci/manifest.h"

namespace mimeo::control {

namespace {

using Json = nlohmann::json;

std::string text_at(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

// "account#token id#member", as token_service.cc signs it; from another signer a name alone.
void read_subject(const std::string& subject, Push& push) {
  const std::size_t first = std::min(subject.find('#'), subject.size());
  const std::size_t second = std::min(subject.find('#', first + 1), subject.size());
  push.pushed_by = subject.substr(0, first);
  if (first == subject.size()) return;
  push.token = std::strtoll(subject.c_str() + first + 1, nullptr, 10);
  if (second < subject.size()) push.member = subject.substr(second + 1);
}

bool is_manifest(std::string_view media_type) {
  return media_type == oci::kDockerManifest || media_type == oci::kDockerList ||
         media_type == oci::kOciManifest || media_type == oci::kOciIndex;
}

}  // namespace

Result<std::vector<Push>> parse_push_events(std::string_view body) {
  const Json root = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("events") || !root["events"].is_array()) {
    return absl::InvalidArgumentError("this is no notification of a registry");
  }
  std::vector<Push> pushes;
  for (const Json& event : root["events"]) {
    if (text_at(event, "action") != "push") continue;
    const Json target = event.value("target", Json());
    Push push;
    push.repository = text_at(target, "repository");
    push.digest = text_at(target, "digest");
    push.tag = text_at(target, "tag");
    read_subject(text_at(event.value("actor", Json()), "name"), push);
    const Json request = event.value("request", Json());
    push.request_id = text_at(request, "id");
    push.address = text_at(request, "addr");
    push.address.resize(std::min(push.address.rfind(':'), push.address.size()));
    if (is_manifest(text_at(target, "mediaType")) && oci::is_repository(push.repository) &&
        oci::is_digest(push.digest)) {
      pushes.push_back(std::move(push));
    }
  }
  return pushes;
}

bool can_make_version(std::string_view tag) {
  for (const std::string_view part :
       {std::string_view("cog-image."), std::string_view("cog-weight."), kTrainedTagPrefix}) {
    if (tag.starts_with(part)) return false;
  }
  return true;
}

}  // namespace mimeo::control
