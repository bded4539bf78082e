// Changes that are part of somebody else's transaction: what postgres_trainings.cc joins. Used in
// this folder only. Each throws what libpqxx throws.

#pragma once

#include <pqxx/transaction_base>

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

}  // namespace mimeo::store
