// Signed links to uploaded files: GET /files/{id}/download?owner=&expiry=&signature=.

#pragma once

#include <cstdint>
#include <string>

#include "common/store/catalog.h"
#include "common/store/files.h"

namespace mimeo::control {

// base64(HMAC-SHA256(the account's file secret, "{owner} {id} {expiry}")); `expiry` in Unix
// seconds.
[[nodiscard]] std::string sign_file_link(const store::Account& owner, store::FileId id,
                                         std::int64_t expiry);

}  // namespace mimeo::control
