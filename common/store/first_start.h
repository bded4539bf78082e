// When a prediction that ends now had begun. Stores and caches of them must agree on it.

#pragma once

#include <optional>

#include "common/base/clock.h"

namespace mimeo::store {

// `reported` is when its start was heard of: the first start counts, but news of it may come late,
// even after the end of a short run. Then the result's own time is used, or the end, never a time
// behind the end.
[[nodiscard]] inline std::optional<WallTime> first_start(std::optional<WallTime> reported,
                                                         std::optional<WallTime> of_result,
                                                         WallTime completed_at) {
  if (!reported || *reported <= completed_at) return reported ? reported : of_result;
  return of_result ? of_result : completed_at;
}

}  // namespace mimeo::store
