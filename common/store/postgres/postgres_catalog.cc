// The part of PostgresStore for accounts, tokens, hardware, models and versions.

#include <absl/strings/str_cat.h>

#include "common/store/postgres/catalog_rows.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/in_transaction.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_catalog.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

Param clean(const std::optional<std::string>& text) {
  return text.has_value() ? Param(sanitize_text(*text)) : Param();
}

Hardware read_hardware(RowReader& reader) {
  Hardware hardware;
  hardware.sku = reader.text();
  hardware.name = reader.text();
  hardware.resources.cpu_milli = reader.integer_as<std::uint32_t>();
  hardware.resources.memory.count = reader.integer_as<std::uint64_t>();
  hardware.resources.gpus = reader.integer_as<std::uint32_t>();
  hardware.resources.gpu_memory.count = reader.integer_as<std::uint64_t>();
  hardware.resources.scratch.count = reader.integer_as<std::uint64_t>();
  hardware.price_micros_per_second = reader.integer();
  return hardware;
}

// The text and values of one listing.
struct ModelQuery {
  std::string text = MIMEO_LISTED_MODEL_SELECT;
  std::vector<std::string> values;
  std::string bind(std::string value, const char* type) {
    values.push_back(std::move(value));
    return absl::StrCat("$", values.size(), "::", type);
  }
};

ModelQuery query_of(const ModelFilter& filter) {
  ModelQuery q;
  const std::string viewer = q.bind(std::to_string(filter.viewer), "bigint");
  if (filter.viewer != 0 || !filter.include_private) {
    absl::StrAppend(
        &q.text, " AND (m.visibility = 0",
        filter.include_private ? " OR m.owner_id = " + viewer : " AND " + viewer + " IS NOT NULL",
        ")");
  } else {
    absl::StrAppend(&q.text, " AND ", viewer, " = 0");
  }
  const std::string key = filter.sort == ModelSort::kCreated
                              ? "m.created_at"
                              : "COALESCE(m.latest_version_at, m.created_at)";
  const bool descending = filter.direction == SortDirection::kDescending;
  if (filter.after.has_value()) {
    absl::StrAppend(&q.text, " AND (", key, ", m.id) ", descending ? "<" : ">", " (",
                    q.bind(sql_time(filter.after->first), "timestamptz"), ", ",
                    q.bind(std::to_string(filter.after->second), "bigint"), ")");
  }
  const char* order = descending ? " DESC" : " ASC";
  absl::StrAppend(&q.text, " ORDER BY ", key, order, ", m.id", order, " LIMIT ", filter.limit);
  return q;
}

}  // namespace

Result<Account> PostgresStore::create_account(const Account& account) {
  using Answer = Result<Account>;
  return pool_->with("creating an account", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(
        kCreateAccount, static_cast<int>(account.type), account.username,
        account.name.empty() ? account.username : sanitize_text(account.name), account.github_url,
        account.avatar_url, account.weight, account.max_running, account.max_queued,
        account.webhook_secret, sql_time(account.created_at), account.created_by);
    return only(rows, read_account, "no such account");
  });
}

Result<Account> PostgresStore::get_account(AccountId id) {
  using Answer = Result<Account>;
  return pool_->with("reading an account", [&](Connection& connection) -> Answer {
    return only(connection.run(kGetAccount, id), read_account, "no such account");
  });
}

Result<Account> PostgresStore::get_account_by_username(std::string_view username) {
  using Answer = Result<Account>;
  return pool_->with("reading an account", [&](Connection& connection) -> Answer {
    return only(connection.run(kGetAccountByUsername, sanitize_text(username)), read_account,
                "no such account");
  });
}

Result<std::vector<Account>> PostgresStore::list_accounts() {
  using Answer = Result<std::vector<Account>>;
  return pool_->with("listing accounts", [&](Connection& connection) -> Answer {
    return all(connection.run(kListAccounts), read_account);
  });
}

Result<Token> PostgresStore::create_token(const Token& token) {
  using Answer = Result<Token>;
  return pool_->with("creating a token", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(
        kCreateToken, token.account, sanitize_text(token.name), sql_bytea(token.hash), token.prefix,
        sql_time(token.created_at), sql_time(token.expires_at), sql_time(token.disabled_at),
        sql_time(token.last_used_at), to_text(token.scopes), token.created_by);
    return only(rows, read_token, "no such account");
  });
}

Result<TokenOwner> PostgresStore::get_token_owner(std::string_view hash) {
  using Answer = Result<TokenOwner>;
  return pool_->with("reading a token", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(kGetTokenOwner, sql_bytea(hash));
    if (rows.empty()) return absl::NotFoundError("no such token");
    const pqxx::row row = rows[0];
    RowReader reader(row);
    TokenOwner owner;
    owner.token = read_token(reader);
    owner.account = read_account(reader);
    if (const auto role = reader.maybe_integer()) owner.creator_role = static_cast<Role>(*role);
    owner.is_creator_disabled = reader.boolean();
    return owner;
  });
}

Result<std::vector<Token>> PostgresStore::list_tokens(AccountId account) {
  using Answer = Result<std::vector<Token>>;
  return pool_->with("listing tokens", [&](Connection& connection) -> Answer {
    return all(connection.run(kListTokens, account), read_token);
  });
}

Status PostgresStore::touch_token(std::int64_t token_id, WallTime now) {
  return pool_->with("noting a token's use", [&](Connection& connection) -> Status {
    connection.run(kTouchToken, token_id, sql_time(now));
    return absl::OkStatus();
  });
}

Result<std::vector<Hardware>> PostgresStore::list_hardware() {
  using Answer = Result<std::vector<Hardware>>;
  return pool_->with("listing hardware", [&](Connection& connection) -> Answer {
    return all(connection.run(kListHardware), read_hardware);
  });
}

Status PostgresStore::put_hardware(const Hardware& hardware, std::int32_t position) {
  return pool_->with("setting hardware", [&](Connection& connection) -> Status {
    const Resources& r = hardware.resources;
    const auto number = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
    connection.run(kPutHardware, hardware.sku, hardware.name, position, number(r.cpu_milli),
                   number(r.memory.count), number(r.gpus), number(r.gpu_memory.count),
                   number(r.scratch.count), hardware.price_micros_per_second);
    return absl::OkStatus();
  });
}

Result<Model> PostgresStore::create_model(const Model& model) {
  using Answer = Result<Model>;
  return pool_->with("creating a model", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(
        kCreateModel, model.owner_id, model.name, static_cast<int>(model.visibility),
        sanitize_text(model.description), model.sku, sanitize_text(model.github_url),
        sanitize_text(model.paper_url), sanitize_text(model.license_url),
        sanitize_text(model.weights_url), sanitize_text(model.cover_image_url),
        sanitize_text(model.readme), sql_uuid(model.default_example.value_or(Uuid{})),
        sql_time(model.created_at));
    if (rows.empty()) return absl::NotFoundError("no such account");
    return only(connection.run(kGetModelById, rows[0][0].as<ModelId>()), read_model,
                "no such model");
  });
}

Result<Model> PostgresStore::get_model(std::string_view owner, std::string_view name,
                                       AccountId viewer) {
  using Answer = Result<Model>;
  return pool_->with("reading a model", [&](Connection& connection) -> Answer {
    return only(connection.run(kGetModel, sanitize_text(owner), sanitize_text(name), viewer),
                read_model, "no such model");
  });
}

Result<Model> PostgresStore::get_model_by_id(ModelId id) {
  using Answer = Result<Model>;
  return pool_->with("reading a model", [&](Connection& connection) -> Answer {
    return only(connection.run(kGetModelById, id), read_model, "no such model");
  });
}

Result<std::vector<Model>> PostgresStore::list_models(const ModelFilter& filter) {
  using Answer = Result<std::vector<Model>>;
  return pool_->with("listing models", [&](Connection& connection) -> Answer {
    const ModelQuery query = query_of(filter);
    pqxx::nontransaction transaction(connection.raw());
    return all(
        transaction.exec_params(query.text, pqxx::prepare::make_dynamic_params(query.values)),
        read_model);
  });
}

Result<Model> PostgresStore::update_model(ModelId id, const ModelChange& change) {
  using Answer = Result<Model>;
  return pool_->with("changing a model", [&](Connection& connection) -> Answer {
    Param visibility;
    if (change.visibility.has_value()) {
      visibility = std::to_string(static_cast<int>(*change.visibility));
    }
    connection.run(kUpdateModel, id, clean(change.description), clean(change.readme),
                   clean(change.github_url), clean(change.paper_url), clean(change.weights_url),
                   clean(change.license_url), clean(change.cover_image_url), clean(change.sku),
                   visibility, sql_uuid(change.default_example.value_or(Uuid{})));
    return only(connection.run(kGetModelById, id), read_model, "no such model");
  });
}

Status PostgresStore::delete_model(ModelId id) {
  return pool_->with("deleting a model", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    const pqxx::result rows = connection.run_in(transaction, kLockModel, id);
    if (rows.empty()) return absl::NotFoundError("no such model");
    if (rows[0][0].as<int>() == static_cast<int>(Visibility::kPublic)) {
      return absl::FailedPreconditionError("a public model cannot be deleted");
    }
    if (rows[0][1].as<bool>()) {
      return absl::FailedPreconditionError("the model has versions: delete them first");
    }
    connection.run_in(transaction, kDeleteModel, id);
    transaction.commit();
    return absl::OkStatus();
  });
}

Status put_version_in(Connection& connection, pqxx::transaction_base& transaction,
                      const Version& version) {
  if (connection.run_in(transaction, kLockModel, version.model).empty()) {
    return absl::NotFoundError("no such model");
  }
  const pqxx::result changed = connection.run_in(
      transaction, kPutVersion, sql_version(version.id), version.model,
      static_cast<int>(version.state), sanitize_text(version.refusal), version.repository,
      version.image_digest, version.image_bytes, sanitize_text(version.cog_version),
      sanitize_text(version.openapi_schema), sanitize_text(version.config), version.needs_gpu,
      version.concurrency, sanitize_text(version.pushed_by), sql_time(version.created_at));
  if (changed.affected_rows() > 0) {
    connection.run_in(transaction, kRefreshLatest, version.model);
    connection.run_in(transaction, kTouchTargetsOfVersion, sql_version(version.id));
  }
  return absl::OkStatus();
}

Result<Version> PostgresStore::put_version(const Version& version) {
  using Answer = Result<Version>;
  return pool_->with("storing a version", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    MIMEO_RETURN_IF_ERROR(put_version_in(connection, transaction, version));
    auto stored = only(connection.run_in(transaction, kGetVersion, sql_version(version.id), 0),
                       read_version, "no such version");
    transaction.commit();
    return stored;
  });
}

Result<Version> PostgresStore::get_version(VersionId id, AccountId viewer) {
  using Answer = Result<Version>;
  return pool_->with("reading a version", [&](Connection& connection) -> Answer {
    return only(connection.run(kGetVersion, sql_version(id), viewer), read_version,
                "no such version");
  });
}

Result<std::vector<Version>> PostgresStore::list_versions(ModelId model,
                                                          std::optional<WallTime> before,
                                                          std::size_t limit) {
  using Answer = Result<std::vector<Version>>;
  return pool_->with("listing versions", [&](Connection& connection) -> Answer {
    return all(connection.run(kListVersions, model, sql_time(before), limit), read_version);
  });
}

Result<std::optional<Version>> PostgresStore::find_refusal(ModelId model) {
  using Answer = Result<std::optional<Version>>;
  return pool_->with("looking for a refused push", [&](Connection& connection) -> Answer {
    auto found = all(connection.run(kFindRefusal, model), read_version);
    if (found.empty()) return std::optional<Version>();
    return std::optional<Version>(std::move(found[0]));
  });
}

Status PostgresStore::delete_version(VersionId id) {
  return pool_->with("deleting a version", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    const std::string key = sql_version(id);
    const pqxx::result rows = connection.run_in(transaction, kLockVersion, key);
    if (rows.empty()) return absl::NotFoundError("no such version");
    const pqxx::result users = connection.run_in(transaction, kWhoUsesVersion, key);
    if (!users.empty()) {
      return absl::FailedPreconditionError(absl::StrCat("deployment ", users[0][0].c_str(), "/",
                                                        users[0][1].c_str(), " uses this version"));
    }
    connection.run_in(transaction, kDeleteVersion, key);
    connection.run_in(transaction, kRefreshLatest, rows[0][0].as<ModelId>());
    connection.run_in(transaction, kTouchTargetsOfVersion, key);
    transaction.commit();
    return absl::OkStatus();
  });
}

}  // namespace mimeo::store
