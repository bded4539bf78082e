// Output files at /delivery/{token}/{filename}: public, unguessable, cacheable, readable by pages
// of any origin. Their content never changes.
#include "common/base/ids.h"
#include "common/crypto/crypto.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/content.h"
#include "control-plane/http/problem.h"
#include "control-plane/public_links.h"

namespace mimeo::control {
namespace {

ContentHead head_of(const std::string& token, const std::string& filename) {
  ContentHead head;
  head.content_type = content_type_of(filename);
  // The content of a link never changes, so a hash of the link is as good as one of the content.
  head.etag = to_hex(crypto::md5(token + "/" + filename));
  if (const auto id = PredictionId::parse(std::string_view(token).substr(0, 26)); id.ok()) {
    head.modified_at = id->created_at();
  }
  head.headers.set("Access-Control-Allow-Origin", "*");
  head.headers.set("Access-Control-Expose-Headers", "*");
  head.headers.set("Cache-Control", "public,max-age=3600");
  // A model may write HTML or SVG: it must not run as a page of this server.
  head.headers.set("X-Content-Type-Options", "nosniff");
  head.headers.set("Content-Security-Policy",
                   "sandbox; default-src 'none'; style-src "
                   "'unsafe-inline'; img-src data:; media-src 'self'");
  return head;
}

}  // namespace

ExchangeAnswer deliver_output(Api& api, Call& call, http::Exchange& exchange) {
  const std::string token = call.param(0);
  const std::string filename = call.param(1);
  const std::optional<std::string> key = delivery_blob_key(token, filename);
  if (!key) co_return problem::not_found();
  auto open = [blobs = &api.parts.blobs, key = *key] { return blobs->open(key); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::shared_ptr<blobs::BlobReader> reader,
                            co_await api.parts.pool.run(std::move(open)));
  ContentHead head = head_of(token, filename);
  co_return co_await serve_content(&api.parts.pool, &exchange, std::move(reader), std::move(head));
}

}  // namespace mimeo::control
