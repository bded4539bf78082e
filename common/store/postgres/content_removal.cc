#include "common/store/postgres/content_removal.h"

#include <algorithm>
#include <pqxx/result>
#include <string>

#include "common/store/postgres/batch.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/contents.h"
#include "common/store/postgres/statements_retention.h"

namespace mimeo::store {
namespace {

std::string array_of(std::span<const Uuid> ids) {
  SqlArray array;
  for (const Uuid& id : ids) array.add(id);
  return array.take();
}

void lock_inputs(Connection& connection, pqxx::transaction_base& transaction,
                 std::span<const Uuid> ids) {
  const auto [low, high] = bounds_of(ids);
  connection.run_in(transaction, kLockInputs, array_of(ids), low.hex(), high.hex());
}

void release_outputs(Connection& connection, pqxx::transaction_base& transaction,
                     std::span<const Uuid> ids) {
  release_contents(connection, transaction,
                   connection.run_in(transaction, kRemoveOutputs, array_of(ids)));
}

}  // namespace

std::vector<Uuid> remove_content(Connection& connection, pqxx::transaction_base& transaction,
                                 std::span<const Uuid> ids) {
  std::vector<Uuid> removed;
  if (ids.empty()) return removed;
  lock_inputs(connection, transaction, ids);
  const std::string array = array_of(ids);
  const auto [low, high] = bounds_of(ids);
  for (const pqxx::row& row :
       connection.run_in(transaction, kRemovePayloads, array, low.hex(), high.hex())) {
    removed.push_back(RowReader(row).uuid());
  }
  std::sort(removed.begin(), removed.end());
  removed.erase(std::unique(removed.begin(), removed.end()), removed.end());
  connection.run_in(transaction, kRemoveAttempts, array, low.hex(), high.hex());
  release_outputs(connection, transaction, ids);
  return removed;
}

void remove_outputs(Connection& connection, pqxx::transaction_base& transaction,
                    std::span<const Uuid> ids) {
  if (ids.empty()) return;
  lock_inputs(connection, transaction, ids);
  release_outputs(connection, transaction, ids);
}

}  // namespace mimeo::store
