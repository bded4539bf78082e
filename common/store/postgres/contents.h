// What the files and the retention part of PostgresStore share: the end of references to contents.

#pragma once

#include <pqxx/result>
#include <pqxx/transaction_base>

namespace mimeo::store {

class Connection;

// The first column of `contents` holds the hashes (or NULL) of contents to which `transaction` has
// just deleted a reference: those that nothing refers to any more become dead blobs.
void release_contents(Connection& connection, pqxx::transaction_base& transaction,
                      const pqxx::result& contents);

}  // namespace mimeo::store
