// The metadata of an upload, gathered from the parts of its form: a part "metadata" with a JSON
// object, or a part "metadata[key]" for each value ("metadata[key][inner]" nests). Pure.

#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::control {

class FileMetadata {
 public:
  // kInvalidArgument (or kOutOfRange for a NUL character) unless it is a JSON object, null or
  // blank.
  Status set_text(std::string_view text);
  // `part_name` begins with "metadata[". kInvalidArgument when it nests more than kMaxJsonDepth
  // deep, or all fields together are larger than 64 KiB.
  Status add_field(std::string_view part_name, std::string_view value);
  // Both together as a JSON object; of a key that both have, the field's value.
  [[nodiscard]] std::string json() const;

 private:
  nlohmann::json object_ = nlohmann::json::object();
  nlohmann::json fields_ = nlohmann::json::object();
  std::size_t field_bytes_ = 0;  // Names and values of all fields so far.
};

}  // namespace mimeo::control
