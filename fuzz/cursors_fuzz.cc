// Page cursors and the positions in them, and the query that goes into the links of a page.

#include "common/http/request_target.h"
#include "control-plane/http/paging.h"
#include "fuzz/fuzz.h"

namespace {

using namespace mimeo;
using namespace mimeo::control;

void check_cursor(std::string_view text) {
  const Result<Cursor> cursor = decode_cursor(text);
  if (!cursor.ok()) return;
  const Result<Cursor> again = decode_cursor(encode_cursor(*cursor));
  MIMEO_FUZZ_CLAIM(again.ok() && again->position == cursor->position &&
                   again->direction == cursor->direction);
  if (const auto key = parse_key_position(cursor->position); key.ok()) {
    MIMEO_FUZZ_CLAIM(*parse_key_position(key_position(key->first, key->second)) == *key);
  }
  if (const auto row = parse_row_position(cursor->position); row.ok()) {
    MIMEO_FUZZ_CLAIM(*parse_row_position(row_position(row->first, row->second)) == *row);
  }
  (void)PredictionId::parse(cursor->position);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::Input(data, size).rest();
  check_cursor(text);
  http::RequestHead head;
  head.target = "/v1/predictions?" + std::string(text);
  if (!http::parse_target(head).ok()) return 0;
  (void)cursor_of(head);
  // The link of a page leads to where it says, whatever the other parameters are.
  http::RequestHead next;
  next.target = PageLinks("http://x/v1/predictions", head).to({PageDirection::kForward, "here"});
  MIMEO_FUZZ_CLAIM(http::parse_target(next).ok());
  const auto cursor = cursor_of(next);
  MIMEO_FUZZ_CLAIM(cursor.ok() && cursor->has_value() && (*cursor)->position == "here");
  return 0;
}
