-- An exact name comes first in a search, however many names resemble it. Examples that nobody
-- removed.

CREATE INDEX models_search_name ON models (name) WHERE deleted_at IS NULL;
CREATE INDEX models_search_exact ON models (search_title) WHERE deleted_at IS NULL;

-- Examples of models that were deleted right after their versions were passed by and stayed, with
-- the predictions that they keep: what these versions left is removed once more.
INSERT INTO version_deletions (version_id, account_id, requested_at, claimed_until)
SELECT DISTINCT e.version_id, m.owner_id, now(), '-infinity'::timestamptz
FROM examples AS e JOIN models AS m ON m.id = e.model_id JOIN versions AS v ON v.id = e.version_id
WHERE m.deleted_at IS NOT NULL AND v.state = 2
ON CONFLICT DO NOTHING;
