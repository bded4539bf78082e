-- The log of webhooks, sending one again, and their order.

ALTER TABLE webhook_outbox ADD COLUMN delivery_id text;
CREATE INDEX webhook_outbox_prediction ON webhook_outbox (prediction_id);
CREATE UNIQUE INDEX webhook_outbox_delivery ON webhook_outbox (delivery_id) WHERE delivery_id IS NOT NULL;
COMMENT ON COLUMN webhook_outbox.event IS '1 start, 2 output, 4 logs, 8 completed; 2 and 4 only when asked for again';
COMMENT ON COLUMN webhook_outbox.delivery_id IS 'The webhook-id of what is sent again on request; NULL for what is owed anyway.';

-- Not logged: after a crash of the database the holds are gone, and one webhook in flight may be overtaken.
CREATE UNLOGGED TABLE webhook_holds (
  prediction_id uuid PRIMARY KEY,
  sender_id uuid NOT NULL,
  until timestamptz NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE webhook_holds IS 'Which control plane may send output and logs of a running prediction; completed waits for it.';

CREATE TABLE webhook_deliveries (
  row_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL UNIQUE,
  account_id bigint NOT NULL,
  prediction_id uuid NOT NULL,
  event smallint NOT NULL,
  url text NOT NULL,
  state smallint NOT NULL,
  attempts integer NOT NULL,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  next_at timestamptz,
  response_status integer NOT NULL,
  error text
) WITH (fillfactor = 80);
CREATE INDEX webhook_deliveries_account ON webhook_deliveries (account_id, row_number DESC);
CREATE INDEX webhook_deliveries_prediction ON webhook_deliveries (prediction_id);
CREATE INDEX webhook_deliveries_created ON webhook_deliveries (created_at);
COMMENT ON TABLE webhook_deliveries IS 'Webhooks that were sent, without their content. Swept by age and by number per account.';
COMMENT ON COLUMN webhook_deliveries.id IS 'The webhook-id header.';
COMMENT ON COLUMN webhook_deliveries.state IS '0 pending, 1 delivered, 2 failed';
COMMENT ON COLUMN webhook_deliveries.response_status IS 'Of the newest attempt; 0 = no answer';

CREATE TABLE webhook_attempts (
  id uuid NOT NULL,
  delivery_id text NOT NULL,
  n integer NOT NULL,
  at timestamptz NOT NULL,
  took_ms bigint NOT NULL,
  request_headers text,
  request_body text COMPRESSION lz4,
  request_bytes bigint NOT NULL,
  response_status integer NOT NULL,
  response_headers text,
  response_body text COMPRESSION lz4,
  error text,
  PRIMARY KEY (id, delivery_id, n)
) PARTITION BY RANGE (id);
CREATE TABLE webhook_attempts_default PARTITION OF webhook_attempts DEFAULT;
COMMENT ON TABLE webhook_attempts IS 'What was sent and answered: content of predictions, and dropped with it. Six-hourly partitions, as those of payloads.';
COMMENT ON TABLE webhook_attempts_default IS 'Rows for which no partition was made in time.';
COMMENT ON COLUMN webhook_attempts.id IS 'The prediction.';

CREATE TABLE webhook_secrets (
  account_id bigint PRIMARY KEY REFERENCES accounts,
  previous text NOT NULL,
  until timestamptz NOT NULL
);
COMMENT ON TABLE webhook_secrets IS 'Secrets that were replaced and go on signing for a while, beside accounts.webhook_secret.';
