// GET /collections and GET /collections/{slug}. Collections are an editor's choice of models for a
// public catalogue; an installation has none, and clients cope with an empty page.
#include "control-plane/api/resources.h"
#include "control-plane/http/paging.h"
#include "control-plane/http/problem.h"

namespace mimeo::control {

Answer list_collections(Api&, Call&) {
  co_return json_response(200, page_json(std::nullopt, std::nullopt, {}));
}

Answer get_collection(Api&, Call&) { co_return problem::not_found(); }

}  // namespace mimeo::control
