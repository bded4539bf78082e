// Statements of members, of changes to accounts and tokens, and of the audit log. Those that belong
// together run in one transaction of postgres_accounts.cc.

#pragma once

#include "common/store/postgres/statement.h"
#include "common/store/postgres/statements_catalog.h"

namespace mimeo::store {

// Both accounts that a membership joins: counting what they have and adding to it is one step. Not
// FOR UPDATE: rows that refer to the accounts may be inserted meanwhile.
inline constexpr Statement kLockAccounts{"accounts_lock", R"sql(
SELECT id, type FROM accounts WHERE id IN ($1::bigint, $2::bigint) ORDER BY id
FOR NO KEY UPDATE)sql"};

// $5: whether $6 counts. A disabled account stays disabled since the first time.
inline constexpr Statement kUpdateAccount{"accounts_update", R"sql(
UPDATE accounts AS a SET name = COALESCE($2::text, name),
  github_url = COALESCE($3::text, github_url), avatar_url = COALESCE($4::text, avatar_url),
  disabled_at = CASE WHEN NOT $5::boolean THEN disabled_at
    WHEN $6::timestamptz IS NULL THEN NULL
    ELSE COALESCE(disabled_at, $6::timestamptz) END
WHERE id = $1::bigint
RETURNING )sql" MIMEO_ACCOUNT_COLUMNS};

#define MIMEO_MEMBER_SELECT                                                                \
  "SELECT m.account_id, m.user_id, o.username, u.username, m.role, m.created_at "          \
  "FROM memberships AS m JOIN accounts AS o ON o.id = m.account_id JOIN accounts AS u ON " \
  "u.id = m.user_id "

inline constexpr Statement kListMembers{"members_list", MIMEO_MEMBER_SELECT R"sql(
WHERE m.account_id = $1::bigint AND u.username > $2::text ORDER BY u.username
LIMIT $3::bigint)sql"};

inline constexpr Statement kListOrganizations{"members_organizations", MIMEO_MEMBER_SELECT
                                              "WHERE m.user_id = $1::bigint ORDER BY o.username"};
#undef MIMEO_MEMBER_SELECT

inline constexpr Statement kFindRole{"members_role", R"sql(
SELECT role FROM memberships WHERE account_id = $1::bigint AND user_id = $2::bigint)sql"};

inline constexpr Statement kCountOtherOwners{"members_owners", R"sql(
SELECT count(*) FROM memberships AS m JOIN accounts AS u ON u.id = m.user_id
WHERE m.account_id = $1::bigint AND m.user_id <> $2::bigint AND m.role = 0
  AND u.disabled_at IS NULL)sql"};

inline constexpr Statement kCountMembers{"members_count", R"sql(
SELECT (SELECT count(*) FROM memberships WHERE account_id = $1::bigint),
  (SELECT count(*) FROM memberships WHERE user_id = $2::bigint))sql"};

inline constexpr Statement kPutMember{"members_put", R"sql(
INSERT INTO memberships (account_id, user_id, role, created_at)
VALUES ($1::bigint, $2::bigint, $3::smallint, $4::timestamptz)
ON CONFLICT (account_id, user_id) DO UPDATE SET role = excluded.role)sql"};

inline constexpr Statement kRemoveMember{"members_remove", R"sql(
DELETE FROM memberships WHERE account_id = $1::bigint AND user_id = $2::bigint)sql"};

inline constexpr Statement kDisableMembersTokens{"members_disable_tokens", R"sql(
UPDATE tokens SET disabled_at = $3::timestamptz
WHERE account_id = $1::bigint AND created_by = $2::bigint AND disabled_at IS NULL)sql"};

inline constexpr Statement kCountTokens{"tokens_count", R"sql(
SELECT count(*) FROM tokens WHERE account_id = $1::bigint AND disabled_at IS NULL
  AND (expires_at IS NULL OR expires_at > $2::timestamptz))sql"};

inline constexpr Statement kGetToken{
    "tokens_get", "SELECT " MIMEO_TOKEN_COLUMNS " FROM tokens AS t WHERE t.id = $1::bigint"};

inline constexpr Statement kPageTokens{"tokens_page",
                                       "SELECT " MIMEO_TOKEN_COLUMNS R"sql( FROM tokens AS t
WHERE t.account_id = $1::bigint AND ($2::bigint = 0 OR t.created_by = $2::bigint)
  AND ($3::bigint = 0 OR t.id < $3::bigint)
ORDER BY t.id DESC LIMIT $4::bigint)sql"};

inline constexpr Statement kUpdateToken{"tokens_update", R"sql(
UPDATE tokens AS t SET name = COALESCE($2::text, name),
  disabled_at = COALESCE(disabled_at, $3::timestamptz)
WHERE id = $1::bigint
RETURNING )sql" MIMEO_TOKEN_COLUMNS};

inline constexpr Statement kAppendAudit{"audit_append", R"sql(
INSERT INTO audit_log (at, account_id, action, target, outcome, actor, actor_account_id,
  actor_user_id, token_id, address, request_id, details)
VALUES ($1::timestamptz, NULLIF($2::bigint, 0), $3::text, $4::text, $5::smallint, $6::text,
  NULLIF($7::bigint, 0), NULLIF($8::bigint, 0), NULLIF($9::bigint, 0), $10::text, $11::text,
  $12::json))sql"};

// $1 to $7: action, whether it is a kind, actor, target, from, to, ids below. Two statements, so
// that each has one plan: an account's entries by their own index.
#define MIMEO_AUDIT_SELECT                                                                       \
  "SELECT l.id, l.at, COALESCE(l.account_id, 0), a.username, l.action, l.target, l.outcome, "    \
  "l.actor, COALESCE(l.actor_account_id, 0), COALESCE(l.actor_user_id, 0), "                     \
  "COALESCE(l.token_id, 0), l.address, l.request_id, l.details "                                 \
  "FROM audit_log AS l LEFT JOIN accounts AS a ON a.id = l.account_id "                          \
  "WHERE ($1::text = '' OR l.action = $1::text OR ($2::boolean AND starts_with(l.action, $1))) " \
  "AND ($3::text = '' OR l.actor = $3::text) AND ($4::text = '' OR l.target = $4::text) "        \
  "AND ($5::timestamptz IS NULL OR l.at >= $5::timestamptz) "                                    \
  "AND ($6::timestamptz IS NULL OR l.at < $6::timestamptz) AND l.id < $7::bigint "

inline constexpr Statement kListAudit{"audit_list",
                                      MIMEO_AUDIT_SELECT "ORDER BY l.id DESC LIMIT $8::bigint"};
inline constexpr Statement kListAccountAudit{
    "audit_list_account",
    MIMEO_AUDIT_SELECT "AND l.account_id = $9::bigint ORDER BY l.id DESC LIMIT $8::bigint"};
#undef MIMEO_AUDIT_SELECT

inline constexpr Statement kForgetAudit{"audit_forget", R"sql(
DELETE FROM audit_log WHERE id IN (
  SELECT id FROM audit_log WHERE at < $1::timestamptz ORDER BY at LIMIT $2::bigint))sql"};

inline constexpr Statement kForgetTokens{"tokens_forget", R"sql(
DELETE FROM tokens WHERE id IN (
  SELECT id FROM tokens WHERE disabled_at < $1::timestamptz OR expires_at < $1::timestamptz
  ORDER BY id LIMIT $2::bigint))sql"};

}  // namespace mimeo::store
