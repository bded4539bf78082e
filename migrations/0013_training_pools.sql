-- Trainings run on instances of their own: one training pool per version and hardware, beside the
-- version pool that serves its predictions.

CREATE UNIQUE INDEX targets_training ON targets (version_id, sku) WHERE kind = 2;
COMMENT ON COLUMN targets.kind IS '0 deployment, 1 version pool, 2 training pool';
