// What an answer of a registry means, for the files of this folder.

#pragma once

#include "common/base/status.h"
#include "common/http/message.h"

namespace mimeo::oci {

// OK for 2xx. Otherwise with the registry's own words: kNotFound, kUnauthenticated,
// kPermissionDenied, kUnavailable (try again), kInternal.
[[nodiscard]] Status status_of(const http::Response& answer);

}  // namespace mimeo::oci
