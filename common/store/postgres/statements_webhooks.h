// Statements of webhooks: the outbox, holds, the log, secrets.
//
// Those of the outbox commit without waiting for the disk: what a crash of the database takes back
// is sent again, which receivers must expect anyway.

#pragma once

#include "common/store/postgres/statement.h"

namespace mimeo::store {

#define MIMEO_WITHOUT_SYNC \
  "quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"

// $1 the limit, $2 the lease, $3 the sender. Claims by SKIP LOCKED: few rows, deleted when
// delivered. What is owed comes in the order of its rows per prediction, and never while another
// sender holds the prediction.
inline constexpr Statement kClaimDue{"outbox_claim", "WITH " MIMEO_WITHOUT_SYNC R"sql(, due AS (
  SELECT w.id, w.due_at AS was_due FROM webhook_outbox AS w
  WHERE w.due_at <= statement_timestamp() AND (w.delivery_id IS NOT NULL OR (
    NOT EXISTS (
      SELECT FROM webhook_outbox AS e
      WHERE e.prediction_id = w.prediction_id AND e.id < w.id AND e.delivery_id IS NULL)
    AND NOT EXISTS (
      SELECT FROM webhook_holds AS h
      WHERE h.prediction_id = w.prediction_id AND h.sender_id <> $3::uuid
        AND h.until > statement_timestamp())))
  ORDER BY w.due_at, w.id LIMIT $1::bigint FOR UPDATE OF w SKIP LOCKED
), claimed AS (
  UPDATE webhook_outbox AS w SET due_at = clock_timestamp() + $2::interval, tries = w.tries + 1,
    claims = w.claims + 1, is_claimed = true
  FROM due WHERE w.id = due.id
  RETURNING w.id, w.prediction_id, w.event, w.delivery_id, w.tries - 1 AS tries, w.claims,
    w.created_at, due.was_due
)
SELECT c.id, c.prediction_id, c.event, c.delivery_id, c.tries, c.claims, c.created_at,
  p.account_id, p.webhook
FROM claimed AS c CROSS JOIN quick LEFT JOIN LATERAL (
  SELECT account_id, webhook FROM predictions WHERE id = c.prediction_id OFFSET 0) AS p ON true
ORDER BY c.was_due, c.id)sql"};

// One array per column, each delivery once. `next`: 0 remove, 1 try again, 2 the same freely. $21,
// $22 bound the predictions.
//
// What an older claim has to say moves no row of the outbox, and in the log only adds its attempt
// and that it was delivered, which nothing but a redelivery takes back. Without an account the
// prediction is gone: what the log still has as pending has failed.
//
// What was sent and answered is kept only while the prediction's input is: its row is locked, so
// that whoever removes the input waits, and removes the attempt too in the same transaction
// (kRemoveAttempts, kEraseAttempts).
inline constexpr Statement kSettle{"outbox_settle",
                                   "WITH " MIMEO_WITHOUT_SYNC R"sql(, i AS MATERIALIZED (
  SELECT * FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::bigint[], $6::uuid[],
    $7::int[], $8::text[], $9::int[], $10::timestamptz[], $11::timestamptz[], $12::bigint[],
    $13::text[], $14::text[], $15::bigint[], $16::int[], $17::text[], $18::text[], $19::text[],
    $20::int[])
  AS t(outbox_id, next, delay_ms, delivery_id, account_id, prediction_id, event, url, state,
       next_at, at, took_ms, request_headers, request_body, request_bytes, response_status,
       response_headers, response_body, error, claim)
), removed AS (
  DELETE FROM webhook_outbox AS w USING i
  WHERE w.id = i.outbox_id AND w.claims = i.claim AND i.next = 0
  RETURNING w.id, w.prediction_id, w.event, w.delivery_id
), later AS (
  UPDATE webhook_outbox AS w SET due_at = clock_timestamp() + i.delay_ms * interval '1 ms',
    is_claimed = false,
    tries = CASE WHEN i.next = 2 THEN greatest(w.tries - 1, 0) ELSE w.tries END
  FROM i WHERE w.id = i.outbox_id AND w.claims = i.claim AND i.next > 0
  RETURNING w.id
), stale AS MATERIALIZED (
  SELECT delivery_id FROM i
  WHERE outbox_id <> 0
    AND outbox_id NOT IN (SELECT id FROM removed UNION ALL SELECT id FROM later)
), holds AS (
  -- All but 'start' is the last that is owed of its prediction.
  DELETE FROM webhook_holds AS h USING removed AS r
  WHERE h.prediction_id = r.prediction_id AND r.event <> 1 AND r.delivery_id IS NULL
), gone AS (
  UPDATE webhook_deliveries AS w SET state = 2, next_at = NULL, changed_at = i.at, error = i.error
  FROM i WHERE i.account_id = 0 AND w.id = i.delivery_id AND w.state = 0
), d AS (
  INSERT INTO webhook_deliveries AS w (id, account_id, prediction_id, event, url, state, attempts,
    created_at, changed_at, next_at, response_status, error)
  SELECT delivery_id, account_id, prediction_id, event, url, state, 1, at, at, next_at,
    response_status, error
  FROM i WHERE delivery_id IS NOT NULL AND account_id <> 0
  ON CONFLICT (id) DO UPDATE SET attempts = w.attempts + 1,
    state = CASE WHEN 1 IN (w.state, excluded.state) THEN 1
      WHEN excluded.id IN (SELECT delivery_id FROM stale) THEN w.state ELSE excluded.state END,
    next_at = CASE WHEN 1 IN (w.state, excluded.state) THEN NULL
      WHEN excluded.id IN (SELECT delivery_id FROM stale) THEN w.next_at ELSE excluded.next_at END,
    changed_at = excluded.changed_at, response_status = excluded.response_status,
    error = excluded.error
  RETURNING id, attempts
), a AS (
  INSERT INTO webhook_attempts (id, delivery_id, n, at, took_ms, request_headers, request_body,
    request_bytes, response_status, response_headers, response_body, error)
  SELECT i.prediction_id, i.delivery_id, d.attempts, i.at, i.took_ms, i.request_headers,
    CASE WHEN c.is_kept THEN i.request_body END, i.request_bytes, i.response_status,
    i.response_headers, CASE WHEN c.is_kept THEN i.response_body END, i.error
  FROM i JOIN d ON d.id = i.delivery_id LEFT JOIN LATERAL (
    SELECT true AS is_kept FROM payloads
    WHERE id = i.prediction_id AND kind = 0 AND id BETWEEN $21::uuid AND $22::uuid
    OFFSET 0 FOR KEY SHARE
  ) AS c ON true
)
SELECT FROM quick)sql"};

// $1 the ids, $2 the sender, $3 the lease.
inline constexpr Statement kHoldPredictions{"holds_take", R"sql(
WITH got AS (
  INSERT INTO webhook_holds AS h (prediction_id, sender_id, until)
  SELECT DISTINCT id, $2::uuid, clock_timestamp() + $3::interval FROM unnest($1::uuid[]) AS t(id)
  ORDER BY id
  ON CONFLICT (prediction_id) DO UPDATE SET sender_id = excluded.sender_id, until = excluded.until
    WHERE h.sender_id = excluded.sender_id OR h.until <= clock_timestamp()
  RETURNING prediction_id
)
SELECT got.prediction_id IS NOT NULL, a.id IS NOT NULL, a.started_at IS NOT NULL, EXISTS (
  SELECT FROM webhook_outbox AS w
  WHERE w.prediction_id = i.id AND w.event = 1 AND w.delivery_id IS NULL)
FROM unnest($1::uuid[]) WITH ORDINALITY AS i(id, n)
LEFT JOIN got ON got.prediction_id = i.id
LEFT JOIN active AS a ON a.id = ANY (ARRAY[i.id])
ORDER BY i.n)sql"};

inline constexpr Statement kReleaseHolds{"holds_release", R"sql(
DELETE FROM webhook_holds WHERE sender_id = $1::uuid)sql"};

#define MIMEO_DELIVERY_COLUMNS                                                               \
  "d.row_number, d.id, d.account_id, d.prediction_id, d.event, d.url, d.state, d.attempts, " \
  "d.created_at, d.changed_at, d.next_at, d.response_status, d.error"

// Each of $2 to $4 may be NULL: any. $5: rows below it; 0 = from the newest.
inline constexpr Statement kListWebhooks{"webhooks_list", "SELECT " MIMEO_DELIVERY_COLUMNS R"sql(
FROM webhook_deliveries AS d
WHERE d.account_id = $1::bigint AND ($2::uuid IS NULL OR d.prediction_id = $2::uuid)
  AND ($3::int IS NULL OR d.event = $3::int) AND ($4::int IS NULL OR d.state = $4::int)
  AND ($5::bigint = 0 OR d.row_number < $5::bigint)
ORDER BY d.row_number DESC LIMIT $6::bigint)sql"};

inline constexpr Statement kGetWebhook{"webhooks_get", "SELECT " MIMEO_DELIVERY_COLUMNS R"sql(
FROM webhook_deliveries AS d
WHERE d.id = $1::text AND ($2::bigint = 0 OR d.account_id = $2::bigint))sql"};

inline constexpr Statement kListWebhookAttempts{"webhooks_attempts", R"sql(
SELECT a.n, a.at, a.took_ms, a.request_headers, a.request_body, a.request_bytes, a.response_status,
  a.response_headers, a.response_body, a.error
FROM webhook_deliveries AS d JOIN LATERAL (
  SELECT * FROM webhook_attempts WHERE id = d.prediction_id AND delivery_id = d.id OFFSET 0
) AS a ON true
WHERE d.id = $1::text ORDER BY a.n)sql"};

// What is on its way this moment is left alone. `output` and `logs` of a running prediction are not
// tried again by themselves: one that is pending is the last of its prediction, and owed. Rows of
// the outbox are locked before those of the log, as kSettle does it. Nothing when the prediction is
// gone.
inline constexpr Statement kRedeliverWebhook{"webhooks_redeliver", R"sql(
WITH f AS MATERIALIZED (
  SELECT l.id, l.prediction_id, l.event, l.event IN (1, 8) OR l.state = 0 AS may_be_owed
  FROM webhook_deliveries AS l
  WHERE l.id = $1::text AND ($2::bigint = 0 OR l.account_id = $2::bigint)
    AND EXISTS (SELECT FROM predictions AS p WHERE p.id = l.prediction_id OFFSET 0)
), waiting AS MATERIALIZED (
  SELECT w.id, w.is_claimed AND w.due_at > clock_timestamp() AS is_leased
  FROM f JOIN webhook_outbox AS w ON w.prediction_id = f.prediction_id AND w.event = f.event
    AND (w.delivery_id = f.id OR (w.delivery_id IS NULL AND f.may_be_owed))
  FOR UPDATE OF w
), sooner AS (
  UPDATE webhook_outbox AS w SET due_at = clock_timestamp() FROM waiting
  WHERE w.id = waiting.id AND NOT waiting.is_leased
), again AS (
  INSERT INTO webhook_outbox (prediction_id, event, delivery_id)
  SELECT prediction_id, event, id FROM f WHERE NOT EXISTS (SELECT FROM waiting)
  ON CONFLICT (delivery_id) WHERE delivery_id IS NOT NULL DO NOTHING
), d AS (
  UPDATE webhook_deliveries AS l SET state = 0, next_at = clock_timestamp() FROM f
  WHERE l.id = f.id AND (SELECT count(*) FROM waiting) >= 0
  RETURNING l.*
)
SELECT )sql" MIMEO_DELIVERY_COLUMNS " FROM d"};

// $1 the oldest kept.
inline constexpr Statement kSweepOldWebhooks{"webhooks_sweep_old", R"sql(
WITH gone AS MATERIALIZED (
  SELECT row_number FROM webhook_deliveries WHERE created_at < $1::timestamptz
  ORDER BY created_at LIMIT 5000
), d AS (
  DELETE FROM webhook_deliveries AS w USING gone WHERE w.row_number = gone.row_number
  RETURNING w.id, w.prediction_id
), a AS (
  DELETE FROM webhook_attempts AS t USING d WHERE t.id = d.prediction_id AND t.delivery_id = d.id
), h AS (
  DELETE FROM webhook_holds WHERE until < clock_timestamp() - interval '1 hour'
), s AS (
  DELETE FROM webhook_secrets WHERE until < clock_timestamp() - interval '1 hour'
)
SELECT count(*) FROM d)sql"};

// $1 the number kept per account. From account to account by the index, whose entries alone are
// read.
inline constexpr Statement kSweepSurplusWebhooks{"webhooks_sweep_surplus", R"sql(
WITH RECURSIVE account AS (
  SELECT min(account_id) AS id FROM webhook_deliveries
  UNION ALL
  SELECT (SELECT min(account_id) FROM webhook_deliveries WHERE account_id > account.id)
  FROM account WHERE id IS NOT NULL
), gone AS MATERIALIZED (
  SELECT w.row_number FROM account JOIN LATERAL (
    SELECT row_number FROM webhook_deliveries
    WHERE account_id = account.id ORDER BY row_number DESC OFFSET $1::bigint
  ) AS w ON true
  LIMIT 5000
), d AS (
  DELETE FROM webhook_deliveries AS w USING gone WHERE w.row_number = gone.row_number
  RETURNING w.id, w.prediction_id
), a AS (
  DELETE FROM webhook_attempts AS t USING d WHERE t.id = d.prediction_id AND t.delivery_id = d.id
)
SELECT count(*) FROM d)sql"};

inline constexpr Statement kGetWebhookSecrets{"webhooks_secrets", R"sql(
SELECT a.webhook_secret, s.previous
FROM accounts AS a
LEFT JOIN webhook_secrets AS s ON s.account_id = a.id AND s.until > $2::timestamptz
WHERE a.id = $1::bigint)sql"};

inline constexpr Statement kRotateWebhookSecret{"webhooks_rotate", R"sql(
WITH a AS (
  SELECT id, webhook_secret FROM accounts WHERE id = $1::bigint FOR UPDATE
), s AS (
  INSERT INTO webhook_secrets (account_id, previous, until)
  SELECT id, webhook_secret, $3::timestamptz FROM a
  ON CONFLICT (account_id) DO UPDATE SET previous = excluded.previous, until = excluded.until
)
UPDATE accounts SET webhook_secret = $2::text, file_secret = DEFAULT FROM a
WHERE accounts.id = a.id)sql"};

#undef MIMEO_DELIVERY_COLUMNS
#undef MIMEO_WITHOUT_SYNC

}  // namespace mimeo::store
