// Statements of replicas, cells, workers and instances. Leases are measured by the database's
// clock.

#pragma once

#include "common/store/postgres/statement.h"
#include "common/store/postgres/statements_billing.h"

namespace mimeo::store {

inline constexpr Statement kHeartbeatReplica{"replicas_heartbeat", R"sql(
INSERT INTO replicas (id, role, addr, version, lease_until)
VALUES ($1::uuid, $2::smallint, $3::text, $4::text, clock_timestamp() + $5::interval)
ON CONFLICT (id) DO UPDATE SET role = excluded.role, addr = excluded.addr,
  version = excluded.version, lease_until = excluded.lease_until)sql"};

inline constexpr Statement kRemoveReplica{"replicas_remove", R"sql(
DELETE FROM replicas WHERE id = $1::uuid)sql"};

inline constexpr Statement kListReplicas{"replicas_list", R"sql(
SELECT id, role, addr, version FROM replicas
WHERE role = $1::smallint AND lease_until > clock_timestamp() ORDER BY id)sql"};

inline constexpr Statement kEnsureCell{"cells_ensure", R"sql(
INSERT INTO cells (cell_id) VALUES ($1::int) ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kListCells{"cells_list", R"sql(
SELECT cell_id, owner_id, owner_addr, epoch, owner_id IS NOT NULL AND lease_until > clock_timestamp()
FROM cells ORDER BY cell_id)sql"};

// Whether there is such a cell, and its new epoch when it was taken.
inline constexpr Statement kTakeCell{"cells_take", R"sql(
SELECT EXISTS (SELECT FROM cells WHERE cell_id = $1::int), e.epoch
FROM (VALUES (1)) AS one
LEFT JOIN take_cell($1::int, $2::uuid, $3::text, $4::interval) AS e(epoch) ON true)sql"};

inline constexpr Statement kRenewCell{"cells_renew", R"sql(
UPDATE cells SET lease_until = clock_timestamp() + $4::interval
WHERE cell_id = $1::int AND epoch = $2::bigint AND owner_id = $3::uuid)sql"};

inline constexpr Statement kReleaseCell{"cells_release", R"sql(
UPDATE cells SET owner_id = NULL, owner_addr = '', lease_until = '-infinity'
WHERE cell_id = $1::int AND epoch = $2::bigint AND owner_id = $3::uuid)sql"};

inline constexpr Statement kCreateWorkerToken{"worker_tokens_create", R"sql(
INSERT INTO worker_tokens (hash, name, cell_id) VALUES ($1::bytea, $2::text, $3::int))sql"};

inline constexpr Statement kCheckWorkerToken{"worker_tokens_check", R"sql(
SELECT cell_id FROM worker_tokens WHERE hash = $1::bytea AND disabled_at IS NULL)sql"};

// A given-up worker (state 2 or 3) gets a higher incarnation, so that what its former self still
// sends is recognised.
inline constexpr Statement kRegisterWorker{"workers_register", R"sql(
INSERT INTO workers AS w (id, cell_id, incarnation, hostname, inventory, state)
VALUES ($1::uuid, $2::int, GREATEST($3::bigint, 1), $4::text, $5::jsonb, 0)
ON CONFLICT (id) DO UPDATE SET
  cell_id = excluded.cell_id, hostname = excluded.hostname, inventory = excluded.inventory,
  incarnation = CASE WHEN w.state < 2 AND w.incarnation >= $3::bigint THEN w.incarnation
                     ELSE GREATEST(w.incarnation, $3::bigint) + 1 END,
  state = CASE WHEN w.state < 2 THEN w.state ELSE 0 END,
  state_since = CASE WHEN w.state < 2 THEN w.state_since ELSE now() END
RETURNING incarnation)sql"};

inline constexpr Statement kSetWorkerState{"workers_set_state", R"sql(
UPDATE workers SET state_since = CASE WHEN state = $2::smallint THEN state_since ELSE now() END,
  state = $2::smallint
WHERE id = $1::uuid)sql"};

inline constexpr Statement kListWorkers{"workers_list", R"sql(
SELECT id, cell_id, incarnation, hostname, inventory, state, state_since
FROM workers WHERE $1::int = 0 OR cell_id = $1 ORDER BY hostname, id)sql"};

// $1, $2: the fence. Who pays is settled here: later the training may be over, and the model
// public.
inline constexpr Statement kInsertInstances{"instances_insert", R"sql(
WITH f AS MATERIALIZED (
  SELECT fence_holds($1::int, $2::bigint) AS holds
), n AS (
  INSERT INTO instances (id, target_id, version_id, release, worker_id, incarnation, sku,
    gpu_indices, state, ready_at, detail, usage_kind, payer_id)
  SELECT i.id, i.target_id, i.version_id, i.release, i.worker_id, i.incarnation, i.sku,
    i.gpu_indices::int[], i.state, i.ready_at, i.detail, k.kind,
    COALESCE(CASE WHEN k.kind <> 3 THEN )sql" MIMEO_OWNER_WHO_PAYS("k.kind", "d", "o") R"sql(
      WHEN i.started_for > 0 THEN i.started_for
      ELSE (SELECT account_id FROM active AS a WHERE a.target_id = i.target_id AND a.st = 0
            ORDER BY a.id LIMIT 1) END, 0)
  FROM unnest($3::uuid[], $4::bigint[], $5::bytea[], $6::int[], $7::uuid[], $8::bigint[], $9::text[],
    $10::text[], $11::smallint[], $12::timestamptz[], $13::text[], $14::bigint[])
  AS i(id, target_id, version_id, release, worker_id, incarnation, sku,
    gpu_indices, state, ready_at, detail, started_for)
  LEFT JOIN targets AS t ON t.id = i.target_id
  LEFT JOIN deployments AS d ON d.id = t.deployment_id
  LEFT JOIN versions AS v ON v.id = i.version_id
  LEFT JOIN models AS o ON o.id = v.model_id
  CROSS JOIN LATERAL (SELECT )sql" MIMEO_USAGE_KIND("t", "o") R"sql( AS kind) AS k
  WHERE (SELECT holds FROM f)
  ON CONFLICT (id) DO NOTHING
)
SELECT holds FROM f)sql"};

// Each id once. COALESCE hides the condition of instances_live, which would be walked whole.
inline constexpr Statement kUpdateInstances{"instances_update", R"sql(
UPDATE instances AS s SET
  state_since = CASE WHEN s.state = i.state THEN s.state_since ELSE now() END,
  ready_at = CASE WHEN i.state = 40 THEN COALESCE(s.ready_at, now()) ELSE s.ready_at END,
  state = i.state,
  detail = COALESCE(i.detail, s.detail)
FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS i(id, state, detail)
WHERE s.id = ANY (ARRAY[i.id]) AND COALESCE(s.state, 0) < 90)sql"};

inline constexpr Statement kListLiveInstances{"instances_live", R"sql(
SELECT s.id, s.target_id, s.version_id, s.release, s.worker_id, s.incarnation, s.sku,
  s.gpu_indices, s.state, s.state_since, s.ready_at, s.detail
FROM workers AS w JOIN instances AS s ON s.worker_id = w.id AND s.state < 90
WHERE $1::int = 0 OR w.cell_id = $1 ORDER BY s.id)sql"};

inline constexpr Statement kListTargetInstances{"instances_of_target", R"sql(
SELECT id, target_id, version_id, release, worker_id, incarnation, sku,
  gpu_indices, state, state_since, ready_at, detail
FROM instances WHERE target_id = $1::bigint ORDER BY id DESC LIMIT $2::bigint)sql"};

}  // namespace mimeo::store
