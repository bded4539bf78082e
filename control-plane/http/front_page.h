// What a browser shows at the address that `make up` prints: that Mimeo runs, and how to call it.
// Static HTML without scripts; the same for everybody, so it names no models and no accounts.

#pragma once

#include <string>

#include "common/http/message.h"
#include "control-plane/http/urls.h"

namespace mimeo::control {

// Exactly "/", by GET or HEAD.
[[nodiscard]] bool is_front_page(const http::RequestHead& head);
[[nodiscard]] http::Response front_page(const Urls& urls);

}  // namespace mimeo::control
