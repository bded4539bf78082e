// Output files at /delivery/{token}/{filename}: public, unguessable, cacheable, readable by pages
// of any origin, gone with the data of their prediction. Their content never changes.
//
// They come from the origin of the API, and a model may write anything. So nothing of it is ever
// executed there: the type is what the name says and is not guessed (nosniff); a document, opened
// by itself, has no origin and may run nothing (sandbox); and what browsers run as documents is
// saved instead of shown. Other pages may still embed an SVG as an image.
#include <algorithm>
#include <array>

#include "common/base/ids.h"
#include "common/crypto/crypto.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/content.h"
#include "control-plane/http/problem.h"
#include "control-plane/public_links.h"

namespace mimeo::control {
namespace {

// Types that browsers run scripts of.
constexpr std::array<std::string_view, 3> kActiveTypes{"text/html", "image/svg+xml",
                                                       "application/xml"};

bool is_active(std::string_view type) {
  const std::string_view name = type.substr(0, type.find(';'));
  return std::find(kActiveTypes.begin(), kActiveTypes.end(), name) != kActiveTypes.end();
}

// What to read, and what else the head says of it.
struct Found {
  std::string blob_key;
  std::string etag;
  WallTime modified_at;
};

Result<Found> find_output(const ApiParts& parts, const DeliveryToken& token,
                          const std::string& filename) {
  Found found;
  const Result<store::OutputFile> file =
      parts.files.get_output(token.prediction, token.secret, filename);
  if (file.ok()) {
    found.blob_key = file->blob_key;
    found.etag = file->md5_hex;
    found.modified_at = file->created_at;
    return found;
  }
  if (!absl::IsNotFound(file.status())) return file.status();
  // From before: a hash of the link is as good as one of the content.
  found.blob_key = old_output_key(token, filename);
  found.etag = to_hex(crypto::md5(found.blob_key));
  found.modified_at = token.prediction.created_at();
  return found;
}

ContentHead head_of(const Found& found, std::string_view filename) {
  ContentHead head;
  head.content_type = content_type_of(filename);
  head.etag = found.etag;
  head.modified_at = found.modified_at;
  head.headers.set("Access-Control-Allow-Origin", "*");
  head.headers.set("Access-Control-Expose-Headers", "*");
  head.headers.set("Cross-Origin-Resource-Policy", "cross-origin");
  head.headers.set("Cache-Control", "public,max-age=3600");
  head.headers.set("X-Content-Type-Options", "nosniff");
  head.headers.set("Content-Security-Policy",
                   "sandbox; default-src 'none'; style-src "
                   "'unsafe-inline'; img-src data:; media-src 'self'");
  if (is_active(head.content_type)) head.headers.set("Content-Disposition", "attachment");
  return head;
}

struct Opened {
  Found found;
  std::shared_ptr<blobs::BlobReader> reader;
};

}  // namespace

ExchangeAnswer deliver_output(Api& api, Call& call, http::Exchange& exchange) {
  const auto place = api.downloads.take();
  if (!place) co_return absl::ResourceExhaustedError("too many downloads at once");
  const std::optional<DeliveryToken> token = parse_delivery_token(call.param(0));
  const std::string filename = call.param(1);
  if (!token) co_return problem::not_found();
  auto open = [parts = &api.parts, token = *token, filename]() -> Result<Opened> {
    Opened opened;
    MIMEO_ASSIGN_OR_RETURN(opened.found, find_output(*parts, token, filename));
    MIMEO_ASSIGN_OR_RETURN(opened.reader, parts->blobs.open(opened.found.blob_key));
    return opened;
  };
  MIMEO_CO_ASSIGN_OR_RETURN(Opened opened, co_await api.parts.pool.run(std::move(open)));
  ContentHead head = head_of(opened.found, filename);
  co_return co_await serve_content(&api.parts.pool, &exchange, std::move(opened.reader),
                                   std::move(head));
}

}  // namespace mimeo::control
