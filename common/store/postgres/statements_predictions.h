// Statements that change predictions, active, results, payloads and idempotency. The transitions
// T1 to T9 of docs/life-of-a-prediction.md.
//
// `a.id = ANY (ARRAY[i.id])` says the same as `a.id = i.id`, but is no equality to the planner: it
// can only look up the row of each id. Given the equality, and a table that was empty when the plan
// was made, it may walk the whole table instead, and goes on so when the table is full.

#pragma once

#include "common/store/postgres/statement.h"
#include "common/store/postgres/statements_retention.h"

namespace mimeo::store {

// T1 and T2. One array per column, sorted by id, each id once. Returns the created ids with their
// state. What is missing was a duplicate: see kFindExisting.
inline constexpr Statement kCreate{"predictions_create", R"sql(
WITH i AS MATERIALIZED (
  SELECT * FROM unnest(
    $1::uuid[], $2::bigint[], $3::bigint[], $4::int[], $5::bigint[], $6::bytea[], $7::bigint[],
    $8::smallint[], $9::smallint[], $10::smallint[], $11::boolean[], $12::timestamptz[],
    $13::timestamptz[], $14::bigint[], $15::text[], $16::text[], $17::text[], $18::smallint[],
    $19::text[], $20::text[], $21::text[],
    $22::int[], $23::bigint[], $24::uuid[], $25::uuid[], $26::bigint[], $27::bytea[], $28::int[])
  AS t(id, account_id, target_id, cell_id, model_id, version_id, deployment_id,
       source, prio, retry_policy, is_training, created_at,
       deadline_at, run_limit_ms, input, public_input, webhook, webhook_events,
       stream_token, destination, key,
       fence_cell, fence_epoch, instance_id, worker_id, incarnation, granted_version, release)
), f AS MATERIALIZED (
  SELECT cell, epoch FROM
    (SELECT DISTINCT fence_cell AS cell, fence_epoch AS epoch FROM i
     WHERE fence_cell IS NOT NULL ORDER BY 1, 2) AS fences
  WHERE fence_holds(cell, epoch)
), k AS (
  INSERT INTO idempotency (account_id, key, day, prediction_id)
  SELECT account_id, key, (created_at AT TIME ZONE 'UTC')::date, id FROM i
  WHERE key IS NOT NULL AND NOT EXISTS (
    SELECT FROM idempotency AS y
    WHERE y.account_id = i.account_id AND y.key = i.key
      AND y.day = (i.created_at AT TIME ZONE 'UTC')::date - 1 OFFSET 0)
  ON CONFLICT DO NOTHING
  RETURNING prediction_id
), p AS (
  INSERT INTO predictions (id, account_id, target_id, model_id, version_id, deployment_id, source,
    prio, retry_policy, is_training, created_at, deadline_at, run_limit_ms, webhook,
    webhook_events, stream_token, destination)
  SELECT id, account_id, target_id, model_id, version_id, deployment_id, source,
    prio, retry_policy, is_training, created_at, deadline_at, run_limit_ms, webhook,
    webhook_events, stream_token, destination
  FROM i WHERE key IS NULL OR id IN (SELECT prediction_id FROM k)
  ON CONFLICT (id) DO NOTHING
  RETURNING id
), n AS MATERIALIZED (
  -- Hashed subplans, not joins: joins of ours are always nested loops (see connection_pool.cc).
  SELECT i.*, COALESCE((fence_cell, fence_epoch) IN (SELECT cell, epoch FROM f), false) AS is_granted
  FROM i WHERE (id IN (SELECT id FROM p)) IS TRUE
), a AS (
  INSERT INTO active (id, cell_id, target_id, account_id, model_id, version_id, release, prio,
    retry_policy, webhook_events, is_training, created_at, deadline_at, run_limit_ms,
    st, attempt, instance_id, worker_id, incarnation, assigned_at, source)
  SELECT id, cell_id, target_id, account_id, model_id,
    CASE WHEN is_granted THEN granted_version ELSE version_id END,
    CASE WHEN is_granted THEN release ELSE 0 END,
    prio, retry_policy, CASE WHEN webhook IS NULL THEN 0 ELSE webhook_events END, is_training,
    created_at, deadline_at, run_limit_ms,
    is_granted::int, is_granted::int,
    CASE WHEN is_granted THEN instance_id END, CASE WHEN is_granted THEN worker_id END,
    CASE WHEN is_granted THEN incarnation ELSE 0 END, CASE WHEN is_granted THEN now() END, source
  FROM n
), c AS (
  INSERT INTO payloads (id, kind, body)
  SELECT id, 0, input FROM n
  UNION ALL SELECT id, 3, public_input FROM n WHERE public_input IS NOT NULL
)
SELECT id, is_granted FROM n)sql"};

// Whose id and idempotency key those of a refused create are. One array per column.
inline constexpr Statement kFindExisting{"predictions_find_existing", R"sql(
SELECT i.id, y.prediction_id
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[])
  AS i(id, account_id, key, created_at)
LEFT JOIN LATERAL (
  SELECT prediction_id FROM idempotency
  WHERE account_id = i.account_id AND key = i.key
    AND day IN ((i.created_at AT TIME ZONE 'UTC')::date, (i.created_at AT TIME ZONE 'UTC')::date - 1)
  ORDER BY day DESC LIMIT 1) AS y ON true)sql"};

// T3. $1, $2: the fence; then one array per column, each id once; the last two bound the ids, so
// that only their partitions are opened. One row with a null id when nothing was assigned.
inline constexpr Statement kAssign{"active_assign", R"sql(
WITH f AS MATERIALIZED (
  SELECT fence_holds($1::int, $2::bigint) AS holds
), i AS MATERIALIZED (
  SELECT * FROM unnest($3::uuid[], $4::int[], $5::uuid[], $6::uuid[], $7::bigint[], $8::bytea[],
    $9::int[])
  AS t(id, expected_attempt, instance_id, worker_id, incarnation, version_id, release)
), u AS (
  UPDATE active AS a SET st = 1, attempt = a.attempt + 1, instance_id = i.instance_id,
    worker_id = i.worker_id, incarnation = i.incarnation, version_id = i.version_id,
    release = i.release, assigned_at = now()
  FROM i
  WHERE a.id = ANY (ARRAY[i.id]) AND a.st = 0 AND a.attempt = i.expected_attempt AND a.cancel_at IS NULL
    AND (SELECT holds FROM f)
  RETURNING a.id, a.attempt, a.run_limit_ms, a.deadline_at, a.webhook_events, a.is_training
), d AS (
  SELECT * FROM u
  UNION ALL
  -- A repeated assignment. Not the rows of u: they are not in the snapshot.
  SELECT a.id, a.attempt, a.run_limit_ms, a.deadline_at, a.webhook_events, a.is_training
  FROM i JOIN active AS a ON a.id = ANY (ARRAY[i.id])
  WHERE a.st = 1 AND a.attempt = i.expected_attempt + 1 AND a.instance_id = i.instance_id
    AND a.worker_id = i.worker_id AND a.incarnation = i.incarnation AND (SELECT holds FROM f)
)
SELECT f.holds, d.*, (
  SELECT body FROM payloads
  WHERE id = d.id AND kind = 0 AND id BETWEEN $10::uuid AND $11::uuid)
FROM f LEFT JOIN d ON true)sql"};

// T4. Returns the ids that changed.
inline constexpr Statement kMarkStarted{"active_mark_started", R"sql(
WITH u AS (
  UPDATE active AS a SET st = 2, started_at = COALESCE(a.started_at, i.started_at)
  FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) AS i(id, attempt, started_at)
  WHERE a.id = ANY (ARRAY[i.id]) AND a.attempt = i.attempt AND a.st = 1
  RETURNING a.id, a.webhook_events, a.started_at = i.started_at AS is_first
), o AS (
  INSERT INTO webhook_outbox (prediction_id, event)
  SELECT id, 1 FROM u WHERE webhook_events & 1 <> 0 AND is_first
)
SELECT id FROM u)sql"};

// T5, T7, T8, T10 to T14. One array per column, sorted by id, each id once. Returns the ids that
// became terminal. The conflict that results ignores cannot happen while the invariant holds that
// an active prediction has no result; it keeps one broken row from blocking all others for ever.
inline constexpr Statement kFinish{"results_finish", R"sql(
WITH i AS MATERIALIZED (
  SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::smallint[], $5::text[],
    $6::timestamptz[], $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::uuid[],
    $12::bigint[])
  AS t(id, attempt, expected, status, error,
       started_at, completed_at, output, logs, metrics, instance_id, billed_ms)
), d AS (
  DELETE FROM active AS a USING i
  WHERE a.id = ANY (ARRAY[i.id]) AND (i.expected >> a.st) & 1 = 1
    AND (i.attempt IS NULL OR i.attempt = a.attempt)
  RETURNING a.id, a.attempt, i.status, i.error,
    -- As first_start.h has it.
    CASE WHEN a.started_at > i.completed_at THEN COALESCE(i.started_at, i.completed_at)
      ELSE COALESCE(a.started_at, i.started_at) END AS started_at,
    a.started_at IS NULL AND i.started_at IS NOT NULL AS starts_here,
    i.completed_at, i.output, i.logs, i.metrics, COALESCE(i.instance_id, a.instance_id) AS instance_id,
    -- Canceled without a word from its worker: from its start in this attempt on.
    COALESCE(i.billed_ms, CASE WHEN i.status = 5 AND a.st > 0 THEN
      GREATEST(0, floor(extract(epoch FROM i.completed_at - GREATEST(a.assigned_at,
        COALESCE(i.started_at, CASE WHEN a.st = 2 THEN a.started_at END, i.completed_at))) * 1000))::bigint
      END, 0) AS billed_ms,
    a.version_id, a.account_id, a.target_id, a.model_id, a.is_training,
    a.webhook_events, a.source
), r AS (
  INSERT INTO results (id, attempt, status, version_id, started_at, completed_at, error, metrics,
    instance_id, billed_ms)
  SELECT id, attempt, status, version_id, started_at, completed_at, error, metrics,
    instance_id, billed_ms FROM d
  ON CONFLICT (id) DO NOTHING
  RETURNING id
), c AS (
  INSERT INTO payloads (id, kind, body)
  SELECT id, 1, output FROM d WHERE output IS NOT NULL
  UNION ALL SELECT id, 2, logs FROM d WHERE logs IS NOT NULL
  ON CONFLICT DO NOTHING
), x AS (
  INSERT INTO removals (due_at, id, account_id, source, completed_at)
  SELECT )sql" MIMEO_REMOVAL_DUE("d.account_id", "d.source", "d.completed_at") R"sql(,
    id, account_id, source, completed_at
  FROM d WHERE NOT is_training
  ON CONFLICT DO NOTHING
), o AS (
  -- Sorted, so that ids rise in the order in which they are sent. A start that nobody wrote down
  -- is owed as well. Who wants output or logs but not the end gets their last state.
  INSERT INTO webhook_outbox (prediction_id, event)
  SELECT id, event FROM (
    SELECT id, 1 AS event FROM d WHERE webhook_events & 1 <> 0 AND starts_here
    UNION ALL
    SELECT id, CASE WHEN webhook_events & 2 <> 0 AND output <> 'null' THEN 2 ELSE 4 END FROM d
    WHERE webhook_events & 8 = 0 AND (webhook_events & 2 <> 0 AND output <> 'null'
      OR webhook_events & 4 <> 0 AND logs IS NOT NULL)
    UNION ALL
    SELECT id, 8 FROM d WHERE webhook_events & 8 <> 0) AS owed
  ORDER BY event
), u AS (
  INSERT INTO usage_pending (account_id, target_id, model_id, is_training, instance_id,
    completed_at, billed_ms)
  SELECT account_id, target_id, model_id, is_training, instance_id, completed_at, billed_ms
  FROM d WHERE attempt > 0
), m AS (
  INSERT INTO model_runs AS h (model_id, shard, n)
  SELECT model_id, pg_backend_pid() % 8, count(*) FROM d WHERE attempt > 0
  GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (model_id, shard) DO UPDATE SET n = h.n + excluded.n
)
SELECT id FROM r)sql"};

// Why a finish changed nothing. $2, $3 bound the ids; OFFSET 0 keeps each id a look-up of its own
// instead of one scan between the bounds.
inline constexpr Statement kWhyNotFinished{"results_why_not", R"sql(
SELECT i.id,
  EXISTS (SELECT FROM predictions WHERE id = i.id AND id BETWEEN $2::uuid AND $3::uuid OFFSET 0),
  r.attempt, r.status
FROM unnest($1::uuid[]) AS i(id)
LEFT JOIN LATERAL (
  SELECT attempt, status FROM results
  WHERE id = i.id AND id BETWEEN $2::uuid AND $3::uuid OFFSET 0) AS r ON true)sql"};

// T6. $1, $2: the fence. One row with a null id when nothing changed.
inline constexpr Statement kRequeue{"active_requeue", R"sql(
WITH f AS MATERIALIZED (
  SELECT fence_holds($1::int, $2::bigint) AS holds
), u AS (
  UPDATE active AS a SET st = 0, instance_id = NULL, worker_id = NULL, incarnation = 0,
    assigned_at = NULL, infra_failures = a.infra_failures + i.infra_failures
  FROM unnest($3::uuid[], $4::int[], $5::uuid[], $6::bigint[], $7::int[])
    AS i(id, attempt, worker_id, incarnation, infra_failures)
  WHERE a.id = ANY (ARRAY[i.id]) AND a.attempt = i.attempt AND a.st IN (1, 2)
    AND a.worker_id = i.worker_id
    AND a.incarnation = i.incarnation AND (SELECT holds FROM f)
  RETURNING a.id
)
SELECT f.holds, u.id FROM f LEFT JOIN u ON true)sql"};

// What a cancel has to do with a prediction. $1 the id, $2 the account or 0.
inline constexpr Statement kCancelLook{"predictions_cancel_look", R"sql(
SELECT p.target_id, a.st
FROM predictions AS p LEFT JOIN active AS a ON a.id = $1::uuid
WHERE p.id = $1::uuid AND ($2::bigint = 0 OR p.account_id = $2))sql"};

// T9. $1 the id, $2 the time. The first wish counts.
inline constexpr Statement kCancelWish{"active_cancel_wish", R"sql(
UPDATE active SET cancel_at = COALESCE(cancel_at, $2::timestamptz)
WHERE id = $1::uuid AND st IN (1, 2)
RETURNING attempt)sql"};

inline constexpr Statement kMarkOutputSeen{"active_mark_output_seen", R"sql(
UPDATE active SET output_seen = true WHERE id = ANY($1::uuid[]) AND NOT output_seen)sql"};

}  // namespace mimeo::store
