// What a key may look like, the same for every store.

#pragma once

#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/status.h"

namespace mimeo::blobs {

// OK for segments [A-Za-z0-9._-]+ joined by '/', none of them "." or "..", at most 255 characters
// each and 1,000 in all; else kInvalidArgument.
[[nodiscard]] Status check_key(std::string_view key);

// Where the content of uploads and outputs goes: "content/<6 characters>/<20 characters>" of a
// fresh id, in the order of time. A folder holds what came within a quarter of an hour.
inline constexpr std::string_view kContentPrefix = "content";
[[nodiscard]] std::string content_key(const Uuid& id);
// Keys of content that came before `at` are less.
[[nodiscard]] std::string lowest_content_key(WallTime at);

}  // namespace mimeo::blobs
