// Serves stored content as HTTP: whole, in ranges, not at all when the client has it already or
// insists on another version (RFC 9110 section 13).

#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/async/blocking_pool.h"
#include "common/base/clock.h"
#include "common/blobs/blob_store.h"
#include "common/http/server.h"

namespace mimeo::control {

// What the head of the answer says about the content.
struct ContentHead {
  std::string content_type;
  std::string etag;  // Without quotes.
  std::optional<WallTime> modified_at;
  http::Headers headers;  // Others, as they are.
};

// A part of the content: [first, first + length).
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t length = 0;
};
enum class RangeKind : std::uint8_t {
  kWhole,          // None was asked for, or one that is malformed: it is ignored.
  kPart,           // One range.
  kUnsatisfiable,  // Beyond the end: 416.
};
struct RangeAnswer {
  RangeKind kind = RangeKind::kWhole;
  ByteRange range;  // With kPart.
};
// RFC 9110 section 14. Several ranges at once are answered with the whole.
[[nodiscard]] RangeAnswer parse_range(std::string_view header, std::uint64_t size);

// Whether a list of entity tags names this one, given without quotes. Weak tags count when a client
// asks for what it lacks (If-None-Match), and do not when it insists on what it has (If-Match).
enum class WeakTags : std::uint8_t { kCount, kDoNotCount };
[[nodiscard]] bool names_etag(std::string_view list, std::string_view etag,
                              WeakTags weak = WeakTags::kCount);

// What is to be said of a stored file: the type that was `given` with it, else what its name says;
// texts are UTF-8 unless they say something else.
[[nodiscard]] std::string content_type_for(std::string_view given, std::string_view filename);

// Answers the exchange with this content. An error, or a response for the caller to send, comes
// back only while nothing was sent.
boost::asio::awaitable<Result<std::optional<http::Response>>> serve_content(
    BlockingPool* pool, http::Exchange* exchange, std::shared_ptr<blobs::BlobReader> reader,
    ContentHead head);

}  // namespace mimeo::control
