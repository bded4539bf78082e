// Event streams: Last-Event-ID, the parser of what model servers send, and that what we write can
// be read. One byte for the size of the pieces, "id NUL name NUL data".

#include <string>
#include <vector>

#include "common/http/event_stream.h"
#include "control-plane/http/event_position.h"
#include "fuzz/fuzz.h"
#include "worker/cog/sse_parser.h"

namespace {

using mimeo::worker::cog::SseEvent;
using mimeo::worker::cog::SseParser;

std::vector<SseEvent> parse(std::string_view bytes, std::size_t piece) {
  SseParser parser;
  std::vector<SseEvent> all;
  mimeo::fuzz::in_pieces(bytes, piece, [&](std::string_view part) {
    for (SseEvent& event : parser.feed(part)) all.push_back(std::move(event));
  });
  return all;
}

bool same(const std::vector<SseEvent>& a, const std::vector<SseEvent>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || a[i].data != b[i].data) return false;
  }
  return true;
}

// CR LF and a lone CR are line ends to receivers.
std::string with_line_feeds(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out.push_back(text[i] == '\r' ? '\n' : text[i]);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mimeo::fuzz::Input input(data, size);
  const std::size_t piece = 1 + input.byte();
  const std::string_view all = input.rest();
  MIMEO_FUZZ_CLAIM(same(parse(all, piece), parse(all, all.size() + 1)));

  mimeo::http::Event event;
  event.id = input.field();
  (void)mimeo::control::first_wanted_event(event.id);
  event.name = input.field();
  event.data = input.rest();
  const std::vector<SseEvent> read = parse(mimeo::http::format_event(event), piece);
  MIMEO_FUZZ_CLAIM(read.size() == 1);
  MIMEO_FUZZ_CLAIM(read[0].data == with_line_feeds(event.data));
  return 0;
}
