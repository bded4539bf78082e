// Statements of how long predictions keep their data, and of its removal.

#pragma once

#include "common/store/postgres/statement.h"

namespace mimeo::store {

// When the data is due, by the account's rule, else the operator's. It is part of kFinish: one
// look-up a row; the operator's rules depend on no row and are read once a statement.
#define MIMEO_REMOVAL_DUE(account, source_, completed)                                        \
  "COALESCE((SELECT COALESCE(" completed                                                      \
  " + seconds * interval '1 second', 'infinity')"                                             \
  " FROM retention WHERE account_id = " account " AND source = " source_ "), " completed      \
  " + CASE " source_                                                                          \
  " WHEN 0 THEN (SELECT seconds FROM retention WHERE account_id = 0"                          \
  " AND source = 0) ELSE (SELECT seconds FROM retention WHERE account_id = 0 AND source = 1)" \
  " END * interval '1 second', 'infinity')"

// Of the account, then of the operator.
inline constexpr Statement kGetKeepRules{"retention_get", R"sql(
SELECT account_id, source, seconds FROM retention WHERE account_id IN (0, $1::bigint))sql"};

inline constexpr Statement kSetKeepRule{"retention_set", R"sql(
INSERT INTO retention (account_id, source, seconds) VALUES ($1::bigint, $2::smallint, $3::bigint)
ON CONFLICT (account_id, source) DO UPDATE SET seconds = excluded.seconds)sql"};

inline constexpr Statement kResetKeepRule{"retention_reset", R"sql(
DELETE FROM retention WHERE account_id = $1::bigint AND source = $2::smallint)sql"};

// After a rule has changed: the transactions that write to removals, each of which may have seen
// the rule from before. A statement takes this lock before its snapshot, so that who comes later
// sees the new rule. (Waiting for a lock of our own would hold up every result behind it.)
inline constexpr Statement kListRemovalWriters{"removals_writers", R"sql(
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'removals'::regclass AND mode = 'RowExclusiveLock'
  AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))sql"};

// No row when all of these have ended; else one, a moment later.
inline constexpr Statement kAwaitRemovalWriters{"removals_await_writers", R"sql(
SELECT pg_sleep(0.02) WHERE EXISTS (
  SELECT FROM pg_locks WHERE virtualtransaction = ANY($1::text[])))sql"};

// What has ended already, after a rule has changed, in steps: looks at the next $4 behind the id $3
// of the account $1, and moves those whose time is another now. The last id that it looked at.
inline constexpr Statement kMoveRemovals{
    "removals_move", "WITH s AS MATERIALIZED (SELECT r.id, r.due_at, " MIMEO_REMOVAL_DUE(
                         "r.account_id", "r.source", "r.completed_at") R"sql( AS due
  FROM removals AS r WHERE account_id = $1::bigint AND source = $2::smallint AND id > $3::uuid
  ORDER BY id LIMIT $4::bigint
), u AS (
  UPDATE removals AS r SET due_at = s.due FROM s WHERE r.id = s.id AND s.due_at <> s.due
)
SELECT id FROM s ORDER BY id DESC LIMIT 1)sql"};

// The same after a change of the operator's rule, for all accounts that have none: behind the
// account $1 and its id $3. The last account and id.
inline constexpr Statement kMoveAllRemovals{
    "removals_move_all",
    "WITH s AS MATERIALIZED (SELECT r.account_id, r.id, r.source, r.due_at, " MIMEO_REMOVAL_DUE(
        "r.account_id", "r.source", "r.completed_at") R"sql( AS due
  FROM removals AS r WHERE (account_id, source, id) > ($1::bigint, $2::smallint, $3::uuid)
  ORDER BY account_id, source, id LIMIT $4::bigint
), u AS (
  UPDATE removals AS r SET due_at = s.due FROM s
  WHERE r.id = s.id AND s.due_at <> s.due AND s.source = $5::smallint
)
SELECT account_id, source, id FROM s ORDER BY account_id DESC, source DESC, id DESC LIMIT 1)sql"};

// Whether it exists; whether it has its data, which is locked against removal until the commit.
inline constexpr Statement kLockData{"payloads_lock_one", R"sql(
WITH p AS MATERIALIZED (
  SELECT id FROM payloads WHERE id = $1::uuid AND kind = 0 FOR KEY SHARE
)
SELECT EXISTS (SELECT FROM predictions WHERE id = $1::uuid), EXISTS (SELECT FROM p))sql"};

// Locks the row when it is there: whoever releases it at this moment sees why it is kept now.
inline constexpr Statement kKeepPrediction{"kept_add", R"sql(
INSERT INTO kept_predictions (id) VALUES ($1::uuid)
ON CONFLICT (id) DO UPDATE SET id = excluded.id)sql"};

// Releasing one is both of these, in this order: the second sees what the first waited for.
inline constexpr Statement kLockKept{"kept_lock", R"sql(
SELECT FROM kept_predictions WHERE id = $1::uuid FOR UPDATE)sql"};
inline constexpr Statement kReleasePrediction{"kept_remove", R"sql(
DELETE FROM kept_predictions WHERE id = $1::uuid
  AND NOT EXISTS (SELECT FROM examples WHERE prediction_id = $1::uuid))sql"};

// Its removal again; the one from its end may be there still, put off by a day.
inline constexpr Statement kRenewRemoval{
    "removals_renew",
    "INSERT INTO removals (due_at, id, account_id, source, completed_at) SELECT " MIMEO_REMOVAL_DUE(
        "p.account_id", "p.source", "r.completed_at") R"sql(,
  r.id, p.account_id, p.source, r.completed_at
FROM results AS r JOIN predictions AS p ON p.id = $1::uuid
WHERE r.id = $1::uuid AND NOT p.is_training
  AND EXISTS (SELECT FROM payloads WHERE id = $1::uuid AND kind = 0)
ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at)sql"};

// Kept ones are looked at again a day later, so that they do not pile up at the head of the queue.
inline constexpr Statement kPutOffKept{"removals_put_off", R"sql(
WITH due AS MATERIALIZED (
  SELECT due_at, id FROM removals WHERE due_at <= $1::timestamptz ORDER BY due_at, id LIMIT $2::bigint
)
UPDATE removals AS r SET due_at = $1::timestamptz + interval '1 day'
FROM due WHERE r.id = due.id
  AND due.id IN (SELECT k.id FROM kept_predictions AS k WHERE k.id = due.id))sql"};

inline constexpr Statement kListDue{"removals_due", R"sql(
SELECT due_at, id FROM removals WHERE due_at <= $1::timestamptz
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = removals.id)
ORDER BY due_at, id LIMIT $2::bigint)sql"};

// Removing data is a transaction of the following, in this order. First who does it:
inline constexpr Statement kTakeRemovals{"removals_take", R"sql(
DELETE FROM removals AS r USING unnest($1::timestamptz[], $2::uuid[]) AS i(due_at, id)
WHERE r.id = i.id AND r.due_at = i.due_at
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = r.id)
RETURNING r.id)sql"};

// Then wait for whoever adds an output file, or keeps one, at this moment; $2, $3 bound the ids.
inline constexpr Statement kLockInputs{"payloads_lock", R"sql(
SELECT 1 FROM payloads WHERE id = ANY($1::uuid[]) AND kind = 0 AND id BETWEEN $2::uuid AND $3::uuid
ORDER BY id FOR UPDATE)sql"};

// Then see what they did. Up to three rows with the same id.
inline constexpr Statement kRemovePayloads{"payloads_remove", R"sql(
DELETE FROM payloads AS p WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = p.id)
RETURNING id)sql"};

inline constexpr Statement kRemoveOutputs{"outputs_remove", R"sql(
DELETE FROM output_files AS o WHERE prediction_id = ANY($1::uuid[])
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = o.prediction_id)
RETURNING content)sql"};

// What webhooks held of them. They may hold content only while there are payloads.
inline constexpr Statement kRemoveAttempts{"webhook_attempts_remove", R"sql(
DELETE FROM webhook_attempts AS w WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = w.id))sql"};

inline constexpr Statement kForgetRemovals{"removals_forget", R"sql(
DELETE FROM removals AS r WHERE id = ANY($1::uuid[])
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = r.id))sql"};

// Of predictions whose content is dropped as a whole: ids in [$1, $2) that have output files and
// are neither kept nor active, at most $3.
inline constexpr Statement kListOutputsBetween{"outputs_list_between", R"sql(
SELECT DISTINCT prediction_id FROM output_files AS o
WHERE prediction_id >= $1::uuid AND prediction_id < $2::uuid
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = o.prediction_id)
  AND NOT EXISTS (SELECT FROM active AS a WHERE a.id = o.prediction_id)
ORDER BY 1 LIMIT $3::bigint)sql"};

inline constexpr Statement kHasOutputsBetween{"outputs_between", R"sql(
SELECT EXISTS (SELECT FROM output_files
  WHERE prediction_id >= $1::uuid AND prediction_id < $2::uuid))sql"};

// At most $3 rows.
inline constexpr Statement kForgetRemovalsBetween{"removals_forget_between", R"sql(
DELETE FROM removals WHERE id = ANY (ARRAY(
  SELECT id FROM removals AS r WHERE id >= $1::uuid AND id < $2::uuid
    AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = r.id)
  LIMIT $3::bigint)))sql"};

// Whether a prediction with an id in [$1, $2) is kept.
inline constexpr Statement kHasKeptBetween{"kept_between", R"sql(
SELECT EXISTS (SELECT FROM kept_predictions WHERE id >= $1::uuid AND id < $2::uuid))sql"};

}  // namespace mimeo::store
