// Where a client of an event stream is: the id of the last event that it has, "<unix seconds>:<n>".

#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "control-plane/strings.h"

namespace mimeo::control {

// The number of the first event that a client with this Last-Event-ID lacks. 0, all of them, for a
// header that is empty or not one of ours.
[[nodiscard]] inline std::uint64_t first_wanted_event(std::string_view last_event_id) {
  const std::size_t colon = last_event_id.find(':');
  if (colon == std::string_view::npos) return 0;
  const auto last = parse_number<std::uint64_t>(last_event_id.substr(colon + 1));
  if (!last) return 0;
  return *last == std::numeric_limits<std::uint64_t>::max() ? *last : *last + 1;
}

}  // namespace mimeo::control
