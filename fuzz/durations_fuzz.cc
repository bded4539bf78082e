// Times and durations in headers and queries: Cancel-After, Prefer, created_after.

#include "common/base/time_format.h"
#include "control-plane/http/preferences.h"
#include "fuzz/fuzz.h"

using namespace mimeo;
using namespace std::chrono_literals;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::Input(data, size).rest();
  if (const auto after = control::parse_cancel_after(text); after.ok()) {
    MIMEO_FUZZ_CLAIM(*after >= 5s && *after <= 24h);
  }
  if (const auto wait = control::parse_prefer(text)) {
    MIMEO_FUZZ_CLAIM(wait->limit >= 1s && wait->limit <= control::kLongestWait);
    MIMEO_FUZZ_CLAIM(wait->applied.starts_with("wait"));
  }
  if (const auto at = parse_rfc3339(text); at.ok()) {
    const auto again = parse_rfc3339(to_rfc3339(*at));
    MIMEO_FUZZ_CLAIM(again.ok() && *again == *at);
  }
  if (const auto at = parse_iso8601(text); at.ok()) {
    const auto again = parse_iso8601(to_rfc3339(*at));
    MIMEO_FUZZ_CLAIM(again.ok() && *again == *at);
  }
  return 0;
}
