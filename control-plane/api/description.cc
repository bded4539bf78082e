// GET /openapi.json: the API's description of itself. It is the same for everybody, so that tools
// and pages of any origin may read it.
#include "control-plane/api/resources.h"
#include "control-plane/http/content.h"
#include "control-plane/strings.h"

namespace mimeo::control {

Answer get_openapi(Api& api, Call& call) {
  if (!api.description.ok()) co_return api.description.status();
  const OpenApiDocument& document = *api.description;
  const bool is_known = names_etag(call.head->headers.get("If-None-Match"), document.etag);
  http::Response response = is_known ? empty_response(304) : json_response(200, document.text);
  response.headers.add("ETag", concat("\"", document.etag, "\""));
  if (!is_known) response.headers.add("Cache-Control", "public,max-age=300");
  co_return response;
}

}  // namespace mimeo::control
