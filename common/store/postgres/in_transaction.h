// Changes that are part of somebody else's transaction. Used in this folder only. Each throws what
// libpqxx throws.

#pragma once

#include <pqxx/transaction_base>

#include "common/store/accounts.h"
#include "common/store/catalog.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/predictions.h"

namespace mimeo::store {

// Of one prediction, as PredictionStore::finish().
FinishOutcome finish_in(Connection& connection, pqxx::transaction_base& transaction,
                        const Finish& finish);

// As CatalogStore::put_version(); kNotFound when there is no such model.
Status put_version_in(Connection& connection, pqxx::transaction_base& transaction,
                      const Version& version);

// As RetentionStore::keep_prediction() and release_prediction().
Status keep_in(Connection& connection, pqxx::transaction_base& transaction, PredictionId id);
void release_in(Connection& connection, pqxx::transaction_base& transaction, PredictionId id);
// As AccountsStore::append_audit().
void append_audit_in(Connection& connection, pqxx::transaction_base& transaction,
                     const AuditEntry& entry);

}  // namespace mimeo::store
