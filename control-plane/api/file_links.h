// Signed links to uploaded files: GET /files/{id}/download?owner=&expiry=&signature=.

#pragma once

#include <cstdint>
#include <string>

#include "common/store/catalog.h"
#include "common/store/files.h"

namespace mimeo::control {

// "fsec_..." The secret with which an account signs links to its files. Derived from the webhook
// secret, so it changes with it.
[[nodiscard]] std::string file_signing_secret(const store::Account& owner);

// base64(HMAC-SHA256(that secret, "{owner} {id} {expiry}")); `expiry` in Unix seconds.
[[nodiscard]] std::string sign_file_link(const store::Account& owner, store::FileId id,
                                         std::int64_t expiry);

}  // namespace mimeo::control
