// What stands in paths and bodies for things of ours: names, ids, tokens, digests, repositories,
// tags, and percent escapes.

#include "common/base/ids.h"
#include "common/domain/names.h"
#include "common/http/message.h"
#include "common/http/request_target.h"
#include "common/oci/manifest.h"
#include "common/store/text.h"
#include "control-plane/public_links.h"
#include "control-plane/webhooks/url.h"
#include "fuzz/fuzz.h"

using namespace mimeo;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string_view text = input.field();
  if (check_name(text).ok()) MIMEO_FUZZ_CLAIM(oci::is_repository(text));
  if (const auto names = split_model_name(text); names.ok()) {
    MIMEO_FUZZ_CLAIM(names->first + "/" + names->second == text);
  }
  if (const auto id = Uuid::parse(text); id.ok()) MIMEO_FUZZ_CLAIM(*Uuid::parse(id->str()) == *id);
  if (const auto id = VersionId::parse(text); id.ok()) MIMEO_FUZZ_CLAIM(id->hex() == text);
  (void)oci::is_digest(text);
  (void)oci::is_tag(text);
  (void)control::parse_stream_token(text);
  if (const auto token = control::parse_delivery_token(text)) {
    const std::string key = control::old_output_key(*token, input.field());
    MIMEO_FUZZ_CLAIM(key.starts_with("outputs/") && key.find("..") == std::string::npos);
  }
  (void)control::parse_webhook_url(text);
  MIMEO_FUZZ_CLAIM(http::percent_decode(http::percent_encode(text)) == text);
  (void)http::percent_decode(text);
  const std::string stored = store::sanitize_text(input.rest());
  MIMEO_FUZZ_CLAIM(store::is_storable(stored) && http::is_utf8(stored));
  return 0;
}
