// Statements of accounts, tokens, hardware, models and versions.

#pragma once

#include "common/store/postgres/statement.h"

namespace mimeo::store {

#define MIMEO_ACCOUNT_COLUMNS                                                                \
  "a.id, a.type, a.username, a.name, a.github_url, a.avatar_url, a.weight, a.max_running, "  \
  "a.max_queued, a.webhook_secret, a.file_secret, COALESCE(a.created_by, 0), a.created_at, " \
  "a.disabled_at"
#define MIMEO_TOKEN_COLUMNS                                                                   \
  "t.id, t.account_id, t.name, t.hash, t.prefix, t.created_at, t.expires_at, t.disabled_at, " \
  "t.last_used_at, t.scopes, COALESCE(t.created_by, 0), "                                     \
  "(SELECT username FROM accounts WHERE id = t.created_by)"
#define MIMEO_MODEL_SELECT_WITH(readme)                                                 \
  "SELECT m.id, m.owner_id, a.username, m.name, m.visibility, m.description, m.sku, "   \
  "m.github_url, m.paper_url, m.license_url, m.weights_url, m.cover_image_url, " readme \
  ", (SELECT COALESCE(sum(n), 0)::bigint FROM model_runs WHERE model_id = m.id), "      \
  "m.default_example, m.latest_version, m.created_at, m.latest_version_at "             \
  "FROM models AS m JOIN accounts AS a ON a.id = m.owner_id WHERE m.deleted_at IS NULL "
#define MIMEO_MODEL_SELECT MIMEO_MODEL_SELECT_WITH("m.readme")
// For lists: a README may be as large as everything else of a page.
#define MIMEO_LISTED_MODEL_SELECT MIMEO_MODEL_SELECT_WITH("''::text")
#define MIMEO_VERSION_COLUMNS                                                            \
  "v.id, v.model_id, v.state, v.refusal, v.repository, v.image_digest, v.image_bytes, "  \
  "v.cog_version, v.openapi_schema, v.config, v.needs_gpu, v.concurrency, v.pushed_by, " \
  "v.created_at"

inline constexpr Statement kCreateAccount{"accounts_create", R"sql(
INSERT INTO accounts AS a (type, username, name, github_url, avatar_url, weight, max_running,
  max_queued, webhook_secret, created_at, created_by)
VALUES ($1::smallint, $2::text, $3::text, $4::text, $5::text, $6::double precision, $7::int, $8::int,
  $9::text, $10::timestamptz, NULLIF($11::bigint, 0))
RETURNING )sql" MIMEO_ACCOUNT_COLUMNS};

inline constexpr Statement kGetAccount{
    "accounts_get", "SELECT " MIMEO_ACCOUNT_COLUMNS " FROM accounts AS a WHERE a.id = $1::bigint"};

inline constexpr Statement kGetAccountByUsername{"accounts_get_by_username",
                                                 "SELECT " MIMEO_ACCOUNT_COLUMNS
                                                 " FROM accounts AS a WHERE a.username = $1::text"};

inline constexpr Statement kListAccounts{
    "accounts_list", "SELECT " MIMEO_ACCOUNT_COLUMNS " FROM accounts AS a ORDER BY a.username"};

// No row when there is no such account.
inline constexpr Statement kCreateToken{"tokens_create", R"sql(
INSERT INTO tokens AS t (account_id, name, hash, prefix, created_at, expires_at, disabled_at,
  last_used_at, scopes, created_by)
SELECT id, $2::text, $3::bytea, $4::text, $5::timestamptz, $6::timestamptz, $7::timestamptz,
  $8::timestamptz, $9::text, NULLIF($10::bigint, 0)
FROM accounts WHERE id = $1::bigint
RETURNING )sql" MIMEO_TOKEN_COLUMNS};

inline constexpr Statement kGetTokenOwner{
    "tokens_owner", "SELECT " MIMEO_TOKEN_COLUMNS ", " MIMEO_ACCOUNT_COLUMNS
                    ", (SELECT role FROM memberships"
                    " WHERE account_id = t.account_id AND user_id = t.created_by)"
                    ", COALESCE((SELECT disabled_at IS NOT NULL FROM accounts"
                    " WHERE id = t.created_by), false)"
                    " FROM tokens AS t JOIN accounts AS a ON a.id = t.account_id"
                    " WHERE t.hash = $1::bytea"};

inline constexpr Statement kListTokens{
    "tokens_list", "SELECT " MIMEO_TOKEN_COLUMNS
                   " FROM tokens AS t WHERE t.account_id = $1::bigint ORDER BY t.id"};

inline constexpr Statement kTouchToken{"tokens_touch", R"sql(
UPDATE tokens SET last_used_at = $2::timestamptz
WHERE id = $1::bigint
  AND (last_used_at IS NULL OR last_used_at + interval '1 minute' <= $2::timestamptz))sql"};

inline constexpr Statement kListHardware{"hardware_list", R"sql(
SELECT sku, name, cpu_milli, memory_bytes, gpus, gpu_memory_bytes, scratch_bytes,
  price_micros_per_second
FROM hardware ORDER BY position, sku)sql"};

// Tells the schedulers of the targets that run on it, too.
inline constexpr Statement kPutHardware{"hardware_put", R"sql(
WITH h AS (
  INSERT INTO hardware (sku, name, position, cpu_milli, memory_bytes, gpus, gpu_memory_bytes,
    scratch_bytes, price_micros_per_second)
  VALUES ($1::text, $2::text, $3::int, $4::bigint, $5::bigint, $6::bigint, $7::bigint, $8::bigint,
    $9::bigint)
  ON CONFLICT (sku) DO UPDATE SET name = excluded.name, position = excluded.position,
    cpu_milli = excluded.cpu_milli, memory_bytes = excluded.memory_bytes, gpus = excluded.gpus,
    gpu_memory_bytes = excluded.gpu_memory_bytes, scratch_bytes = excluded.scratch_bytes,
    price_micros_per_second = excluded.price_micros_per_second
), p AS (
  -- What is over keeps its price. The first one counts since ever.
  INSERT INTO hardware_prices (sku, since, micros_per_second)
  SELECT $1::text, CASE WHEN q.n = 0 THEN '-infinity' ELSE clock_timestamp() END, $9::bigint
  FROM (SELECT count(*) AS n, (array_agg(micros_per_second ORDER BY since DESC))[1] AS last
        FROM hardware_prices WHERE sku = $1::text) AS q
  WHERE q.last IS DISTINCT FROM $9::bigint
)
UPDATE targets SET config_seq = next_config_seq() WHERE sku = $1::text)sql"};

// No row when there is no such owner.
inline constexpr Statement kCreateModel{"models_create", R"sql(
INSERT INTO models (owner_id, name, visibility, description, sku, github_url, paper_url,
  license_url, weights_url, cover_image_url, readme, default_example, created_at)
SELECT id, $2::text, $3::smallint, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text,
  $10::text, $11::text, $12::uuid, $13::timestamptz
FROM accounts WHERE id = $1::bigint
RETURNING id)sql"};

// $3 the viewer; 0 sees all.
inline constexpr Statement kGetModel{"models_get", MIMEO_MODEL_SELECT R"sql(
AND a.username = $1::text AND m.name = $2::text
AND (m.visibility = 0 OR $3::bigint = 0 OR m.owner_id = $3))sql"};

inline constexpr Statement kGetModelById{"models_get_by_id",
                                         MIMEO_MODEL_SELECT "AND m.id = $1::bigint"};

inline constexpr Statement kUpdateModel{"models_update", R"sql(
UPDATE models SET description = COALESCE($2::text, description), readme = COALESCE($3::text, readme),
  github_url = COALESCE($4::text, github_url), paper_url = COALESCE($5::text, paper_url),
  weights_url = COALESCE($6::text, weights_url), license_url = COALESCE($7::text, license_url),
  cover_image_url = COALESCE($8::text, cover_image_url), sku = COALESCE($9::text, sku),
  visibility = COALESCE($10::smallint, visibility),
  default_example = COALESCE($11::uuid, default_example)
WHERE id = $1::bigint AND deleted_at IS NULL)sql"};

inline constexpr Statement kLockModel{"models_lock", R"sql(
SELECT visibility, EXISTS (SELECT FROM versions WHERE model_id = models.id AND state = 0)
FROM models WHERE id = $1::bigint AND deleted_at IS NULL FOR UPDATE)sql"};

inline constexpr Statement kOwnerOfModel{"models_owner",
                                         "SELECT owner_id FROM models WHERE id = $1::bigint"};

inline constexpr Statement kDeleteModel{"models_delete", R"sql(
UPDATE models SET deleted_at = now() WHERE id = $1::bigint)sql"};

inline constexpr Statement kRefreshLatest{"models_refresh_latest", R"sql(
UPDATE models SET (latest_version, latest_version_at) = (
  SELECT id, created_at FROM versions WHERE model_id = $1::bigint AND state = 0
  ORDER BY created_at DESC, id DESC LIMIT 1)
WHERE id = $1::bigint)sql"};

// Replaces a row in another state, unless that is ready. No row changed: it was there.
inline constexpr Statement kPutVersion{"versions_put", R"sql(
INSERT INTO versions AS v (id, model_id, state, refusal, repository, image_digest, image_bytes,
  cog_version, openapi_schema, config, needs_gpu, concurrency, pushed_by, created_at)
VALUES ($1::bytea, $2::bigint, $3::smallint, $4::text, $5::text, $6::text, $7::bigint, $8::text,
  $9::text, $10::text, $11::boolean, $12::int, $13::text, $14::timestamptz)
ON CONFLICT (id) DO UPDATE SET model_id = excluded.model_id, state = excluded.state,
  refusal = excluded.refusal, repository = excluded.repository,
  image_digest = excluded.image_digest, image_bytes = excluded.image_bytes,
  cog_version = excluded.cog_version, openapi_schema = excluded.openapi_schema,
  config = excluded.config, needs_gpu = excluded.needs_gpu, concurrency = excluded.concurrency,
  pushed_by = excluded.pushed_by, created_at = excluded.created_at
WHERE v.state <> 0 AND v.state <> excluded.state)sql"};

// $2 the viewer; 0 sees all.
inline constexpr Statement kGetVersion{
    "versions_get", "SELECT " MIMEO_VERSION_COLUMNS
                    " FROM versions AS v JOIN models AS m ON m.id = v.model_id"
                    " WHERE v.id = $1::bytea"
                    " AND (m.visibility = 0 OR $2::bigint = 0 OR m.owner_id = $2)"};

inline constexpr Statement kListVersions{
    "versions_list", "SELECT " MIMEO_VERSION_COLUMNS
                     " FROM versions AS v WHERE v.model_id = $1::bigint AND v.state = 0"
                     " AND v.created_at < COALESCE($2::timestamptz, 'infinity')"
                     " ORDER BY v.created_at DESC, v.id DESC LIMIT $3::bigint"};

inline constexpr Statement kFindRefusal{
    "versions_refusal", "SELECT " MIMEO_VERSION_COLUMNS
                        " FROM versions AS v JOIN models AS m ON m.id = v.model_id"
                        " WHERE v.model_id = $1::bigint AND v.state = 1"
                        " AND (m.latest_version_at IS NULL OR v.created_at > m.latest_version_at)"
                        " ORDER BY v.created_at DESC LIMIT 1"};

inline constexpr Statement kLockVersion{"versions_lock", R"sql(
SELECT model_id FROM versions WHERE id = $1::bytea AND state <> 2 FOR UPDATE)sql"};

// A deployment whose current release uses the version.
inline constexpr Statement kWhoUsesVersion{"versions_who_uses", R"sql(
SELECT a.username, d.name
FROM deployment_releases AS r
JOIN deployments AS d ON d.id = r.deployment_id JOIN accounts AS a ON a.id = d.owner_id
WHERE r.version_id = $1::bytea AND d.deleted_at IS NULL
  AND r.number = (SELECT max(number) FROM deployment_releases WHERE deployment_id = d.id)
LIMIT 1)sql"};

inline constexpr Statement kDeleteVersion{"versions_delete", R"sql(
UPDATE versions SET state = 2 WHERE id = $1::bytea)sql"};

inline constexpr Statement kTouchTargetsOfVersion{"targets_touch_version", R"sql(
UPDATE targets SET config_seq = next_config_seq()
WHERE version_id = $1::bytea
  OR deployment_id IN (SELECT deployment_id FROM deployment_releases WHERE version_id = $1::bytea))sql"};

}  // namespace mimeo::store
