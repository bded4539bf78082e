// Page cursors and the {"next","previous","results"} envelope.

#pragma once

#include <cstddef>
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
// For positions that are not what a resource makes.
[[nodiscard]] Status bad_cursor();

// Positions of things that are ordered by time and then by a key or row number.
[[nodiscard]] std::string key_position(WallTime at, std::string_view key);
[[nodiscard]] Result<std::pair<WallTime, std::string>> parse_key_position(
    std::string_view position);
[[nodiscard]] std::string row_position(WallTime at, std::int64_t row);
[[nodiscard]] Result<std::pair<WallTime, std::int64_t>> parse_row_position(
    std::string_view position);

// Addresses one page: the collection's absolute URL, its query parameters and a cursor.
class PageLinks {
 public:
  // `url` without a query; all parameters of the request but `cursor` are kept. `query`, if any,
  // takes the place of that parameter: links are followed with GET, whatever was asked.
  PageLinks(std::string url, const http::RequestHead& head,
            const std::optional<std::string>& query = std::nullopt);
  [[nodiscard]] std::string to(const Cursor& cursor) const;

 private:
  std::string base_;  // Ends in '?' or '&'.
};

// The `count` of `rows` that are the nearest to the cursor.
template <class Row>
[[nodiscard]] std::vector<Row> nearest(std::vector<Row> rows, std::size_t count, bool is_backward) {
  if (rows.size() <= count) return rows;
  const auto surplus = static_cast<std::ptrdiff_t>(rows.size() - count);
  if (is_backward) {
    rows.erase(rows.begin(), rows.begin() + surplus);
  } else {
    rows.erase(rows.end() - surplus, rows.end());
  }
  return rows;
}

// A page also ends where its texts have so many bytes, with at least one of them.
inline constexpr std::size_t kMaxPageBytes = 8U << 20;

// How many of `texts`, which are in the order of the list, belong on a page that begins at
// `cursor`. Empty ones, and what is behind them, do not.
[[nodiscard]] std::size_t texts_that_fit(const std::vector<std::string>& texts, std::size_t size,
                                         const std::optional<Cursor>& cursor);

// The links of one page.
struct PageEnds {
  std::optional<std::string> next;
  std::optional<std::string> previous;
};

// Makes a page of rows that were read with a limit of at least `size` + 1, starting at `cursor`,
// and are in the order of the list: removes those too many, which are the farthest from the cursor.
// `position_of(row)` is what its cursor holds.
template <class Row, class PositionOf>
[[nodiscard]] PageEnds end_page(std::vector<Row>& rows, std::size_t size,
                                const std::optional<Cursor>& cursor, const PageLinks& links,
                                const PositionOf& position_of) {
  const bool is_backward = cursor && cursor->direction == PageDirection::kBackward;
  const bool has_more = rows.size() > size;
  if (has_more) rows = nearest(std::move(rows), size, is_backward);
  PageEnds ends;
  if (rows.empty()) return ends;
  if (has_more || is_backward) {
    ends.next = links.to({PageDirection::kForward, position_of(rows.back())});
  }
  if (cursor && (has_more || !is_backward)) {
    ends.previous = links.to({PageDirection::kBackward, position_of(rows.front())});
  }
  return ends;
}

// `results` are JSON texts.
[[nodiscard]] std::string page_json(const std::optional<std::string>& next,
                                    const std::optional<std::string>& previous,
                                    const std::vector<std::string>& results);

// The page of rows that were read as for end_page(), with the JSON text of each. It may be shorter
// than `size`: texts_that_fit().
template <class Row, class PositionOf>
[[nodiscard]] std::string page_of(std::vector<Row> rows, std::vector<std::string> texts,
                                  std::size_t size, const std::optional<Cursor>& cursor,
                                  const PageLinks& links, const PositionOf& position_of) {
  const std::size_t count = texts_that_fit(texts, size, cursor);
  const PageEnds ends = end_page(rows, count, cursor, links, position_of);
  const bool is_backward = cursor && cursor->direction == PageDirection::kBackward;
  return page_json(ends.next, ends.previous, nearest(std::move(texts), count, is_backward));
}

}  // namespace mimeo::control
