// What a key may look like, the same for every store.

#pragma once

#include <string_view>

#include "common/base/status.h"

namespace mimeo::blobs {

// OK for segments [A-Za-z0-9._-]+ joined by '/', none of them "." or "..", at most 255 characters
// each and 1,000 in all; else kInvalidArgument.
[[nodiscard]] Status check_key(std::string_view key);

}  // namespace mimeo::blobs
