// Removing all data of predictions: what retention, one by one, and the dropping of old partitions
// share.

#pragma once

#include <pqxx/transaction_base>
#include <span>
#include <vector>

#include "common/base/ids.h"

namespace mimeo::store {

class Connection;

// Inside of `transaction`: payloads, output files and what webhooks held of those of `ids` that
// nobody keeps. Waits for whoever keeps one or adds a file to one at this moment, and sees what
// they did. Returns those whose payloads it removed.
std::vector<Uuid> remove_content(Connection& connection, pqxx::transaction_base& transaction,
                                 std::span<const Uuid> ids);

// The output files alone; the same otherwise.
void remove_outputs(Connection& connection, pqxx::transaction_base& transaction,
                    std::span<const Uuid> ids);

}  // namespace mimeo::store
