// Statements that read predictions.

#pragma once

#include "common/store/postgres/statement.h"

namespace mimeo::store {

// Everything that a PredictionView shows, of the ids $1 in their order; $2, $3 bound them, so that
// only their partitions are opened, and OFFSET 0 keeps each id a look-up of its own instead of one
// scan between the bounds. One statement, so that `active` and `results` are read at the same
// moment.
inline constexpr Statement kViews{"predictions_view", R"sql(
SELECT p.id, p.account_id, p.target_id, mo.username, m.name,
  CASE WHEN m.is_official AND p.deployment_id IS NULL AND NOT p.is_training THEN NULL
    ELSE COALESCE(a.version_id, r.version_id, p.version_id) END, dw.username, d.name,
  p.source, p.is_training, p.destination, p.created_at, p.deadline_at,
  p.webhook, p.webhook_events, p.stream_token,
  a.st, a.attempt, a.started_at,
  r.status, r.attempt, r.started_at, r.completed_at, r.error, r.metrics,
  c.input, c.public_input, c.output, c.logs
FROM unnest($1::uuid[]) WITH ORDINALITY AS i(id, n)
JOIN LATERAL (
  SELECT * FROM predictions WHERE id = i.id AND id BETWEEN $2::uuid AND $3::uuid OFFSET 0
) AS p ON true
LEFT JOIN active AS a ON a.id = ANY (ARRAY[i.id])
LEFT JOIN LATERAL (
  SELECT * FROM results WHERE id = i.id AND id BETWEEN $2::uuid AND $3::uuid OFFSET 0
) AS r ON true
LEFT JOIN LATERAL (
  SELECT min(body) FILTER (WHERE kind = 0) AS input, min(body) FILTER (WHERE kind = 1) AS output,
    min(body) FILTER (WHERE kind = 2) AS logs, min(body) FILTER (WHERE kind = 3) AS public_input
  FROM payloads WHERE id = i.id AND id BETWEEN $2::uuid AND $3::uuid) AS c ON true
LEFT JOIN models AS m ON m.id = p.model_id
LEFT JOIN accounts AS mo ON mo.id = m.owner_id
LEFT JOIN deployments AS d ON d.id = p.deployment_id
LEFT JOIN accounts AS dw ON dw.id = d.owner_id
ORDER BY i.n)sql"};

inline constexpr Statement kGetInput{"payloads_input", R"sql(
SELECT body FROM payloads WHERE id = $1::uuid AND kind = 0)sql"};

// $2, $3 bound the ids.
inline constexpr Statement kWhichAreTerminal{"results_which", R"sql(
SELECT id FROM results WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid)sql"};

// In order of ids. The cell is no key: few cells, and an index would break HOT updates.
inline constexpr Statement kScanActive{"active_scan", R"sql(
SELECT id, cell_id, target_id, account_id, prio, st, attempt, infra_failures, instance_id,
  worker_id, incarnation, created_at, deadline_at, assigned_at, started_at, cancel_at,
  run_limit_ms, retry_policy, output_seen
FROM active WHERE id > $1::uuid AND cell_id = $2::int ORDER BY id LIMIT $3::bigint)sql"};

inline constexpr Statement kCountActive{"active_count", R"sql(
SELECT count(*) FROM active WHERE account_id = $1::bigint)sql"};

}  // namespace mimeo::store
