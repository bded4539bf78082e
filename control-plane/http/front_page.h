// What a browser shows: at the address that `make up` prints, that Mimeo runs and how to call it;
// at the addresses of predictions (`urls.web`) and models (`url`), how to read those by the API.
// Static HTML without scripts; the same for everybody, so it tells of nothing whether it exists.

#pragma once

#include <optional>
#include <string>

#include "common/http/message.h"
#include "control-plane/http/router.h"
#include "control-plane/http/urls.h"

namespace mimeo::control {

// Exactly "/", by GET or HEAD.
[[nodiscard]] bool is_front_page(const http::RequestHead& head);
[[nodiscard]] http::Response front_page(const Urls& urls);
// The page of "/p/{id}" or "/{owner}/{name}", by GET or HEAD. nullopt for everything else: for
// paths that begin like a route of `router` or of what stands beside the API, and for requests with
// credentials, which browsers do not send by themselves. Those are calls of the API, and who
// misspelled one must not get a page for an answer.
[[nodiscard]] std::optional<http::Response> page_for(const http::RequestHead& head,
                                                     const Urls& urls, const Router& router);

}  // namespace mimeo::control
