#include "control-plane/http/paging.h"

#include <algorithm>

#include "common/crypto/crypto.h"
#include "control-plane/http/json_writer.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

// Years 1970 to 2970: what every store can hold.
constexpr std::int64_t kEarliest = 0;
constexpr std::int64_t kLatest = 31'556'952'000'000'000;

std::int64_t micros(WallTime at) { return at.time_since_epoch().count(); }

}  // namespace

Status bad_cursor() { return absl::InvalidArgumentError("Invalid cursor"); }

std::string encode_cursor(const Cursor& cursor) {
  std::string text = cursor.direction == PageDirection::kBackward ? "r=1&p=" : "p=";
  return crypto::base64(text + http::percent_encode(cursor.position));
}

Result<Cursor> decode_cursor(std::string_view text) {
  const std::optional<std::string> decoded = crypto::base64_decode(text);
  if (!decoded) return bad_cursor();
  Cursor cursor;
  std::string_view rest = *decoded;
  if (consume_prefix(&rest, "r=1&")) cursor.direction = PageDirection::kBackward;
  if (!consume_prefix(&rest, "p=")) return bad_cursor();
  std::optional<std::string> position = http::percent_decode(rest);
  if (!position || position->empty()) return bad_cursor();
  cursor.position = *std::move(position);
  return cursor;
}

Result<std::optional<Cursor>> cursor_of(const http::RequestHead& head) {
  const std::optional<std::string_view> text = head.parameter("cursor");
  if (!text || text->empty()) return std::nullopt;
  MIMEO_ASSIGN_OR_RETURN(Cursor cursor, decode_cursor(*text));
  return cursor;
}

std::string key_position(WallTime at, std::string_view key) { return concat(micros(at), ".", key); }

Result<std::pair<WallTime, std::string>> parse_key_position(std::string_view position) {
  const auto dot = position.find('.');
  if (dot == std::string_view::npos) return bad_cursor();
  const auto number = parse_number<std::int64_t>(position.substr(0, dot));
  if (!number || *number < kEarliest || *number > kLatest) return bad_cursor();
  return std::pair(WallTime(std::chrono::microseconds(*number)),
                   std::string(position.substr(dot + 1)));
}

std::string row_position(WallTime at, std::int64_t row) {
  return key_position(at, std::to_string(row));
}

Result<std::pair<WallTime, std::int64_t>> parse_row_position(std::string_view position) {
  MIMEO_ASSIGN_OR_RETURN(const auto found, parse_key_position(position));
  const auto row = parse_number<std::int64_t>(found.second);
  if (!row) return bad_cursor();
  return std::pair(found.first, *row);
}

std::size_t texts_that_fit(const std::vector<std::string>& texts, std::size_t size,
                           const std::optional<Cursor>& cursor) {
  const bool is_backward = cursor && cursor->direction == PageDirection::kBackward;
  const std::size_t most = std::min(texts.size(), size);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < most; ++i) {
    const std::string& text = is_backward ? texts[texts.size() - 1 - i] : texts[i];
    bytes += text.size();
    if (i > 0 && (text.empty() || bytes > kMaxPageBytes)) return i;
  }
  return most;
}

PageLinks::PageLinks(std::string url, const http::RequestHead& head,
                     const std::optional<std::string>& query)
    : base_(std::move(url)) {
  base_.push_back('?');
  const auto add = [this](std::string_view name, std::string_view value) {
    base_.append(http::percent_encode(name)).append("=").append(http::percent_encode(value));
    base_.push_back('&');
  };
  for (const auto& [name, value] : head.query) {
    const bool is_replaced = name == "cursor" || (query && name == "query");
    if (!is_replaced) add(name, value);
  }
  if (query) add("query", *query);
}

std::string PageLinks::to(const Cursor& cursor) const {
  return base_ + "cursor=" + http::percent_encode(encode_cursor(cursor));
}

std::string page_json(const std::optional<std::string>& next,
                      const std::optional<std::string>& previous,
                      const std::vector<std::string>& results) {
  std::size_t size = 256;
  for (const std::string& result : results) size += result.size() + 1;
  JsonWriter json;
  json.reserve(size);
  json.begin_object().key("next").string_or_null(next.value_or(""));
  json.key("previous").string_or_null(previous.value_or("")).key("results").begin_array();
  for (const std::string& result : results) json.raw(result);
  json.end_array().end_object();
  return json.take();
}

}  // namespace mimeo::control
