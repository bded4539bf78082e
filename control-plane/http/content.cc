#include "control-plane/http/content.h"

#include <absl/time/time.h>

#include <algorithm>
#include <utility>

#include "common/base/file_names.h"
#include "common/telemetry/log.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kChunk = 128 * 1024;

std::int64_t unix_seconds(WallTime at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

// If-Range: the one version that the client has a part of. Weak tags do not count (RFC 9110 section
// 13.1.5).
bool is_same_version(std::string_view condition, const ContentHead& head) {
  condition = trimmed(condition);
  if (condition.starts_with('"')) return condition == concat("\"", head.etag, "\"");
  return head.modified_at && condition == http::http_date(unix_seconds(*head.modified_at));
}

// nullopt for what is no date: such a condition does not count.
std::optional<std::int64_t> date_of(std::string_view text) {
  const std::string spelled(trimmed(text));
  absl::Time time;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", spelled, &time, nullptr)) return std::nullopt;
  return absl::ToUnixSeconds(time);
}

// Not that version: 412. A tag counts before a date.
bool is_refused(const http::RequestHead& request, const ContentHead& head) {
  if (const auto tags = request.headers.find("If-Match")) {
    return !names_etag(*tags, head.etag, WeakTags::kDoNotCount);
  }
  const auto condition = request.headers.find("If-Unmodified-Since");
  if (!condition || !head.modified_at) return false;
  const auto date = date_of(*condition);
  return date && unix_seconds(*head.modified_at) > *date;
}

// The client has it already. The same.
bool is_known(const http::RequestHead& request, const ContentHead& head) {
  if (const auto tags = request.headers.find("If-None-Match")) return names_etag(*tags, head.etag);
  const auto condition = request.headers.find("If-Modified-Since");
  if (!condition || !head.modified_at) return false;
  const auto date = date_of(*condition);
  return date && unix_seconds(*head.modified_at) <= *date;
}

struct Plan {
  http::Response response;
  ByteRange range;  // Empty: no body.
};

// An answer to this client alone: no cache may give it to another.
http::Response refused(http::Response response, const ContentHead& head) {
  for (const auto& [name, value] : head.headers.fields()) response.headers.set(name, value);
  response.headers.set("Cache-Control", "no-store");
  return response;
}

Plan plan_answer(const http::RequestHead& request, const ContentHead& head, std::uint64_t size) {
  Plan plan;
  plan.response.headers = head.headers;
  http::Headers& headers = plan.response.headers;
  headers.set("ETag", concat("\"", head.etag, "\""));
  if (head.modified_at) {
    headers.set("Last-Modified", http::http_date(unix_seconds(*head.modified_at)));
  }
  if (is_refused(request, head)) {
    plan.response = refused(problem::precondition_failed(), head);
    return plan;
  }
  if (is_known(request, head)) {
    plan.response.status = 304;
    return plan;
  }
  const std::string_view condition = request.headers.get("If-Range");
  // Ranges are of GET alone.
  const bool ranges_apply =
      request.method == "GET" && (condition.empty() || is_same_version(condition, head));
  const RangeAnswer range =
      ranges_apply ? parse_range(request.headers.get("Range"), size) : RangeAnswer{};
  if (range.kind == RangeKind::kUnsatisfiable) {
    plan.response = refused(problem::range_not_satisfiable(size), head);
    return plan;
  }
  plan.range = {0, size};
  headers.set("Content-Type", head.content_type);
  headers.set("Accept-Ranges", "bytes");
  if (range.kind == RangeKind::kPart) {
    plan.range = range.range;
    plan.response.status = 206;
    headers.set("Content-Range", concat("bytes ", range.range.first, "-",
                                        range.range.first + range.range.length - 1, "/", size));
  }
  return plan;
}

// The next piece, read on a pool thread.
boost::asio::awaitable<Result<std::string>> read_piece(BlockingPool* pool,
                                                       std::shared_ptr<blobs::BlobReader> reader,
                                                       ByteRange rest) {
  auto read = [reader = std::move(reader), rest]() -> Result<std::string> {
    std::string piece(std::min<std::uint64_t>(kChunk, rest.length), '\0');
    MIMEO_ASSIGN_OR_RETURN(const std::size_t count,
                           reader->read(rest.first, std::span<char>(piece)));
    piece.resize(count);
    return piece;
  };
  co_return co_await pool->run(std::move(read));
}

}  // namespace

bool names_etag(std::string_view list, std::string_view etag, WeakTags weak) {
  for (std::string_view item : split(list, ",")) {
    item = trimmed(item);
    if (weak == WeakTags::kCount) (void)consume_prefix(&item, "W/");
    if (item == "*" || item == concat("\"", etag, "\"")) return true;
  }
  return false;
}

RangeAnswer parse_range(std::string_view header, std::uint64_t size) {
  constexpr RangeAnswer kIgnored;
  header = trimmed(header);
  if (!starts_with_ignoring_case(header, "bytes=")) return kIgnored;
  header.remove_prefix(6);
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos || contains(header, ",")) return kIgnored;
  const std::string_view from = trimmed(header.substr(0, dash));
  const std::string_view to = trimmed(header.substr(dash + 1));
  if (from.empty()) {  // The last N bytes.
    const auto wanted = parse_number<std::uint64_t>(to);
    if (!wanted) return kIgnored;
    if (*wanted == 0 || size == 0) return {RangeKind::kUnsatisfiable, {}};
    const std::uint64_t count = std::min(*wanted, size);
    return {RangeKind::kPart, {size - count, count}};
  }
  const auto first = parse_number<std::uint64_t>(from);
  const auto given_last = parse_number<std::uint64_t>(to);
  if (!first || (!to.empty() && (!given_last || *given_last < *first))) return kIgnored;
  if (*first >= size) return {RangeKind::kUnsatisfiable, {}};
  const std::uint64_t last = std::min(given_last.value_or(size - 1), size - 1);
  return {RangeKind::kPart, {*first, last - *first + 1}};
}

std::string content_type_for(std::string_view given, std::string_view filename) {
  std::string type = checked_content_type(given);
  if (type.empty()) type = type_of_file_name(filename);
  if (type.starts_with("text/") && !contains(type, ";")) type += "; charset=utf-8";
  return type;
}

boost::asio::awaitable<Result<std::optional<http::Response>>> serve_content(
    BlockingPool* pool, http::Exchange* exchange, std::shared_ptr<blobs::BlobReader> reader,
    ContentHead head) {
  Plan plan = plan_answer(exchange->head(), head, reader->size_bytes());
  ByteRange rest = plan.range;
  const bool is_content = plan.response.status == 200 || plan.response.status == 206;
  if (!is_content) co_return std::move(plan.response);
  plan.response.headers.set("Content-Length", std::to_string(rest.length));
  if (exchange->head().method == "HEAD") rest.length = 0;
  std::string piece;
  if (rest.length > 0) {  // Before the head goes out: a missing file can still be an error.
    MIMEO_CO_ASSIGN_OR_RETURN(piece, co_await read_piece(pool, reader, rest));
  }
  Status status = co_await exchange->start_stream(std::move(plan.response));
  while (status.ok() && rest.length > 0) {
    if (piece.empty()) co_return std::nullopt;  // Shorter than it said: a broken transfer.
    rest.first += piece.size();
    rest.length -= piece.size();
    status = co_await exchange->write(std::move(piece));
    if (!status.ok() || rest.length == 0) break;
    Result<std::string> next = co_await read_piece(pool, reader, rest);
    if (!next.ok()) {
      log::error("reading stored content: {}", next.status().ToString());
      co_return std::nullopt;
    }
    piece = *std::move(next);
  }
  if (status.ok()) (void)co_await exchange->end_stream();
  co_return std::nullopt;
}

}  // namespace mimeo::control
