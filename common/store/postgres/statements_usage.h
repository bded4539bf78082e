// Statements of metering. meter() runs those of its part in one transaction, in their order; each
// sees what the ones before did. usage.h says what is counted, migrations/0009 what the tables
// hold.

#pragma once

#include "common/store/postgres/advisory_locks.h"
#include "common/store/postgres/statement.h"
#include "common/store/postgres/statements_billing.h"

namespace mimeo::store {

// One process meters at a time; the others need not wait.
inline constexpr Statement kLockMetering{
    "metering_lock", "SELECT pg_try_advisory_xact_lock(" MIMEO_LOCK_METERING ")"};

inline constexpr Statement kNewestMeter{"instance_meters_newest", R"sql(
SELECT instance_id FROM instance_meters ORDER BY instance_id DESC LIMIT 1)sql"};

// Instances from $1 on that have no meter yet get one. Who pays for them their rows say; only those
// that a scheduler of an older release ordered are judged as things are now.
inline constexpr Statement kBeginMeters{"instance_meters_begin", R"sql(
INSERT INTO instance_meters (instance_id, billing, payer_id, sku, model_id, deployment_id, kind,
  began_at, metered_to)
SELECT i.id, )sql" MIMEO_BILLING("k.kind") R"sql(,
  COALESCE(i.payer_id, )sql" MIMEO_OWNER_WHO_PAYS("k.kind", "d", "o") R"sql(,
    CASE WHEN k.kind = 3 THEN (SELECT account_id FROM active AS a WHERE a.target_id = i.target_id
      ORDER BY a.st, a.id LIMIT 1) END, 0),
  i.sku, COALESCE(o.id, 0), COALESCE(d.id, 0), k.kind,
  date_trunc('milliseconds', i.created_at), date_trunc('milliseconds', i.created_at)
FROM instances AS i
LEFT JOIN targets AS t ON t.id = i.target_id
LEFT JOIN deployments AS d ON d.id = t.deployment_id
LEFT JOIN versions AS v ON v.id = i.version_id
LEFT JOIN models AS o ON o.id = v.model_id
CROSS JOIN LATERAL (
  SELECT COALESCE(i.usage_kind, )sql" MIMEO_USAGE_KIND("t", "o") R"sql() AS kind) AS k
WHERE i.id >= $1::uuid AND NOT EXISTS (SELECT FROM instance_meters WHERE instance_id = i.id)
ON CONFLICT DO NOTHING)sql"};

// Sums of both kinds of fact go into usage_totals by this. `rows` is the SELECT of its columns.
#define MIMEO_ADD_TO_TOTALS(rows)                                                         \
  "INSERT INTO usage_totals AS u (account_id, hour, sku, model_id, deployment_id, kind, " \
  "setup_ms, idle_ms, active_ms, setup_nanos, idle_nanos, active_nanos, predictions, "    \
  "ran_ms) " rows                                                                         \
  " ON CONFLICT (account_id, hour, sku, model_id, deployment_id, kind) DO UPDATE SET "    \
  "setup_ms = u.setup_ms + excluded.setup_ms, idle_ms = u.idle_ms + excluded.idle_ms, "   \
  "active_ms = u.active_ms + excluded.active_ms, "                                        \
  "setup_nanos = u.setup_nanos + excluded.setup_nanos, "                                  \
  "idle_nanos = u.idle_nanos + excluded.idle_nanos, "                                     \
  "active_nanos = u.active_nanos + excluded.active_nanos, "                               \
  "predictions = u.predictions + excluded.predictions, ran_ms = u.ran_ms + excluded.ran_ms"

// Takes at most $1 ended predictions: counts them, and notes in which minutes their instances were
// busy. Returns how many, and how long they ran.
inline constexpr Statement kTakePending{"usage_take_pending", R"sql(
WITH taken AS MATERIALIZED (
  DELETE FROM usage_pending WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage_pending LIMIT $1::bigint))
  RETURNING *
), k AS MATERIALIZED (
  SELECT t.account_id, t.model_id, t.billed_ms, t.instance_id, date_trunc('hour', t.completed_at) AS hour,
    date_trunc('milliseconds', t.completed_at) - t.billed_ms * interval '1 millisecond' AS begin_at,
    date_trunc('milliseconds', t.completed_at) AS end_at,
    m.began_at, m.sealed_to, COALESCE(m.sku, g.sku, '') AS sku,
    -- Without an instance (it was given up, and the prediction then canceled): as one there.
    COALESCE(m.billing, )sql" MIMEO_BILLING("e.kind") R"sql() <> 0 AS is_charged,
    COALESCE(g.deployment_id, 0) AS deployment_id,
    CASE WHEN t.is_training THEN 3 ELSE COALESCE(m.kind, e.kind) END AS kind
  FROM taken AS t
  LEFT JOIN instance_meters AS m ON m.instance_id = t.instance_id
  LEFT JOIN targets AS g ON g.id = t.target_id
  LEFT JOIN models AS o ON o.id = t.model_id
  CROSS JOIN LATERAL (SELECT )sql" MIMEO_USAGE_KIND("g", "o") R"sql( AS kind) AS e
), priced AS (
  SELECT k.*, CASE WHEN is_charged THEN billed_ms ELSE 0 END AS charged_ms, COALESCE((
      SELECT micros_per_second FROM hardware_prices WHERE sku = k.sku AND since <= k.begin_at
      ORDER BY since DESC LIMIT 1), 0) AS price
  FROM k
), totals AS ()sql" MIMEO_ADD_TO_TOTALS(R"sql(
  SELECT account_id, hour, sku, model_id, deployment_id, kind, 0, 0, sum(charged_ms), 0, 0,
    sum(charged_ms * price), count(*), sum(billed_ms)
  FROM priced GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6)sql") R"sql(
), minutes AS (
  INSERT INTO instance_minutes AS n (instance_id, minute, busy, is_stale)
  SELECT k.instance_id, s.minute,
    range_agg(int4range(ms_of_minute(k.begin_at, s.minute), ms_of_minute(k.end_at, s.minute))), true
  FROM k CROSS JOIN LATERAL generate_series(
      GREATEST(date_trunc('minute', GREATEST(k.begin_at, k.began_at)), k.sealed_to), k.end_at,
      interval '1 minute') AS s(minute)
  WHERE k.began_at IS NOT NULL AND k.billed_ms > 0 AND s.minute < k.end_at
    AND k.sealed_to < 'infinity'
  GROUP BY 1, 2
  ON CONFLICT (instance_id, minute) DO UPDATE SET busy = n.busy + excluded.busy, is_stale = true
)
SELECT count(*), COALESCE(sum(billed_ms), 0)::bigint FROM k)sql"};

// Counts instances' lives until $1 and whatever is stale: each minute that may have changed is
// counted anew, and the difference to what was counted of it before goes into usage_totals.
// Returns the differences and whether some life goes on beyond the hour that one call takes.
inline constexpr Statement kMeterInstances{"usage_meter_instances", R"sql(
WITH old AS MATERIALIZED (
  SELECT m.instance_id, m.ready_at, m.metered_to, date_trunc('milliseconds', i.ready_at) AS new_ready,
    i.state >= 90 AS is_over, m.metered_to + interval '1 hour' AS horizon,
    GREATEST(m.began_at, date_trunc('milliseconds',
      CASE WHEN i.state >= 90 THEN i.state_since ELSE GREATEST($1::timestamptz, m.metered_to) END)) AS end_at
  FROM instance_meters AS m JOIN instances AS i ON i.id = m.instance_id
  WHERE NOT m.is_ended
), grown AS (
  UPDATE instance_meters AS m SET metered_to = LEAST(o.end_at, o.horizon), ready_at = o.new_ready,
    is_ended = o.is_over AND o.end_at <= o.horizon
  FROM old AS o WHERE m.instance_id = ANY (ARRAY[o.instance_id])
  RETURNING m.*, o.end_at > o.horizon AS has_more,
    GREATEST(m.sealed_to, date_trunc('minute', LEAST(o.metered_to, o.end_at,
      CASE WHEN o.ready_at IS DISTINCT FROM o.new_ready THEN o.new_ready END))) AS first_minute,
    GREATEST(o.metered_to, LEAST(o.end_at, o.horizon)) AS last_moment
), touched AS (
  SELECT DISTINCT ON (instance_id, minute) * FROM (
    SELECT g.instance_id, s.minute, g.began_at, g.ready_at, g.metered_to, g.billing, g.payer_id, g.sku,
      g.model_id, g.deployment_id, g.kind, 0 AS rank
    FROM grown AS g
    CROSS JOIN LATERAL generate_series(g.first_minute, g.last_moment, interval '1 minute') AS s(minute)
    UNION ALL
    SELECT m.instance_id, n.minute, m.began_at, m.ready_at, m.metered_to, m.billing, m.payer_id, m.sku,
      m.model_id, m.deployment_id, m.kind, 1
    FROM instance_minutes AS n JOIN instance_meters AS m ON m.instance_id = n.instance_id
    WHERE n.is_stale) AS both_kinds
  ORDER BY instance_id, minute, rank
), bounds AS (
  SELECT t.*, n.instance_id IS NOT NULL AS is_known, COALESCE(n.busy, '{}') AS busy,
    COALESCE(n.setup_ms, 0) AS old_setup, COALESCE(n.idle_ms, 0) AS old_idle,
    COALESCE(n.active_ms, 0) AS old_active, ms_of_minute(t.began_at, t.minute) AS low,
    ms_of_minute(t.metered_to, t.minute) AS high,
    ms_of_minute(LEAST(t.metered_to, GREATEST(t.began_at, COALESCE(t.ready_at, t.metered_to))),
      t.minute) AS ready
  FROM touched AS t
  LEFT JOIN instance_minutes AS n ON n.instance_id = t.instance_id AND n.minute = t.minute
), counted AS (
  -- What runs is active, whatever the row says of being ready: that is written a little later.
  SELECT b.*, CASE WHEN isempty(busy) THEN 0 ELSE ms_covered(busy, low, high) END AS active,
    ready - low - CASE WHEN isempty(busy) THEN 0 ELSE ms_covered(busy, low, ready) END AS setup,
    COALESCE((SELECT micros_per_second FROM hardware_prices WHERE sku = b.sku AND since <= b.minute
              ORDER BY since DESC LIMIT 1), 0) AS price
  FROM bounds AS b
), fresh AS MATERIALIZED (
  SELECT c.*, high - low - setup - active AS idle FROM counted AS c WHERE high > low OR is_known
), written AS (
  INSERT INTO instance_minutes (instance_id, minute, setup_ms, idle_ms, active_ms)
  SELECT instance_id, minute, setup, idle, active FROM fresh
  ON CONFLICT (instance_id, minute) DO UPDATE SET setup_ms = excluded.setup_ms,
    idle_ms = excluded.idle_ms, active_ms = excluded.active_ms, is_stale = false
), changed AS MATERIALIZED (
  SELECT v.account_id, date_trunc('hour', f.minute) AS hour, f.sku, f.model_id, f.deployment_id, f.kind,
    v.setup, v.idle, v.active, v.setup * f.price AS setup_nanos, v.idle * f.price AS idle_nanos,
    -- Where runs are paid, they are paid by those who called them.
    CASE WHEN f.billing = 0 THEN v.active * f.price ELSE 0 END AS active_nanos
  FROM fresh AS f CROSS JOIN LATERAL (VALUES
    (CASE WHEN f.billing = 1 THEN 0 ELSE f.payer_id END, (f.setup - f.old_setup)::bigint, 0::bigint, 0::bigint),
    (CASE WHEN f.billing = 0 THEN f.payer_id ELSE 0 END, 0, f.idle - f.old_idle, f.active - f.old_active)
  ) AS v(account_id, setup, idle, active)
  WHERE v.setup <> 0 OR v.idle <> 0 OR v.active <> 0
), totals AS ()sql" MIMEO_ADD_TO_TOTALS(R"sql(
  SELECT account_id, hour, sku, model_id, deployment_id, kind, sum(setup), sum(idle), sum(active),
    sum(setup_nanos), sum(idle_nanos), sum(active_nanos), 0, 0
  FROM changed GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6)sql") R"sql(
)
SELECT COALESCE(sum(setup), 0)::bigint, COALESCE(sum(idle), 0)::bigint, COALESCE(sum(active), 0)::bigint,
  COALESCE((SELECT bool_or(has_more) FROM grown), false)
FROM changed)sql"};

// What an older release counted, or still counts.
inline constexpr Statement kTakeEarlier{"usage_take_earlier", R"sql(
WITH taken AS (
  DELETE FROM usage_hour RETURNING account_id, hour, sku, billed_ms, n
) )sql" MIMEO_ADD_TO_TOTALS(R"sql(
SELECT account_id, hour, sku, 0, 0, 4, 0, 0, sum(billed_ms), 0, 0, 0, sum(n), sum(billed_ms)
FROM taken GROUP BY 1, 2, 3 ORDER BY 1, 2, 3)sql")};

#undef MIMEO_ADD_TO_TOTALS

// $1: minutes before it. What was assigned before it and has not ended yet may still turn out to
// have run then.
inline constexpr Statement kSealUsage{"usage_seal", R"sql(
WITH at_work AS MATERIALIZED (
  SELECT DISTINCT instance_id FROM active WHERE instance_id IS NOT NULL AND assigned_at < $1::timestamptz
), gone AS (
  DELETE FROM instance_minutes AS n USING instance_meters AS m
  WHERE m.instance_id = n.instance_id AND n.minute < date_trunc('minute', $1::timestamptz)
    AND NOT n.is_stale AND (m.is_ended OR n.minute < date_trunc('minute', m.metered_to))
    AND n.instance_id NOT IN (SELECT instance_id FROM at_work)
  RETURNING n.instance_id
)
UPDATE instance_meters SET sealed_to =
  CASE WHEN is_ended AND metered_to < date_trunc('minute', $1::timestamptz) THEN 'infinity'
       ELSE LEAST(date_trunc('minute', $1::timestamptz), date_trunc('minute', metered_to)) END
WHERE instance_id IN (SELECT instance_id FROM gone))sql"};

// Meters of instances that ended before $2 and whose ids are below $1, at most $3 of them: nothing
// asks for them any more.
inline constexpr Statement kForgetMeters{"instance_meters_forget", R"sql(
DELETE FROM instance_meters WHERE instance_id = ANY (ARRAY(
  SELECT m.instance_id FROM instance_meters AS m
  WHERE m.instance_id < $1::uuid AND m.is_ended AND m.metered_to < $2::timestamptz
    AND NOT EXISTS (SELECT FROM instance_minutes AS n WHERE n.instance_id = m.instance_id)
  ORDER BY m.instance_id LIMIT $3::bigint)))sql"};

// What no 64 bits hold is shown as the most that they do.
#define MIMEO_SUM(column) "LEAST(sum(q." column "), 9223372036854775807)::bigint AS " column

// $1, $2: hours; $3: the step; $4 to $8: the other groups; $9: how many lines; $10: whether only
// those after the line that $11 to $16 are the groups of. Names, not ids, tell lines apart.
#define MIMEO_LIST_USAGE(whose) \
  "SELECT NULLIF(l.begin_at, '-infinity'), l.account, l.sku, l.model, l.deployment, "             \
  "NULLIF(l.kind, -1), l.setup_ms, l.idle_ms, l.active_ms, l.setup_nanos, l.idle_nanos, "         \
  "l.active_nanos, l.predictions, l.ran_ms FROM ("                                                \
  "SELECT COALESCE(q.begin_at, '-infinity') AS begin_at, COALESCE(a.username, '') AS account, "   \
  "COALESCE(q.sku, '') AS sku, COALESCE(mo.username || '/' || m.name, '') AS model, "             \
  "COALESCE(po.username || '/' || d.name, '') AS deployment, COALESCE(q.kind, -1) AS kind, "      \
  MIMEO_SUM("setup_ms") ", " MIMEO_SUM("idle_ms") ", " MIMEO_SUM("active_ms") ", "                \
  MIMEO_SUM("setup_nanos") ", " MIMEO_SUM("idle_nanos") ", " MIMEO_SUM("active_nanos") ", "       \
  MIMEO_SUM("predictions") ", " MIMEO_SUM("ran_ms") " FROM ("                                     \
  "SELECT CASE $3::int WHEN 1 THEN hour WHEN 2 THEN date_trunc('day', hour) "                     \
  "WHEN 3 THEN date_trunc('month', hour) END AS begin_at, "                                       \
  "CASE WHEN $4::boolean THEN account_id END AS account_id, "                                     \
  "CASE WHEN $5::boolean THEN sku END AS sku, "                                                   \
  "CASE WHEN $6::boolean THEN model_id END AS model_id, "                                         \
  "CASE WHEN $7::boolean THEN deployment_id END AS deployment_id, "                               \
  "CASE WHEN $8::boolean THEN kind END AS kind, sum(setup_ms) AS setup_ms, "                      \
  "sum(idle_ms) AS idle_ms, sum(active_ms) AS active_ms, sum(setup_nanos) AS setup_nanos, "       \
  "sum(idle_nanos) AS idle_nanos, sum(active_nanos) AS active_nanos, "                            \
  "sum(predictions) AS predictions, sum(ran_ms) AS ran_ms FROM usage_totals "                     \
  "WHERE " whose "hour >= date_trunc('hour', $1::timestamptz) AND hour < $2::timestamptz "        \
  "GROUP BY 1, 2, 3, 4, 5, 6) AS q LEFT JOIN accounts AS a ON a.id = q.account_id "               \
  "LEFT JOIN models AS m ON m.id = q.model_id LEFT JOIN accounts AS mo ON mo.id = m.owner_id "    \
  "LEFT JOIN deployments AS d ON d.id = q.deployment_id "                                         \
  "LEFT JOIN accounts AS po ON po.id = d.owner_id GROUP BY 1, 2, 3, 4, 5, 6) AS l "               \
  "WHERE NOT $10::boolean OR (l.begin_at, l.account, l.sku, l.model, l.deployment, l.kind) > "    \
  "(COALESCE($11::timestamptz, '-infinity'), $12::text, $13::text, $14::text, $15::text, "        \
  "$16::int) ORDER BY 1 NULLS FIRST, 2, 3, 4, 5, 6 NULLS FIRST LIMIT $9::bigint"

// $17: the account. A statement of its own, so that its hours alone are read, by the primary key.
inline constexpr Statement kListUsageOfAccount{"usage_list_of_account",
                                               MIMEO_LIST_USAGE("account_id = $17::bigint AND ")};
inline constexpr Statement kListUsage{"usage_list", MIMEO_LIST_USAGE("")};

#undef MIMEO_LIST_USAGE
#undef MIMEO_SUM

// $1: the account; ids in [$2, $3), newest first. OFFSET 0 keeps each id a look-up of its own.
inline constexpr Statement kListPredictionUsage{"usage_list_predictions", R"sql(
SELECT q.id, q.created_at, q.started_at, q.completed_at, q.status, q.is_training,
  mo.username || '/' || m.name, po.username || '/' || d.name, q.sku, q.billed_ms,
  -- What a meter will say of an instance that has none yet, or would of one that is gone.
  COALESCE(q.billing, )sql" MIMEO_BILLING("COALESCE(q.usage_kind, e.kind)") R"sql() <> 0,
  q.billed_ms * COALESCE((
    SELECT micros_per_second FROM hardware_prices
    WHERE sku = q.sku
      AND since <= date_trunc('milliseconds', q.completed_at) - q.billed_ms * interval '1 millisecond'
    ORDER BY since DESC LIMIT 1), 0)
FROM (
  SELECT p.id, p.created_at, p.is_training, p.model_id, p.deployment_id, r.started_at, r.completed_at,
    r.status, r.billed_ms, COALESCE(n.sku, i.sku, t.sku, '') AS sku, n.billing, i.usage_kind,
    t.kind AS target_kind
  FROM predictions AS p
  CROSS JOIN LATERAL (
    SELECT * FROM results WHERE id = p.id AND id >= $2::uuid AND id < $3::uuid OFFSET 0) AS r
  LEFT JOIN instance_meters AS n ON n.instance_id = r.instance_id
  LEFT JOIN instances AS i ON i.id = r.instance_id
  LEFT JOIN targets AS t ON t.id = p.target_id
  WHERE p.account_id = $1::bigint AND p.id >= $2::uuid AND p.id < $3::uuid AND r.attempt > 0
  ORDER BY p.id DESC LIMIT $4::bigint) AS q
LEFT JOIN models AS m ON m.id = q.model_id LEFT JOIN accounts AS mo ON mo.id = m.owner_id
LEFT JOIN deployments AS d ON d.id = q.deployment_id LEFT JOIN accounts AS po ON po.id = d.owner_id
CROSS JOIN LATERAL (SELECT q.target_kind AS kind) AS t
CROSS JOIN LATERAL (SELECT )sql" MIMEO_USAGE_KIND("t", "m") R"sql( AS kind) AS e
ORDER BY q.id DESC)sql"};

inline constexpr Statement kListPrices{"hardware_prices_list", R"sql(
SELECT NULLIF(since, '-infinity'), micros_per_second FROM hardware_prices
WHERE sku = $1::text ORDER BY hardware_prices.since DESC)sql"};

#define MIMEO_SPENT(account)                                                       \
  "LEAST(COALESCE((SELECT sum(setup_nanos) + sum(idle_nanos) + sum(active_nanos) " \
  "FROM usage_totals WHERE account_id = " account                                  \
  " AND hour >= $2::timestamptz "                                                  \
  "AND hour < $3::timestamptz), 0), 9223372036854775807)::bigint"

// $1: the account; $2, $3: the month.
inline constexpr Statement kGetSpend{"spend_get", R"sql(
SELECT l.by_operator_micros, l.by_account_micros, )sql" MIMEO_SPENT("$1::bigint") R"sql(
FROM (VALUES (1)) AS one LEFT JOIN spend_limits AS l ON l.account_id = $1::bigint)sql"};

// As kGetSpend; no row when there is no limit, as for most accounts: then nothing is summed up.
inline constexpr Statement kIsLimitReached{"spend_is_reached", R"sql(
SELECT )sql" MIMEO_SPENT("l.account_id") R"sql( / 1000
  >= LEAST(l.by_operator_micros, l.by_account_micros)
FROM spend_limits AS l
WHERE l.account_id = $1::bigint AND COALESCE(l.by_operator_micros, l.by_account_micros) IS NOT NULL)sql"};

// $2: by the operator, else by the account. No row when there is no such account.
inline constexpr Statement kSetSpendLimit{"spend_set", R"sql(
INSERT INTO spend_limits AS l (account_id, by_operator_micros, by_account_micros)
SELECT id, CASE WHEN $2::boolean THEN $3::bigint END, CASE WHEN NOT $2::boolean THEN $3::bigint END
FROM accounts WHERE id = $1::bigint
ON CONFLICT (account_id) DO UPDATE SET
  by_operator_micros = CASE WHEN $2::boolean THEN $3::bigint ELSE l.by_operator_micros END,
  by_account_micros = CASE WHEN $2::boolean THEN l.by_account_micros ELSE $3::bigint END
RETURNING account_id)sql"};

// $1: whether accounts at their limit are paused; $2, $3: the month. A deployment is paused while
// its target's minimum is below that of its newest release.
inline constexpr Statement kPauseDeployments{"spend_pause", R"sql(
WITH reached AS MATERIALIZED (
  SELECT l.account_id FROM spend_limits AS l
  WHERE $1::boolean AND )sql" MIMEO_SPENT("l.account_id") R"sql( / 1000
    >= LEAST(l.by_operator_micros, l.by_account_micros)
)
UPDATE targets AS t SET min_instances = q.wanted, config_seq = next_config_seq()
FROM (
  SELECT g.id, CASE WHEN d.owner_id IN (SELECT account_id FROM reached) THEN 0
                    ELSE r.min_instances END AS wanted
  FROM deployments AS d JOIN targets AS g ON g.deployment_id = d.id
  CROSS JOIN LATERAL (
    SELECT min_instances FROM deployment_releases WHERE deployment_id = d.id
    ORDER BY number DESC LIMIT 1) AS r
  WHERE d.deleted_at IS NULL) AS q
WHERE t.id = q.id AND t.min_instances <> q.wanted)sql"};

#undef MIMEO_SPENT

}  // namespace mimeo::store
