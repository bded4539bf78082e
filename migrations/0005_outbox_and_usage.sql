-- What follows from a prediction's end.

CREATE TABLE webhook_outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  prediction_id uuid NOT NULL,
  event smallint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  due_at timestamptz NOT NULL DEFAULT now(),
  tries integer NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX webhook_outbox_due ON webhook_outbox (due_at);
COMMENT ON TABLE webhook_outbox IS 'Webhooks still to be delivered, written with the change of state that they tell of.';
COMMENT ON COLUMN webhook_outbox.event IS '1 start, 8 completed';

CREATE TABLE usage_hour (
  account_id bigint NOT NULL,
  hour timestamptz NOT NULL,
  sku text NOT NULL,
  is_training boolean NOT NULL,
  shard smallint NOT NULL,
  billed_ms bigint NOT NULL,
  n bigint NOT NULL,
  PRIMARY KEY (account_id, hour, sku, is_training, shard)
) WITH (fillfactor = 50);
CREATE INDEX usage_hour_hour ON usage_hour (hour);
COMMENT ON TABLE usage_hour IS 'What accounts used, by hour: the sum over shards, so that writers do not wait for each other.';
