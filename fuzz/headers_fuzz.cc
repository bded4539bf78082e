// A request's head as it comes from the network, through the parser that the server uses, and every
// field that somebody interprets.

#include "common/http/request_target.h"
#include "common/http/wire.h"
#include "control-plane/http/authenticator.h"
#include "control-plane/http/content.h"
#include "control-plane/http/multipart.h"
#include "control-plane/http/preferences.h"
#include "control-plane/http/router.h"
#include "fuzz/fuzz.h"

namespace {

using namespace mimeo;

constexpr std::size_t kHeadLimit = 8192;

void check_head(http::RequestHead head) {
  if (!http::parse_target(head).ok()) return;
  for (const std::string& segment : head.segments) {
    MIMEO_FUZZ_CLAIM(segment != "." && segment != ".." && http::is_utf8(segment));
    for (const char c : segment) {
      MIMEO_FUZZ_CLAIM(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    }
  }
  for (const auto& [name, value] : head.query) {
    MIMEO_FUZZ_CLAIM(http::is_utf8(name) && http::is_utf8(value));
  }
  const http::Headers& headers = head.headers;
  if (const auto token = control::token_in(headers.get("Authorization"))) {
    MIMEO_FUZZ_CLAIM(!token->empty());
  }
  constexpr std::uint64_t kSize = 1000;
  const auto range = control::parse_range(headers.get("Range"), kSize);
  if (range.kind == control::RangeKind::kPart) {
    MIMEO_FUZZ_CLAIM(range.range.length > 0 && range.range.first < kSize);
    MIMEO_FUZZ_CLAIM(range.range.length <= kSize - range.range.first);
  }
  if (const auto wait = control::parse_prefer(headers.get("Prefer"))) {
    MIMEO_FUZZ_CLAIM(wait->limit.count() > 0 && wait->limit <= control::kLongestWait);
  }
  (void)control::multipart_boundary(headers.get("Content-Type"));
  (void)control::names_etag(headers.get("If-None-Match"), "abc");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::Input(data, size).rest();
  http::wire::MessageParser<true> parser(kHeadLimit);
  http::wire::ErrorCode error;
  while (!rest.empty() && !parser.is_header_done()) {
    error = {};
    const std::size_t used = parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    MIMEO_FUZZ_CLAIM(used <= rest.size());
    rest.remove_prefix(used);
    if (error || used == 0) break;
  }
  if (!parser.is_header_done() || error) return 0;
  http::RequestHead head;
  head.method = parser.method;
  head.target = parser.target;
  head.headers = parser.headers;
  check_head(std::move(head));
  if (!parser.chunked()) return 0;
  // The body of a chunked request, into a small buffer.
  char buffer[16];
  while (!rest.empty() && !parser.is_done()) {
    std::size_t produced = 0;
    const std::size_t used = parser.parse_body(rest, buffer, produced, error);
    MIMEO_FUZZ_CLAIM(used <= rest.size() && produced <= sizeof buffer);
    if (error || (used == 0 && produced == 0)) break;
    rest.remove_prefix(used);
  }
  return 0;
}
