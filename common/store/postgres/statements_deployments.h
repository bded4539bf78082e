// Statements of targets, deployments and releases.

#pragma once

#include "common/store/postgres/statement.h"

namespace mimeo::store {

#define MIMEO_TARGET_COLUMNS                                                         \
  "t.id, t.kind, t.deployment_id, t.version_id, t.sku, t.cell_id, t.min_instances, " \
  "t.max_instances, t.config_seq"
#define MIMEO_RUNNABLE_SELECT                                                                  \
  "SELECT " MIMEO_TARGET_COLUMNS                                                               \
  ", COALESCE(d.owner_id, m.owner_id, 0), COALESCE(h.name, t.sku), COALESCE(h.cpu_milli, 0), " \
  "COALESCE(h.memory_bytes, 0), COALESCE(h.gpus, 0), COALESCE(h.gpu_memory_bytes, 0), "        \
  "COALESCE(h.scratch_bytes, 0), COALESCE(h.price_micros_per_second, 0) "                      \
  "FROM targets AS t LEFT JOIN hardware AS h ON h.sku = t.sku "                                \
  "LEFT JOIN deployments AS d ON d.id = t.deployment_id "                                      \
  "LEFT JOIN versions AS v ON v.id = t.version_id "                                            \
  "LEFT JOIN models AS m ON m.id = v.model_id "
#define MIMEO_DEPLOYMENT_SELECT                                                          \
  "SELECT d.id, d.owner_id, a.username, d.name, d.model_id, ma.username, m.name, t.id, " \
  "r.number, r.version_id, r.sku, r.min_instances, r.max_instances, r.created_by, "      \
  "r.created_at, r.state, u.created_at, d.created_at "                                   \
  "FROM deployments AS d JOIN accounts AS a ON a.id = d.owner_id "                       \
  "JOIN models AS m ON m.id = d.model_id JOIN accounts AS ma ON ma.id = m.owner_id "     \
  "JOIN targets AS t ON t.deployment_id = d.id "                                         \
  "JOIN LATERAL (SELECT * FROM deployment_releases WHERE deployment_id = d.id "          \
  "              ORDER BY number DESC LIMIT 1) AS r ON true "                            \
  "LEFT JOIN LATERAL (SELECT created_at FROM predictions WHERE deployment_id = d.id "    \
  "                   ORDER BY id DESC LIMIT 1) AS u ON true "                           \
  "WHERE d.deleted_at IS NULL "

inline constexpr Statement kFindPool{
    "targets_find_pool", "SELECT " MIMEO_TARGET_COLUMNS
                         " FROM targets AS t"
                         " WHERE t.kind = 1 AND t.version_id = $1::bytea AND t.sku = $2::text"};
inline constexpr Statement kFindTrainingPool{"targets_find_training_pool",
                                             "SELECT " MIMEO_TARGET_COLUMNS
                                             " FROM targets AS t WHERE t.kind = 2"
                                             " AND t.version_id = $1::bytea AND t.sku = $2::text"};

// $4 the kind: 1 or 2.
inline constexpr Statement kMakePool{"targets_make_pool", R"sql(
INSERT INTO targets (kind, version_id, sku, cell_id, min_instances, max_instances, config_seq)
SELECT $4::smallint, v.id, $2::text, COALESCE((
    SELECT c.cell_id FROM cells AS c
    ORDER BY (SELECT count(*) FROM targets AS t WHERE t.cell_id = c.cell_id), c.cell_id LIMIT 1), 1),
  0, $3::int, next_config_seq()
FROM versions AS v WHERE v.id = $1::bytea
ON CONFLICT DO NOTHING)sql"};

// No row when that is its bound already.
inline constexpr Statement kBoundPool{"targets_bound_pool", R"sql(
UPDATE targets AS t SET max_instances = $2::int, config_seq = next_config_seq()
WHERE id = $1::bigint AND max_instances <> $2::int
RETURNING )sql" MIMEO_TARGET_COLUMNS};

inline constexpr Statement kGetRunnable{"targets_get_runnable",
                                        MIMEO_RUNNABLE_SELECT "WHERE t.id = $1::bigint"};

inline constexpr Statement kListRunnable{"targets_list_runnable", MIMEO_RUNNABLE_SELECT
                                         "WHERE t.cell_id = $1::int AND t.config_seq > $2::bigint "
                                         "ORDER BY t.config_seq LIMIT $3::bigint"};

// The releases, newest first, of the targets $1 with their versions (MIMEO_VERSION_COLUMNS).
inline constexpr Statement kReleasesOfTargets{"releases_of_targets", R"sql(
SELECT t.id, COALESCE(r.number, 0), COALESCE(r.state, 1),
  v.id, v.model_id, v.state, v.refusal, v.repository, v.image_digest, v.image_bytes, v.cog_version,
  v.openapi_schema, v.config, v.needs_gpu, v.concurrency, v.pushed_by, v.created_at
FROM targets AS t
LEFT JOIN deployment_releases AS r ON r.deployment_id = t.deployment_id AND r.state <> 2
JOIN versions AS v ON v.id = COALESCE(r.version_id, t.version_id)
WHERE t.id = ANY($1::bigint[]) AND (t.deployment_id IS NOT NULL OR v.state = 0)
ORDER BY t.id, r.number DESC)sql"};

// Locks what a release refers to, so that it is not deleted meanwhile. No row: not there.
inline constexpr Statement kShareVersion{"versions_share", R"sql(
SELECT FROM versions WHERE id = $1::bytea AND state = 0 FOR SHARE)sql"};
inline constexpr Statement kShareModel{"models_share", R"sql(
SELECT FROM models WHERE id = $1::bigint AND deleted_at IS NULL FOR SHARE)sql"};

inline constexpr Statement kCreateDeployment{"deployments_create", R"sql(
INSERT INTO deployments (owner_id, name, model_id, created_at)
SELECT id, $2::text, $3::bigint, $4::timestamptz FROM accounts WHERE id = $1::bigint
RETURNING id)sql"};

inline constexpr Statement kCreateRelease{"releases_create", R"sql(
INSERT INTO deployment_releases (deployment_id, number, version_id, sku, min_instances,
  max_instances, created_by, created_at, state)
VALUES ($1::bigint, $2::int, $3::bytea, $4::text, $5::int, $6::int, $7::bigint, $8::timestamptz,
  $9::smallint))sql"};

inline constexpr Statement kMakeDeploymentTarget{"targets_make_deployment", R"sql(
INSERT INTO targets (kind, deployment_id, sku, cell_id, min_instances, max_instances, config_seq)
SELECT 0, $1::bigint, $2::text, COALESCE((
    SELECT c.cell_id FROM cells AS c
    ORDER BY (SELECT count(*) FROM targets AS t WHERE t.cell_id = c.cell_id), c.cell_id LIMIT 1), 1),
  $3::int, $4::int, next_config_seq())sql"};

inline constexpr Statement kGetDeployment{
    "deployments_get", MIMEO_DEPLOYMENT_SELECT "AND a.username = $1::text AND d.name = $2::text"};
inline constexpr Statement kGetDeploymentById{"deployments_get_by_id",
                                              MIMEO_DEPLOYMENT_SELECT "AND d.id = $1::bigint"};
inline constexpr Statement kListDeployments{
    "deployments_list", MIMEO_DEPLOYMENT_SELECT
    "AND d.owner_id = $1::bigint AND d.created_at < COALESCE($2::timestamptz, 'infinity') "
    "ORDER BY d.created_at DESC, d.id DESC LIMIT $3::bigint"};

inline constexpr Statement kLockDeployment{"deployments_lock", R"sql(
SELECT FROM deployments WHERE id = $1::bigint AND deleted_at IS NULL FOR UPDATE)sql"};

inline constexpr Statement kSupersedeRelease{"releases_supersede", R"sql(
UPDATE deployment_releases SET state = 2 WHERE deployment_id = $1::bigint AND number = $2::int)sql"};
inline constexpr Statement kSupersedeOlderReleases{"releases_supersede_older", R"sql(
UPDATE deployment_releases SET state = 2
WHERE deployment_id = $1::bigint AND number < $2::int AND state <> 2)sql"};

inline constexpr Statement kSetReleaseState{"releases_set_state", R"sql(
UPDATE deployment_releases SET state = $4::smallint
WHERE deployment_id = $1::bigint AND number = $2::int AND state = $3::smallint)sql"};
inline constexpr Statement kHasRelease{"releases_has", R"sql(
SELECT FROM deployment_releases WHERE deployment_id = $1::bigint AND number = $2::int)sql"};

inline constexpr Statement kSetTarget{"targets_set", R"sql(
UPDATE targets SET sku = $2::text, min_instances = $3::int, max_instances = $4::int,
  config_seq = next_config_seq()
WHERE deployment_id = $1::bigint)sql"};
inline constexpr Statement kTouchDeploymentTarget{"targets_touch_deployment", R"sql(
UPDATE targets SET config_seq = next_config_seq() WHERE deployment_id = $1::bigint)sql"};

// Whether it was used, and whether it had instances, within $2.
inline constexpr Statement kIsDeploymentBusy{"deployments_busy", R"sql(
SELECT
  EXISTS (SELECT FROM predictions
          WHERE deployment_id = $1::bigint AND created_at > now() - $2::interval),
  EXISTS (SELECT FROM targets AS t JOIN instances AS s ON s.target_id = t.id
          WHERE t.deployment_id = $1::bigint
            AND (s.state < 90 OR s.state_since > now() - $2::interval)))sql"};
inline constexpr Statement kDeleteDeployment{"deployments_delete", R"sql(
WITH d AS (UPDATE deployments SET deleted_at = now() WHERE id = $1::bigint),
  r AS (UPDATE deployment_releases SET state = 2 WHERE deployment_id = $1::bigint)
UPDATE targets SET min_instances = 0, max_instances = 0, config_seq = next_config_seq()
WHERE deployment_id = $1::bigint)sql"};

}  // namespace mimeo::store
