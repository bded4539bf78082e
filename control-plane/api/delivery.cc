// Output files at /delivery/{token}/{filename}: public, unguessable, cacheable, readable by pages
// of any origin, gone with the data of their prediction. Their content never changes.
//
// They come from the origin of the API, and a model may write anything and call it what it likes.
// So nothing of it is ever executed there: the type is not guessed (nosniff); a document, opened
// by itself, has no origin and may run nothing (sandbox); and what browsers run as documents is
// saved instead of shown. Other pages may still embed an SVG as an image.

#include "common/base/ids.h"
#include "common/crypto/crypto.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/content.h"
#include "control-plane/http/problem.h"
#include "control-plane/public_links.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

// What browsers run scripts of, or take apart into what they do: HTML, everything of XML, and
// messages of several parts.
bool is_active(std::string_view type) {
  const std::string_view name = trimmed(type.substr(0, type.find(';')));
  return name == "text/html" || name.ends_with("/xml") || name.ends_with("+xml") ||
         name == "text/xsl" || name.starts_with("multipart/") || name.starts_with("message/");
}

// What to read, and what else the head says of it.
struct Found {
  std::string blob_key;
  std::string etag;
  std::string content_type;
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
    found.content_type = content_type_for(file->content_type, filename);
    found.modified_at = file->created_at;
    return found;
  }
  if (!absl::IsNotFound(file.status())) return file.status();
  // From before: a hash of the link is as good as one of the content.
  found.blob_key = old_output_key(token, filename);
  found.etag = to_hex(crypto::md5(found.blob_key));
  found.content_type = content_type_for("", filename);
  found.modified_at = token.prediction.created_at();
  return found;
}

ContentHead head_of(const Found& found) {
  ContentHead head;
  head.content_type = found.content_type;
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

}  // namespace

ExchangeAnswer deliver_output(Api& api, Call& call, http::Exchange& exchange) {
  const auto place = api.downloads.take();
  if (!place) co_return absl::ResourceExhaustedError("too many downloads at once");
  const std::optional<DeliveryToken> token = parse_delivery_token(call.param(0));
  const std::string filename = call.param(1);
  if (!token) co_return problem::not_found();
  auto find = [parts = &api.parts, token = *token, filename] {
    return find_output(*parts, token, filename);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const Found found, co_await api.parts.pool.run(std::move(find)));
  auto open = [blobs = &api.parts.blobs, key = found.blob_key] { return blobs->open(key); };
  MIMEO_CO_ASSIGN_OR_RETURN(std::shared_ptr<blobs::BlobReader> reader,
                            co_await api.parts.transfers.run(std::move(open)));
  ContentHead head = head_of(found);
  co_return co_await serve_content(&api.parts.transfers, &exchange, std::move(reader),
                                   std::move(head));
}

}  // namespace mimeo::control
