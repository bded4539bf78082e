// Page cursors and the {"next","previous","results"} envelope.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/http/message.h"

namespace mimeo::control {

enum class PageDirection : std::uint8_t { kForward, kBackward };

// Where a page begins: behind (forward) or before (backward) the item at `position`. What a
// position is, an id or a time, is the resource's business; clients see base64.
struct Cursor {
  PageDirection direction = PageDirection::kForward;
  std::string position;
};

[[nodiscard]] std::string encode_cursor(const Cursor& cursor);
// kInvalidArgument for what encode_cursor() did not make.
[[nodiscard]] Result<Cursor> decode_cursor(std::string_view text);
// The request's `cursor` parameter; nullopt when it has none (or an empty one).
[[nodiscard]] Result<std::optional<Cursor>> cursor_of(const http::RequestHead& head);

// Positions of things that are ordered by time, and by (time, row number).
[[nodiscard]] std::string time_position(WallTime at);
[[nodiscard]] Result<WallTime> parse_time_position(std::string_view position);
[[nodiscard]] std::string row_position(WallTime at, std::int64_t row);
[[nodiscard]] Result<std::pair<WallTime, std::int64_t>> parse_row_position(
    std::string_view position);

// Addresses one page: the collection's absolute URL, its query parameters and a cursor.
class PageLinks {
 public:
  // `url` without a query; all parameters of the request but `cursor` are kept.
  PageLinks(std::string url, const http::RequestHead& head);
  [[nodiscard]] std::string to(const Cursor& cursor) const;

 private:
  std::string base_;  // Ends in '?' or '&'.
};

// `results` are JSON texts.
[[nodiscard]] std::string page_json(const std::optional<std::string>& next,
                                    const std::optional<std::string>& previous,
                                    const std::vector<std::string>& results);

}  // namespace mimeo::control
