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

// What has ended already, after a rule has changed. $1 the account; 0 = all that have no rule.
// Reads all of removals: rules change rarely.
inline constexpr Statement kMoveRemovals{"removals_move",
                                         "UPDATE removals AS r SET due_at = " MIMEO_REMOVAL_DUE(
                                             "r.account_id", "r.source", "r.completed_at") R"sql(
WHERE source = $2::smallint AND CASE WHEN $1::bigint <> 0 THEN account_id = $1::bigint ELSE NOT EXISTS (
    SELECT FROM retention AS o WHERE o.account_id = r.account_id AND o.source = r.source) END)sql"};

// Whether it exists; whether it has its data, which is locked against removal until the commit.
inline constexpr Statement kLockData{"payloads_lock_one", R"sql(
WITH p AS MATERIALIZED (
  SELECT id FROM payloads WHERE id = $1::uuid AND kind = 0 FOR KEY SHARE
)
SELECT EXISTS (SELECT FROM predictions WHERE id = $1::uuid), EXISTS (SELECT FROM p))sql"};

inline constexpr Statement kKeepPrediction{"kept_add", R"sql(
INSERT INTO kept_predictions (id) VALUES ($1::uuid) ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kReleasePrediction{"kept_remove", R"sql(
DELETE FROM kept_predictions WHERE id = $1::uuid)sql"};

// Its removal again; the one from its end may be there still, put off by a day: the second removal
// finds nothing.
inline constexpr Statement kRenewRemoval{
    "removals_renew",
    "INSERT INTO removals (due_at, id, account_id, source, completed_at) SELECT " MIMEO_REMOVAL_DUE(
        "p.account_id", "p.source", "r.completed_at") R"sql(,
  r.id, p.account_id, p.source, r.completed_at
FROM results AS r JOIN predictions AS p ON p.id = $1::uuid
WHERE r.id = $1::uuid AND NOT p.is_training
  AND EXISTS (SELECT FROM payloads WHERE id = $1::uuid AND kind = 0)
ON CONFLICT DO NOTHING)sql"};

// Kept ones are looked at again a day later, so that they do not pile up at the head of the queue.
inline constexpr Statement kPutOffKept{"removals_put_off", R"sql(
WITH due AS MATERIALIZED (
  SELECT due_at, id FROM removals WHERE due_at <= $1::timestamptz ORDER BY due_at, id LIMIT $2::bigint
)
UPDATE removals AS r SET due_at = $1::timestamptz + interval '1 day'
FROM due WHERE r.due_at = due.due_at AND r.id = due.id
  AND due.id IN (SELECT k.id FROM kept_predictions AS k WHERE k.id = due.id))sql"};

inline constexpr Statement kListDue{"removals_due", R"sql(
SELECT due_at, id FROM removals WHERE due_at <= $1::timestamptz
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = removals.id)
ORDER BY due_at, id LIMIT $2::bigint)sql"};

// Removing data is a transaction of the following, in this order. First who does it:
inline constexpr Statement kTakeRemovals{"removals_take", R"sql(
DELETE FROM removals AS r USING unnest($1::timestamptz[], $2::uuid[]) AS i(due_at, id)
WHERE r.due_at = i.due_at AND r.id = i.id
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = r.id)
RETURNING r.id)sql"};

// Then wait for whoever adds an output file, or keeps one, at this moment; $2, $3 bound the ids.
inline constexpr Statement kLockInputs{"payloads_lock", R"sql(
SELECT 1 FROM payloads WHERE id = ANY($1::uuid[]) AND kind = 0 AND id BETWEEN $2::uuid AND $3::uuid
ORDER BY id FOR UPDATE)sql"};

// Then see what they did.
inline constexpr Statement kRemovePayloads{"payloads_remove", R"sql(
DELETE FROM payloads AS p WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = p.id))sql"};

inline constexpr Statement kRemoveOutputs{"outputs_remove", R"sql(
DELETE FROM output_files AS o WHERE prediction_id = ANY($1::uuid[])
  AND NOT EXISTS (SELECT FROM kept_predictions AS k WHERE k.id = o.prediction_id)
RETURNING content)sql"};

// Of predictions whose content is dropped as a whole: ids in [$1, $2), at most $3 rows.
inline constexpr Statement kRemoveOutputsBetween{"outputs_remove_between", R"sql(
DELETE FROM output_files WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM output_files WHERE prediction_id >= $1::uuid AND prediction_id < $2::uuid
  LIMIT $3::bigint))
RETURNING content)sql"};

inline constexpr Statement kForgetRemovalsBetween{"removals_forget_between", R"sql(
DELETE FROM removals WHERE id >= $1::uuid AND id < $2::uuid)sql"};

// Whether a prediction with an id in [$1, $2) is kept.
inline constexpr Statement kHasKeptBetween{"kept_between", R"sql(
SELECT EXISTS (SELECT FROM kept_predictions WHERE id >= $1::uuid AND id < $2::uuid))sql"};

}  // namespace mimeo::store
