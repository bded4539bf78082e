#include "control-plane/http/content.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/telemetry/log.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kChunk = 128 * 1024;

constexpr std::array<std::pair<std::string_view, std::string_view>, 32> kTypes{{
    {"aac", "audio/aac"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"glb", "model/gltf-binary"},
    {"gz", "application/gzip"},
    {"html", "text/html; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"json", "application/json"},
    {"m4a", "audio/mp4"},
    {"md", "text/markdown; charset=utf-8"},
    {"mid", "audio/midi"},
    {"mkv", "video/x-matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"obj", "model/obj"},
    {"ogg", "audio/ogg"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"txt", "text/plain; charset=utf-8"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webp", "image/webp"},
    {"xml", "application/xml"},
    {"zip", "application/zip"},
}};

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

// The client has it already. A tag counts before a date; dates are those that we gave.
bool is_known(const http::RequestHead& request, const ContentHead& head) {
  if (const auto tags = request.headers.find("If-None-Match")) return names_etag(*tags, head.etag);
  const auto date = request.headers.find("If-Modified-Since");
  return date && head.modified_at && *date == http::http_date(unix_seconds(*head.modified_at));
}

struct Plan {
  http::Response response;
  ByteRange range;  // Empty: no body.
};

Plan plan_answer(const http::RequestHead& request, const ContentHead& head, std::uint64_t size) {
  Plan plan;
  plan.response.headers = head.headers;
  http::Headers& headers = plan.response.headers;
  headers.set("ETag", concat("\"", head.etag, "\""));
  if (head.modified_at) {
    headers.set("Last-Modified", http::http_date(unix_seconds(*head.modified_at)));
  }
  if (is_known(request, head)) {
    plan.response.status = 304;
    return plan;
  }
  const std::string_view condition = request.headers.get("If-Range");
  const bool ranges_apply = condition.empty() || is_same_version(condition, head);
  const RangeAnswer range =
      ranges_apply ? parse_range(request.headers.get("Range"), size) : RangeAnswer{};
  if (range.kind == RangeKind::kUnsatisfiable) {
    plan.response = problem::range_not_satisfiable(size);
    for (const auto& [name, value] : head.headers.fields()) plan.response.headers.set(name, value);
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

bool names_etag(std::string_view list, std::string_view etag) {
  for (std::string_view item : split(list, ",")) {
    item = trimmed(item);
    (void)consume_prefix(&item, "W/");
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

std::string_view content_type_of(std::string_view filename) {
  const std::size_t dot = filename.rfind('.');
  if (dot == std::string_view::npos) return "application/octet-stream";
  const std::string extension = lowered(filename.substr(dot + 1));
  const auto it = std::find_if(kTypes.begin(), kTypes.end(),
                               [&](const auto& entry) { return entry.first == extension; });
  return it == kTypes.end() ? "application/octet-stream" : it->second;
}

boost::asio::awaitable<Result<std::optional<http::Response>>> serve_content(
    BlockingPool* pool, http::Exchange* exchange, std::shared_ptr<blobs::BlobReader> reader,
    ContentHead head) {
  Plan plan = plan_answer(exchange->head(), head, reader->size_bytes());
  ByteRange rest = plan.range;
  if (plan.response.status == 304 || plan.response.status == 416) {
    co_return std::move(plan.response);
  }
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
