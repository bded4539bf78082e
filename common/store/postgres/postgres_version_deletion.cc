// The parts of PostgresStore for deleting versions, and for limits of accounts.

#include <absl/strings/str_cat.h>

#include "common/store/catalog.h"
#include "common/store/postgres/batch.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/row_lists.h"
#include "common/store/postgres/statements_catalog.h"
#include "common/store/postgres/statements_examples.h"

namespace mimeo::store {
namespace {

constexpr const char* kHighestId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

Param maybe_number(const std::optional<std::int64_t>& number) {
  return number ? Param(std::to_string(*number)) : Param();
}

// In the order of MIMEO_LIMITS_SELECT.
AccountLimits read_limits(RowReader& reader) {
  AccountLimits limits;
  limits.account = reader.integer();
  limits.create_per_minute = reader.maybe_integer();
  limits.create_burst = reader.maybe_integer();
  limits.read_per_minute = reader.maybe_integer();
  limits.other_per_minute = reader.maybe_integer();
  return limits;
}

}  // namespace

Status PostgresStore::note_version_user(VersionId version, AccountId account) {
  return pool_->with("noting who runs a version", [&](Connection& connection) -> Status {
    connection.run(kNoteVersionUser, sql_version(version), account);
    return absl::OkStatus();
  });
}

Status PostgresStore::begin_version_deletion(VersionId version, WallTime now) {
  return pool_->with("deleting a version", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    const std::string key = sql_version(version);
    const pqxx::result rows = connection.run_in(transaction, kLockVersionForDeletion, key);
    if (rows.empty()) return absl::NotFoundError("no such version");
    const pqxx::row row = rows[0];
    RowReader reader(row);
    const ModelId model = reader.integer();
    const auto visibility = reader.integer_as<Visibility>();
    const AccountId owner = reader.integer();
    if (visibility == Visibility::kPublic) {
      return absl::FailedPreconditionError("Versions of public models cannot be deleted.");
    }
    if (reader.boolean()) {
      return absl::FailedPreconditionError(
          "The version cannot be deleted: somebody else has run predictions with it.");
    }
    if (reader.boolean()) {
      return absl::FailedPreconditionError(
          "The version cannot be deleted: it is the base of a training.");
    }
    const pqxx::result user = connection.run_in(transaction, kIsVersionDeployed, key);
    if (!user.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "The version cannot be deleted: the deployment ", user[0][0].c_str(), " uses it."));
    }
    connection.run_in(transaction, kDeleteVersion, key);
    connection.run_in(transaction, kBeginVersionDeletion, key, owner, sql_time(now));
    connection.run_in(transaction, kRefreshLatest, model);
    connection.run_in(transaction, kTouchTargetsOfVersion, key);
    transaction.commit();
    return absl::OkStatus();
  });
}

Result<std::optional<VersionDeletion>> PostgresStore::claim_version_deletion(
    std::chrono::milliseconds lease) {
  using Answer = Result<std::optional<VersionDeletion>>;
  return pool_->with("claiming a deletion", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(kClaimVersionDeletion, sql_interval(lease));
    if (rows.empty()) return std::optional<VersionDeletion>();
    const pqxx::row row = rows[0];
    RowReader reader(row);
    VersionDeletion deletion;
    deletion.version = reader.version();
    deletion.owner = reader.integer();
    return std::optional<VersionDeletion>(deletion);
  });
}

Result<VersionPredictions> PostgresStore::list_version_predictions(const VersionDeletion& deletion,
                                                                   PredictionId before,
                                                                   std::size_t scan) {
  using Answer = Result<VersionPredictions>;
  return pool_->with("listing a version's predictions", [&](Connection& connection) -> Answer {
    VersionPredictions found;
    const pqxx::result rows =
        connection.run(kScanForVersion, deletion.owner, before.is_nil() ? kHighestId : before.hex(),
                       scan, sql_version(deletion.version));
    for (const pqxx::row& row : rows) {
      RowReader reader(row);
      const PredictionId id = reader.uuid();
      const bool is_of_version = reader.boolean();
      const bool is_active = reader.boolean();
      found.after = id;
      if (!is_of_version) continue;
      if (is_active) {
        found.has_active = true;
      } else {
        found.ended.push_back(id);
      }
    }
    if (static_cast<std::size_t>(rows.size()) < scan) found.after.reset();
    return found;
  });
}

Status PostgresStore::erase_predictions(std::span<const PredictionId> ids) {
  if (ids.empty()) return absl::OkStatus();
  return pool_->with("erasing predictions", [&](Connection& connection) -> Status {
    SqlArray wanted;
    for (const PredictionId& id : ids) wanted.add(id);
    const auto [low, high] = bounds_of(ids);
    pqxx::work transaction(connection.raw());
    SqlArray ended;
    const pqxx::result rows =
        connection.run_in(transaction, kWhichHaveEnded, wanted.take(), low.hex(), high.hex());
    for (const pqxx::row& row : rows) {
      RowReader reader(row);
      ended.add(reader.uuid());
    }
    const std::string array = ended.take();
    // Payloads first: whoever logs what webhooks sent of them at this moment is waited for.
    for (const Statement& statement :
         {kErasePayloads, kEraseAttempts, kEraseResults, kErasePredictions}) {
      connection.run_in(transaction, statement, array, low.hex(), high.hex());
    }
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::finish_version_deletion(VersionId version) {
  return pool_->with("ending a deletion", [&](Connection& connection) -> Status {
    connection.run(kFinishVersionDeletion, sql_version(version));
    return absl::OkStatus();
  });
}

Status PostgresStore::put_off_version_deletion(VersionId version, std::chrono::milliseconds delay) {
  return pool_->with("putting off a deletion", [&](Connection& connection) -> Status {
    connection.run(kPutOffVersionDeletion, sql_version(version), sql_interval(delay));
    return absl::OkStatus();
  });
}

Result<std::vector<AccountLimits>> PostgresStore::list_account_limits() {
  using Answer = Result<std::vector<AccountLimits>>;
  return pool_->with("listing limits", [&](Connection& connection) -> Answer {
    return read_all(connection.run(kListAccountLimits), read_limits);
  });
}

Result<AccountLimits> PostgresStore::get_account_limits(AccountId account) {
  return pool_->with("reading limits", [&](Connection& connection) -> Result<AccountLimits> {
    const auto rows = read_all(connection.run(kGetAccountLimits, account), read_limits);
    if (!rows.empty()) return rows[0];
    AccountLimits none;
    none.account = account;
    return none;
  });
}

Status PostgresStore::put_account_limits(const AccountLimits& limits) {
  AccountLimits none;
  none.account = limits.account;
  return pool_->with("setting limits", [&](Connection& connection) -> Status {
    if (limits == none) {
      connection.run(kRemoveAccountLimits, limits.account);
      return absl::OkStatus();
    }
    const pqxx::result changed =
        connection.run(kPutAccountLimits, limits.account, maybe_number(limits.create_per_minute),
                       maybe_number(limits.create_burst), maybe_number(limits.read_per_minute),
                       maybe_number(limits.other_per_minute));
    return changed.affected_rows() > 0 ? absl::OkStatus() : absl::NotFoundError("no such account");
  });
}

}  // namespace mimeo::store
