// Statements of examples, of deleting versions, and of limits of accounts.

#pragma once

#include "common/store/postgres/statement.h"

namespace mimeo::store {

// The version of an official model is not shown.
#define MIMEO_EXAMPLE_SELECT                                                               \
  "SELECT e.model_id, e.prediction_id, e.account_id,"                                      \
  " CASE WHEN m.is_official THEN NULL ELSE e.version_id END, e.added_at, e.source,"        \
  " e.created_at, e.started_at, e.completed_at, e.input, e.output, e.logs, e.metrics,"     \
  " o.username, m.name "                                                                   \
  "FROM examples AS e JOIN models AS m ON m.id = e.model_id JOIN accounts AS o ON o.id = " \
  "m.owner_id "                                                                            \
  "WHERE m.deleted_at IS NULL "

inline constexpr Statement kLockModelOfExamples{"examples_lock_model", R"sql(
SELECT (SELECT count(*) FROM examples WHERE model_id = models.id)
FROM models WHERE id = $1::bigint AND deleted_at IS NULL FOR UPDATE)sql"};

// $4 NULL: the version that ran it.
inline constexpr Statement kAddExample{"examples_add", R"sql(
INSERT INTO examples (model_id, prediction_id, account_id, version_id, added_at, source,
  created_at, started_at, completed_at, input, output, logs, metrics)
VALUES ($1::bigint, $2::uuid, $3::bigint,
  COALESCE($4::bytea, (SELECT version_id FROM results WHERE id = $2::uuid)), $5::timestamptz, $6::smallint,
  $7::timestamptz, $8::timestamptz, $9::timestamptz, $10::text, $11::text, $12::text, $13::text))sql"};

inline constexpr Statement kGetExample{
    "examples_get",
    MIMEO_EXAMPLE_SELECT "AND e.model_id = $1::bigint AND e.prediction_id = $2::uuid"};

// $2 the viewer; 0 = nobody.
inline constexpr Statement kFindExample{
    "examples_find", MIMEO_EXAMPLE_SELECT
    "AND e.prediction_id = $1::uuid AND (m.visibility = 0 OR m.owner_id = $2::bigint)"};

inline constexpr Statement kDefaultExamples{
    "examples_default_of",
    MIMEO_EXAMPLE_SELECT "AND m.id = ANY($1::bigint[]) AND e.prediction_id = m.default_example"};

inline constexpr Statement kExamplesBehind{
    "examples_behind", MIMEO_EXAMPLE_SELECT
    "AND e.model_id = $1::bigint"
    " AND (e.added_at, e.prediction_id) < (COALESCE($2::timestamptz, 'infinity'),"
    "   COALESCE($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))"
    " ORDER BY e.added_at DESC, e.prediction_id DESC LIMIT $4::bigint"};
inline constexpr Statement kExamplesBefore{
    "examples_before", MIMEO_EXAMPLE_SELECT
    "AND e.model_id = $1::bigint AND (e.added_at, e.prediction_id) > ($2::timestamptz, $3::uuid)"
    " ORDER BY e.added_at, e.prediction_id LIMIT $4::bigint"};
// Also of deleted models: there, too, they have content and keep predictions.
inline constexpr Statement kExamplesOfVersion{"examples_of_version", R"sql(
SELECT model_id, prediction_id FROM examples WHERE version_id = $1::bytea LIMIT $2::bigint)sql"};

// Before anything else of it is changed, as when one is added.
inline constexpr Statement kLockAnyModelOfExamples{"examples_lock_any_model", R"sql(
SELECT FROM models WHERE id = $1::bigint FOR UPDATE)sql"};
inline constexpr Statement kRemoveExample{"examples_remove", R"sql(
DELETE FROM examples WHERE model_id = $1::bigint AND prediction_id = $2::uuid)sql"};

// $2 becomes the default if it is an example of the model.
inline constexpr Statement kSetDefaultExample{"examples_set_default", R"sql(
UPDATE models SET default_example = $2::uuid
WHERE id = $1::bigint AND deleted_at IS NULL AND EXISTS (
  SELECT FROM examples WHERE model_id = $1::bigint AND prediction_id = $2::uuid))sql"};

// The oldest example, unless the default is one.
inline constexpr Statement kRefreshDefaultExample{"examples_refresh_default", R"sql(
UPDATE models SET default_example = (
  SELECT prediction_id FROM examples WHERE model_id = $1::bigint
  ORDER BY added_at, prediction_id LIMIT 1)
WHERE id = $1::bigint AND NOT EXISTS (
  SELECT FROM examples WHERE model_id = $1::bigint AND prediction_id = models.default_example))sql"};

// --- deleting versions ---

inline constexpr Statement kNoteVersionUser{"version_users_note", R"sql(
INSERT INTO version_users (version_id, account_id)
SELECT v.id, $2::bigint FROM versions AS v JOIN models AS m ON m.id = v.model_id
WHERE v.id = $1::bytea AND m.owner_id <> $2::bigint
ON CONFLICT DO NOTHING)sql"};

// The model, its visibility and owner; whether others ran it; whether it is the base of a training.
inline constexpr Statement kLockVersionForDeletion{"versions_lock_deletion", R"sql(
SELECT v.model_id, m.visibility, m.owner_id,
  EXISTS (SELECT FROM version_users WHERE version_id = v.id AND account_id <> m.owner_id),
  EXISTS (SELECT FROM predictions WHERE account_id = m.owner_id AND is_training
            AND version_id = v.id)
FROM versions AS v JOIN models AS m ON m.id = v.model_id
WHERE v.id = $1::bytea AND v.state = 0 FOR UPDATE OF v)sql"};

// A deployment that runs it or shows it: a release that is live or rolling, or the newest one.
inline constexpr Statement kIsVersionDeployed{"versions_is_deployed", R"sql(
SELECT a.username || '/' || d.name
FROM deployment_releases AS r
JOIN deployments AS d ON d.id = r.deployment_id JOIN accounts AS a ON a.id = d.owner_id
WHERE r.version_id = $1::bytea AND d.deleted_at IS NULL
  AND (r.state IN (0, 1)
       OR r.number = (SELECT max(number) FROM deployment_releases WHERE deployment_id = d.id))
LIMIT 1)sql"};

inline constexpr Statement kBeginVersionDeletion{"version_deletions_begin", R"sql(
INSERT INTO version_deletions (version_id, account_id, requested_at, claimed_until)
VALUES ($1::bytea, $2::bigint, $3::timestamptz, '-infinity')
ON CONFLICT (version_id) DO NOTHING)sql"};

// A version that was pushed again meanwhile keeps what it has.
inline constexpr Statement kClaimVersionDeletion{"version_deletions_claim", R"sql(
WITH pushed_again AS (
  DELETE FROM version_deletions AS d USING versions AS v
  WHERE v.id = d.version_id AND v.state <> 2
)
UPDATE version_deletions SET claimed_until = clock_timestamp() + $1::interval
WHERE version_id = (
  SELECT d.version_id FROM version_deletions AS d JOIN versions AS v ON v.id = d.version_id
  WHERE d.claimed_until < clock_timestamp() AND v.state = 2
  ORDER BY d.requested_at LIMIT 1 FOR UPDATE OF d SKIP LOCKED)
RETURNING version_id, account_id)sql"};

// $1 the owner, $2 ids below it, $3 how many, $4 the version: id, whether it is one of the
// version's, whether it is active.
inline constexpr Statement kScanForVersion{"predictions_scan_version", R"sql(
SELECT p.id, COALESCE(r.version_id, a.version_id, p.version_id) = $4::bytea, r.version_id IS NULL
FROM (
  SELECT id, version_id FROM predictions
  WHERE account_id = $1::bigint AND id < $2::uuid ORDER BY id DESC LIMIT $3::bigint
) AS p
LEFT JOIN LATERAL (SELECT version_id FROM results WHERE id = p.id OFFSET 0) AS r ON true
LEFT JOIN LATERAL (SELECT version_id FROM active WHERE id = p.id OFFSET 0) AS a ON true
ORDER BY p.id DESC)sql"};

// $2, $3 bound the ids.
inline constexpr Statement kErasePayloads{"payloads_erase", R"sql(
DELETE FROM payloads WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid)sql"};
inline constexpr Statement kEraseAttempts{"webhook_attempts_erase", R"sql(
DELETE FROM webhook_attempts
WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid)sql"};
inline constexpr Statement kEraseResults{"results_erase", R"sql(
DELETE FROM results WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid)sql"};
inline constexpr Statement kErasePredictions{"predictions_erase", R"sql(
DELETE FROM predictions WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid)sql"};
inline constexpr Statement kWhichHaveEnded{"results_which_ended", R"sql(
SELECT id FROM results WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid FOR UPDATE)sql"};

inline constexpr Statement kFinishVersionDeletion{"version_deletions_finish", R"sql(
DELETE FROM version_deletions WHERE version_id = $1::bytea)sql"};
inline constexpr Statement kPutOffVersionDeletion{"version_deletions_put_off", R"sql(
UPDATE version_deletions SET claimed_until = clock_timestamp() + $2::interval
WHERE version_id = $1::bytea)sql"};

// --- limits of accounts ---

#define MIMEO_LIMITS_SELECT                                                                \
  "SELECT account_id, create_per_minute, create_burst, read_per_minute, other_per_minute " \
  "FROM account_limits "

// An organization without its own has its maker's.
inline constexpr Statement kListAccountLimits{"account_limits_list", MIMEO_LIMITS_SELECT R"sql(
UNION ALL
SELECT o.id, l.create_per_minute, l.create_burst, l.read_per_minute, l.other_per_minute
FROM account_limits AS l JOIN accounts AS o ON o.created_by = l.account_id
WHERE NOT EXISTS (SELECT FROM account_limits WHERE account_id = o.id)
ORDER BY account_id)sql"};
inline constexpr Statement kGetAccountLimits{"account_limits_get",
                                             MIMEO_LIMITS_SELECT "WHERE account_id = $1::bigint"};
inline constexpr Statement kPutAccountLimits{"account_limits_put", R"sql(
INSERT INTO account_limits (account_id, create_per_minute, create_burst, read_per_minute,
  other_per_minute)
SELECT id, $2::bigint, $3::bigint, $4::bigint, $5::bigint FROM accounts WHERE id = $1::bigint
ON CONFLICT (account_id) DO UPDATE SET create_per_minute = excluded.create_per_minute,
  create_burst = excluded.create_burst, read_per_minute = excluded.read_per_minute,
  other_per_minute = excluded.other_per_minute)sql"};
inline constexpr Statement kRemoveAccountLimits{"account_limits_remove", R"sql(
DELETE FROM account_limits WHERE account_id = $1::bigint)sql"};

}  // namespace mimeo::store
