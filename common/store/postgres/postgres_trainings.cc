#include <pqxx/transaction>

#include "common/store/postgres/catalog_rows.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/in_transaction.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_catalog.h"
#include "common/store/postgres/statements_deployments.h"
#include "common/store/text.h"

namespace mimeo::store {

Result<Target> PostgresStore::ensure_training_pool(VersionId version, std::string_view sku,
                                                   std::int32_t max_instances) {
  using Answer = Result<Target>;
  return pool_->with("making a training pool", [&](Connection& connection) -> Answer {
    const std::string key = sql_version(version);
    const std::string hardware = sanitize_text(sku);
    pqxx::result rows = connection.run(kFindTrainingPool, key, hardware);
    if (rows.empty()) {
      connection.run(kMakePool, key, hardware, max_instances,
                     static_cast<int>(TargetKind::kTraining));
      rows = connection.run(kFindTrainingPool, key, hardware);
    }
    if (rows.empty()) return absl::NotFoundError("no such version");
    const auto target_in = [](const pqxx::result& found) {
      const pqxx::row row = found[0];
      RowReader reader(row);
      return read_target(reader);
    };
    const Target target = target_in(rows);
    if (target.max_instances == max_instances) return target;
    rows = connection.run(kBoundPool, target.id, max_instances);
    if (!rows.empty()) return target_in(rows);
    return target_in(connection.run(kFindTrainingPool, key, hardware));  // Somebody was faster.
  });
}

Result<FinishOutcome> PostgresStore::finish_with_version(const Finish& finish,
                                                         const Version& version) {
  using Answer = Result<FinishOutcome>;
  return pool_->with("finishing a training", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    const FinishOutcome outcome = finish_in(connection, transaction, finish);
    if (outcome != FinishOutcome::kCommitted) return outcome;
    MIMEO_RETURN_IF_ERROR(put_version_in(connection, transaction, version));
    const pqxx::result owner = connection.run_in(transaction, kOwnerOfModel, version.model);
    append_audit_in(connection, transaction,
                    entry_of_trained(version, owner[0][0].as<AccountId>(), finish.id));
    transaction.commit();
    return outcome;
  });
}

}  // namespace mimeo::store
