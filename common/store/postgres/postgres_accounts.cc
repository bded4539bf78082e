// The AccountsStore part of PostgresStore.

#include <limits>

#include "common/store/postgres/catalog_rows.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/in_transaction.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_accounts.h"
#include "common/store/text.h"

namespace mimeo::store {
namespace {

Param clean(const std::optional<std::string>& text) {
  return text.has_value() ? Param(sanitize_text(*text)) : Param();
}

Membership read_member(RowReader& reader) {
  Membership member;
  member.organization = reader.integer();
  member.user = reader.integer();
  member.organization_name = reader.text();
  member.username = reader.text();
  member.role = reader.integer_as<Role>();
  member.created_at = reader.time();
  return member;
}

AuditEntry read_entry(RowReader& reader) {
  AuditEntry entry;
  entry.id = reader.integer();
  entry.at = reader.time();
  entry.account = reader.integer();
  entry.account_name = reader.text();
  entry.action = reader.text();
  entry.target = reader.text();
  entry.outcome = reader.integer_as<AuditOutcome>();
  entry.actor = reader.text();
  entry.actor_account = reader.integer();
  entry.actor_user = reader.integer();
  entry.token = reader.integer();
  entry.address = reader.text();
  entry.request_id = reader.text();
  entry.details = reader.text();
  return entry;
}

bool is_full(std::int64_t count, std::size_t limit) {
  return limit != 0 && static_cast<std::size_t>(count) >= limit;
}

// kResourceExhausted when the new member would be one too many. With both accounts locked.
Status may_join(Connection& connection, pqxx::transaction_base& transaction,
                const Membership& member, const AccountBounds& limits) {
  const pqxx::row counts =
      connection.run_in(transaction, kCountMembers, member.organization, member.user)[0];
  if (is_full(counts[0].as<std::int64_t>(), limits.members)) {
    return absl::ResourceExhaustedError("the organization has as many members as it may have");
  }
  if (is_full(counts[1].as<std::int64_t>(), limits.organizations)) {
    return absl::ResourceExhaustedError("the user is in as many organizations as it may be");
  }
  return absl::OkStatus();
}

// The role before; kNotFound unless the accounts are an organization and a user.
Result<std::optional<Role>> lock_member(Connection& connection, pqxx::transaction_base& transaction,
                                        AccountId organization, AccountId user) {
  bool has_organization = false;
  bool has_user = false;
  for (const pqxx::row& row : connection.run_in(transaction, kLockAccounts, organization, user)) {
    RowReader reader(row);
    const AccountId id = reader.integer();
    const auto type = reader.integer_as<AccountType>();
    has_organization |= id == organization && type == AccountType::kOrganization;
    has_user |= id == user && type == AccountType::kUser;
  }
  if (!has_organization) return absl::NotFoundError("no such organization");
  if (!has_user) return absl::NotFoundError("no such user");
  const pqxx::result rows = connection.run_in(transaction, kFindRole, organization, user);
  if (rows.empty()) return std::optional<Role>();
  return std::optional<Role>(static_cast<Role>(rows[0][0].as<int>()));
}

// kFailedPrecondition when no other owner's account is enabled.
Status has_another_owner(Connection& connection, pqxx::transaction_base& transaction,
                         AccountId organization, AccountId user) {
  const pqxx::result owners = connection.run_in(transaction, kCountOtherOwners, organization, user);
  if (owners[0][0].as<std::int64_t>() > 0) return absl::OkStatus();
  return absl::FailedPreconditionError("an organization needs an owner");
}

// kAborted when something is not as expected any more. With both accounts locked, so that every
// other change of a member of this organization waits.
Status check_expected(Connection& connection, pqxx::transaction_base& transaction,
                      AccountId organization, std::optional<Role> before,
                      const std::optional<MemberExpectation>& expected) {
  if (!expected) return absl::OkStatus();
  bool holds = expected->before == before;
  if (expected->by != 0) {
    const pqxx::result rows = connection.run_in(transaction, kFindRole, organization, expected->by);
    holds = holds && !rows.empty() && static_cast<Role>(rows[0][0].as<int>()) == expected->by_role;
  }
  if (holds) return absl::OkStatus();
  return absl::AbortedError("the members were changed meanwhile: try again");
}

}  // namespace

void append_audit_in(Connection& connection, pqxx::transaction_base& transaction,
                     const AuditEntry& entry) {
  connection.run_in(transaction, kAppendAudit, sql_time(entry.at), entry.account,
                    sanitize_text(entry.action), sanitize_text(entry.target),
                    static_cast<int>(entry.outcome), sanitize_text(entry.actor),
                    entry.actor_account, entry.actor_user, entry.token,
                    sanitize_text(entry.address), sanitize_text(entry.request_id), entry.details);
}

Result<Account> PostgresStore::add_account(const Account& account, AccountId owner,
                                           const AccountBounds& limits, const AuditEntry& entry) {
  using Answer = Result<Account>;
  return pool_->with("creating an account", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    const pqxx::result rows = connection.run_in(
        transaction, kCreateAccount, static_cast<int>(account.type), account.username,
        account.name.empty() ? account.username : sanitize_text(account.name), account.github_url,
        account.avatar_url, account.weight, account.max_running, account.max_queued,
        account.webhook_secret, sql_time(account.created_at), account.created_by);
    MIMEO_ASSIGN_OR_RETURN(Account made, only(rows, read_account, "no such account"));
    if (owner != 0) {
      Membership member;
      member.organization = made.id;
      member.user = owner;
      MIMEO_RETURN_IF_ERROR(lock_member(connection, transaction, made.id, owner).status());
      MIMEO_RETURN_IF_ERROR(may_join(connection, transaction, member, limits));
      connection.run_in(transaction, kPutMember, made.id, owner, static_cast<int>(Role::kOwner),
                        sql_time(account.created_at));
    }
    AuditEntry told = entry;
    told.account = made.id;
    append_audit_in(connection, transaction, told);
    transaction.commit();
    return made;
  });
}

Result<Account> PostgresStore::update_account(AccountId id, const AccountChange& change,
                                              const AuditEntry& entry) {
  using Answer = Result<Account>;
  return pool_->with("changing an account", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    const auto disabled_at = change.disabled_at.value_or(std::nullopt);
    const pqxx::result rows = connection.run_in(
        transaction, kUpdateAccount, id, clean(change.name), clean(change.github_url),
        clean(change.avatar_url), change.disabled_at.has_value(), sql_time(disabled_at));
    MIMEO_ASSIGN_OR_RETURN(Account changed, only(rows, read_account, "no such account"));
    append_audit_in(connection, transaction, entry);
    transaction.commit();
    return changed;
  });
}

Result<std::vector<Membership>> PostgresStore::list_members(AccountId organization,
                                                            std::string_view after,
                                                            std::size_t limit) {
  using Answer = Result<std::vector<Membership>>;
  return pool_->with("listing members", [&](Connection& connection) -> Answer {
    return all(connection.run(kListMembers, organization, sanitize_text(after),
                              static_cast<std::int64_t>(limit)),
               read_member);
  });
}

Result<std::vector<Membership>> PostgresStore::list_organizations(AccountId user) {
  using Answer = Result<std::vector<Membership>>;
  return pool_->with("listing organizations", [&](Connection& connection) -> Answer {
    return all(connection.run(kListOrganizations, user), read_member);
  });
}

Result<std::optional<Role>> PostgresStore::find_role(AccountId organization, AccountId user) {
  using Answer = Result<std::optional<Role>>;
  return pool_->with("reading a member", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(kFindRole, organization, user);
    if (rows.empty()) return std::optional<Role>();
    return std::optional<Role>(static_cast<Role>(rows[0][0].as<int>()));
  });
}

Status PostgresStore::put_member(const Membership& member,
                                 const std::optional<MemberExpectation>& expected,
                                 const AccountBounds& limits, const AuditEntry& entry) {
  return pool_->with("setting a member", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    MIMEO_ASSIGN_OR_RETURN(const std::optional<Role> before,
                           lock_member(connection, transaction, member.organization, member.user));
    MIMEO_RETURN_IF_ERROR(
        check_expected(connection, transaction, member.organization, before, expected));
    if (!before) {
      MIMEO_RETURN_IF_ERROR(may_join(connection, transaction, member, limits));
    } else if (*before == Role::kOwner && member.role != Role::kOwner) {
      MIMEO_RETURN_IF_ERROR(
          has_another_owner(connection, transaction, member.organization, member.user));
    }
    connection.run_in(transaction, kPutMember, member.organization, member.user,
                      static_cast<int>(member.role), sql_time(member.created_at));
    append_audit_in(connection, transaction, entry);
    transaction.commit();
    return absl::OkStatus();
  });
}

Status PostgresStore::remove_member(AccountId organization, AccountId user,
                                    const std::optional<MemberExpectation>& expected,
                                    const AuditEntry& entry) {
  return pool_->with("removing a member", [&](Connection& connection) -> Status {
    pqxx::work transaction(connection.raw());
    MIMEO_ASSIGN_OR_RETURN(const std::optional<Role> before,
                           lock_member(connection, transaction, organization, user));
    if (!before) return absl::NotFoundError("no such member");
    MIMEO_RETURN_IF_ERROR(check_expected(connection, transaction, organization, before, expected));
    if (*before == Role::kOwner) {
      MIMEO_RETURN_IF_ERROR(has_another_owner(connection, transaction, organization, user));
    }
    connection.run_in(transaction, kRemoveMember, organization, user);
    connection.run_in(transaction, kDisableMembersTokens, organization, user, sql_time(entry.at));
    append_audit_in(connection, transaction, entry);
    transaction.commit();
    return absl::OkStatus();
  });
}

Result<Token> PostgresStore::add_token(const Token& token, const AccountBounds& limits,
                                       const AuditEntry& entry) {
  using Answer = Result<Token>;
  return pool_->with("creating a token", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    connection.run_in(transaction, kLockAccounts, token.account, token.account);
    if (token.created_by != 0 &&
        connection.run_in(transaction, kFindRole, token.account, token.created_by).empty()) {
      return absl::AbortedError("who makes the token is no member any more");
    }
    const pqxx::result live =
        connection.run_in(transaction, kCountTokens, token.account, sql_time(token.created_at));
    if (is_full(live[0][0].as<std::int64_t>(), limits.tokens)) {
      return absl::ResourceExhaustedError("the account has as many tokens as it may have");
    }
    const pqxx::result rows =
        connection.run_in(transaction, kCreateToken, token.account, sanitize_text(token.name),
                          sql_bytea(token.hash), token.prefix, sql_time(token.created_at),
                          sql_time(token.expires_at), sql_time(token.disabled_at),
                          sql_time(token.last_used_at), to_text(token.scopes), token.created_by);
    MIMEO_ASSIGN_OR_RETURN(Token made, only(rows, read_token, "no such account"));
    append_audit_in(connection, transaction, entry);
    transaction.commit();
    return made;
  });
}

Result<Token> PostgresStore::get_token(std::int64_t id) {
  using Answer = Result<Token>;
  return pool_->with("reading a token", [&](Connection& connection) -> Answer {
    return only(connection.run(kGetToken, id), read_token, "no such token");
  });
}

Result<std::vector<Token>> PostgresStore::page_tokens(AccountId account, AccountId created_by,
                                                      std::int64_t below_id, std::size_t limit) {
  using Answer = Result<std::vector<Token>>;
  return pool_->with("listing tokens", [&](Connection& connection) -> Answer {
    return all(connection.run(kPageTokens, account, created_by, below_id,
                              static_cast<std::int64_t>(limit)),
               read_token);
  });
}

Result<Token> PostgresStore::update_token(std::int64_t id, const TokenChange& change,
                                          const AuditEntry& entry) {
  using Answer = Result<Token>;
  return pool_->with("changing a token", [&](Connection& connection) -> Answer {
    pqxx::work transaction(connection.raw());
    const pqxx::result rows = connection.run_in(transaction, kUpdateToken, id, clean(change.name),
                                                sql_time(change.disabled_at));
    MIMEO_ASSIGN_OR_RETURN(Token changed, only(rows, read_token, "no such token"));
    append_audit_in(connection, transaction, entry);
    transaction.commit();
    return changed;
  });
}

Status PostgresStore::append_audit(const AuditEntry& entry) {
  return pool_->with("writing the audit log", [&](Connection& connection) -> Status {
    pqxx::nontransaction transaction(connection.raw());
    append_audit_in(connection, transaction, entry);
    return absl::OkStatus();
  });
}

Result<std::vector<AuditEntry>> PostgresStore::list_audit(const AuditFilter& filter) {
  using Answer = Result<std::vector<AuditEntry>>;
  return pool_->with("reading the audit log", [&](Connection& connection) -> Answer {
    const std::string action = sanitize_text(filter.action);
    const bool is_kind = action.ends_with('.');
    const std::int64_t below =
        filter.below_id == 0 ? std::numeric_limits<std::int64_t>::max() : filter.below_id;
    const auto limit = static_cast<std::int64_t>(filter.limit);
    if (!filter.account) {
      return all(connection.run(kListAudit, action, is_kind, sanitize_text(filter.actor),
                                sanitize_text(filter.target), sql_time(filter.after),
                                sql_time(filter.before), below, limit),
                 read_entry);
    }
    return all(connection.run(kListAccountAudit, action, is_kind, sanitize_text(filter.actor),
                              sanitize_text(filter.target), sql_time(filter.after),
                              sql_time(filter.before), below, limit, *filter.account),
               read_entry);
  });
}

Result<std::size_t> PostgresStore::forget_access(WallTime before, std::size_t limit) {
  using Answer = Result<std::size_t>;
  return pool_->with("forgetting old entries", [&](Connection& connection) -> Answer {
    const auto most = static_cast<std::int64_t>(limit);
    return connection.run(kForgetAudit, sql_time(before), most).affected_rows() +
           connection.run(kForgetTokens, sql_time(before), most).affected_rows();
  });
}

}  // namespace mimeo::store
