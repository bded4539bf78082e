#include "control-plane/api/file_metadata.h"

#include <utility>
#include <vector>

#include "common/store/text.h"
#include "control-plane/http/json_text.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kMostFieldBytes = 64U << 10U;

}  // namespace

Status FileMetadata::set_text(std::string_view text) {
  object_ = nlohmann::json::object();
  if (trimmed(text).empty()) return absl::OkStatus();
  MIMEO_ASSIGN_OR_RETURN(nlohmann::json parsed, parse_json(text));
  if (parsed.is_null()) return absl::OkStatus();
  if (!parsed.is_object()) return absl::InvalidArgumentError("metadata must be a JSON object");
  object_ = std::move(parsed);
  return absl::OkStatus();
}

Status FileMetadata::add_field(std::string_view part_name, std::string_view value) {
  field_bytes_ += part_name.size() + value.size();
  if (field_bytes_ > kMostFieldBytes) {
    return absl::InvalidArgumentError("the metadata is too large");
  }
  (void)consume_prefix(&part_name, "metadata[");
  (void)consume_suffix(&part_name, "]");
  const std::vector<std::string_view> keys = split(part_name, "][");
  if (keys.size() >= kMaxJsonDepth) {
    return absl::InvalidArgumentError("the metadata is nested too deeply");
  }
  nlohmann::json* at = &fields_;
  for (const std::string_view key : keys) {
    if (!at->is_object()) *at = nlohmann::json::object();
    at = &(*at)[store::sanitize_text(key)];
  }
  *at = store::sanitize_text(value);
  return absl::OkStatus();
}

std::string FileMetadata::json() const {
  nlohmann::json all = object_;
  all.update(fields_);
  return all.dump();
}

}  // namespace mimeo::control
