// The registry's notifications, read: which manifests were pushed. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace mimeo::control {

struct Push {
  std::string repository;
  std::string digest;
  std::string tag;        // Empty for a push by digest.
  std::string pushed_by;  // Username of the account whose token was used.
  // Who that was more exactly, where the notification says it.
  std::int64_t token = 0;  // 0 = unknown.
  std::string member;      // Of an organization: the user who made the token.
  std::string address;
  std::string request_id;
};

// The pushes of manifests among the events; everything else is passed by. kInvalidArgument when
// the body is no notification.
[[nodiscard]] Result<std::vector<Push>> parse_push_events(std::string_view body);

// What the tags of our own trained images begin with.
inline constexpr std::string_view kTrainedTagPrefix = "mimeo-training.";

// False for the parts of a bundle ("cog-image.*", "cog-weight.*"): its index makes the version; and
// for images of trainings: their version comes with the training's result.
// True also without a tag.
[[nodiscard]] bool can_make_version(std::string_view tag);

}  // namespace mimeo::control
