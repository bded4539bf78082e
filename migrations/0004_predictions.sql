-- Predictions: three kinds of row each, and their content. Ids are time-ordered, so that the id alone
-- names the partition. Partitions are made ahead by the service; a row in a default partition means
-- that they were not, and is moved when its partition is made.

CREATE TABLE predictions (
  id uuid PRIMARY KEY,
  account_id bigint NOT NULL,
  target_id bigint NOT NULL,
  model_id bigint NOT NULL,
  version_id bytea NOT NULL,
  deployment_id bigint,
  source smallint NOT NULL,
  prio smallint NOT NULL,
  retry_policy smallint NOT NULL,
  is_training boolean NOT NULL,
  created_at timestamptz NOT NULL,
  deadline_at timestamptz,
  run_limit_ms bigint NOT NULL,
  webhook text,
  webhook_events smallint NOT NULL,
  stream_token text,
  destination text
) PARTITION BY RANGE (id);
CREATE INDEX predictions_account ON predictions (account_id, id DESC);
CREATE INDEX predictions_training ON predictions (account_id, id DESC) WHERE is_training;
CREATE INDEX predictions_deployment ON predictions (deployment_id, id DESC) WHERE deployment_id IS NOT NULL;
CREATE TABLE predictions_default PARTITION OF predictions DEFAULT;
COMMENT ON TABLE predictions IS 'What was asked for. Inserted once, never changed. Daily partitions.';
COMMENT ON TABLE predictions_default IS 'Rows for which no partition was made in time.';
COMMENT ON COLUMN predictions.version_id IS 'That the input was checked against; what ran is in active and results.';
COMMENT ON COLUMN predictions.webhook_events IS 'Bits: 1 start, 2 output, 4 logs, 8 completed';

CREATE TABLE active (
  id uuid PRIMARY KEY,
  cell_id integer NOT NULL,
  target_id bigint NOT NULL,
  account_id bigint NOT NULL,
  model_id bigint NOT NULL,
  version_id bytea NOT NULL,
  release integer NOT NULL,
  prio smallint NOT NULL,
  retry_policy smallint NOT NULL,
  webhook_events smallint NOT NULL,
  is_training boolean NOT NULL,
  created_at timestamptz NOT NULL,
  deadline_at timestamptz,
  run_limit_ms bigint NOT NULL,
  st smallint NOT NULL,
  attempt integer NOT NULL,
  infra_failures integer NOT NULL DEFAULT 0,
  output_seen boolean NOT NULL DEFAULT false,
  instance_id uuid,
  worker_id uuid,
  incarnation bigint NOT NULL DEFAULT 0,
  assigned_at timestamptz,
  started_at timestamptz,
  cancel_at timestamptz
) WITH (
  -- No index but the primary key: every update stays in its page (HOT).
  fillfactor = 45, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE active IS 'One row per prediction that is not terminal; deleted in the transaction that inserts its result.';
COMMENT ON COLUMN active.st IS '0 queued, 1 assigned, 2 processing';
COMMENT ON COLUMN active.attempt IS 'Counts assignments; names the attempt that runs when st > 0.';
COMMENT ON COLUMN active.version_id IS 'Of the instance of the last attempt, else the one that the input was checked against.';
COMMENT ON COLUMN active.webhook_events IS 'As in predictions, but 0 without a webhook.';
COMMENT ON COLUMN active.cancel_at IS 'Somebody wants it canceled, since then.';

CREATE TABLE results (
  id uuid PRIMARY KEY,
  attempt integer NOT NULL,
  status smallint NOT NULL,
  version_id bytea NOT NULL,
  started_at timestamptz,
  completed_at timestamptz NOT NULL,
  error text,
  metrics text,
  instance_id uuid,
  billed_ms bigint NOT NULL
) PARTITION BY RANGE (id);
CREATE TABLE results_default PARTITION OF results DEFAULT;
COMMENT ON TABLE results IS 'How predictions ended. Inserted once, never changed: the primary key is the promise of exactly one result. Daily partitions.';
COMMENT ON TABLE results_default IS 'Rows for which no partition was made in time.';
COMMENT ON COLUMN results.status IS '3 succeeded, 4 failed, 5 canceled, 6 aborted';
COMMENT ON COLUMN results.metrics IS 'JSON of the model''s own metrics, as text: never searched here.';

CREATE TABLE payloads (
  id uuid NOT NULL,
  kind smallint NOT NULL,
  body text COMPRESSION lz4 NOT NULL,
  PRIMARY KEY (id, kind)
) PARTITION BY RANGE (id);
CREATE TABLE payloads_default PARTITION OF payloads DEFAULT;
COMMENT ON TABLE payloads IS 'Content of predictions. Six-hourly partitions: retention drops them whole.';
COMMENT ON TABLE payloads_default IS 'Rows for which no partition was made in time.';
COMMENT ON COLUMN payloads.kind IS '0 input, 1 output, 2 logs, 3 input with its secrets redacted';

CREATE TABLE idempotency (
  account_id bigint NOT NULL,
  key text NOT NULL,
  day date NOT NULL,
  prediction_id uuid NOT NULL,
  PRIMARY KEY (account_id, key, day)
) PARTITION BY RANGE (day);
CREATE TABLE idempotency_default PARTITION OF idempotency DEFAULT;
COMMENT ON TABLE idempotency IS 'Keys by which a repeated create is recognised, for the day of its first use and the next. Daily partitions.';
COMMENT ON TABLE idempotency_default IS 'Rows for which no partition was made in time.';
