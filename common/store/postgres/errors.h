// Exceptions of libpqxx as our statuses.

#pragma once

#include <exception>

#include "common/base/status.h"

namespace mimeo::store {

// kUnavailable: no connection, or the server is shutting down, out of resources, or gave up waiting
// (repeat). kAborted: a deadlock or serialization failure (repeat at once). kAlreadyExists: a
// unique key. kInvalidArgument: a value that the column cannot hold. kFailedPrecondition: a foreign
// key, or the database was not migrated. kInternal: the rest, which are bugs.
[[nodiscard]] Status status_of(const std::exception& error);

}  // namespace mimeo::store
