-- Metering: how long hardware was held, by whom, and what that costs. docs/usage.md has the words.
--
-- usage_pending and instances are the facts; the metering of the control plane turns them into
-- usage_totals, in transactions that count each fact once. usage_hour is not written any more; what
-- is in it, or is still put there by an older control plane, is moved to usage_totals.

-- The default fills the rows that are there: they are metered from now on.
ALTER TABLE instances ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN instances.created_at IS 'When it was ordered; of rows older than this column, when that was added.';

CREATE TABLE hardware_prices (
  sku text NOT NULL,
  since timestamptz NOT NULL,
  micros_per_second bigint NOT NULL,
  PRIMARY KEY (sku, since)
);
INSERT INTO hardware_prices (sku, since, micros_per_second)
  SELECT sku, '-infinity', price_micros_per_second FROM hardware;
COMMENT ON TABLE hardware_prices IS 'Every price that a hardware class ever had; rows are only added.';
COMMENT ON COLUMN hardware_prices.since IS 'Minutes and runs that begin at or after it have this price.';

CREATE TABLE usage_pending (
  account_id bigint NOT NULL,
  target_id bigint NOT NULL,
  model_id bigint NOT NULL,
  is_training boolean NOT NULL,
  instance_id uuid,
  completed_at timestamptz NOT NULL,
  billed_ms bigint NOT NULL
) WITH (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE usage_pending IS 'Ended predictions that are not in usage_totals yet. Written with the result; emptied every few seconds. No index: it is read from its beginning.';

CREATE TABLE usage_totals (
  account_id bigint NOT NULL,
  hour timestamptz NOT NULL,
  sku text NOT NULL,
  model_id bigint NOT NULL,
  deployment_id bigint NOT NULL,
  kind smallint NOT NULL,
  setup_ms bigint NOT NULL,
  idle_ms bigint NOT NULL,
  active_ms bigint NOT NULL,
  setup_nanos bigint NOT NULL,
  idle_nanos bigint NOT NULL,
  active_nanos bigint NOT NULL,
  predictions bigint NOT NULL,
  ran_ms bigint NOT NULL,
  PRIMARY KEY (account_id, hour, sku, model_id, deployment_id, kind)
) WITH (fillfactor = 70);
CREATE INDEX usage_totals_hour ON usage_totals (hour);
COMMENT ON TABLE usage_totals IS 'What accounts used, by hour. Kept for ever.';
COMMENT ON COLUMN usage_totals.account_id IS 'Who pays; 0: nobody, it is the operator''s loss.';
COMMENT ON COLUMN usage_totals.deployment_id IS '0: none';
COMMENT ON COLUMN usage_totals.kind IS '0 deployment, 1 private model, 2 public model, 3 training, 4 from before metering';
COMMENT ON COLUMN usage_totals.active_nanos IS 'Billionths of the currency, as setup_nanos and idle_nanos: milliseconds times micro-units per second.';
COMMENT ON COLUMN usage_totals.ran_ms IS 'Sum of the predictions'' run times, however they were paid.';

CREATE TABLE instance_meters (
  instance_id uuid PRIMARY KEY,
  billing smallint NOT NULL,
  payer_id bigint NOT NULL,
  sku text NOT NULL,
  model_id bigint NOT NULL,
  deployment_id bigint NOT NULL,
  kind smallint NOT NULL,
  began_at timestamptz NOT NULL,
  ready_at timestamptz,
  metered_to timestamptz NOT NULL,
  sealed_to timestamptz NOT NULL DEFAULT '-infinity',
  is_ended boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX instance_meters_open ON instance_meters (instance_id) WHERE NOT is_ended;
COMMENT ON TABLE instance_meters IS 'How far each instance''s life is in usage_totals, and who pays for it: decided when it is first seen.';
COMMENT ON COLUMN instance_meters.billing IS '0 the payer for its whole life, 1 callers for what runs, 2 the payer for the setup and callers for what runs';
COMMENT ON COLUMN instance_meters.sealed_to IS 'Minutes before it are final: their rows in instance_minutes are gone.';
COMMENT ON COLUMN instance_meters.is_ended IS 'metered_to is the end of its life.';

CREATE TABLE instance_minutes (
  instance_id uuid NOT NULL,
  minute timestamptz NOT NULL,
  busy int4multirange NOT NULL DEFAULT '{}',
  setup_ms integer NOT NULL DEFAULT 0,
  idle_ms integer NOT NULL DEFAULT 0,
  active_ms integer NOT NULL DEFAULT 0,
  is_stale boolean NOT NULL DEFAULT false,
  PRIMARY KEY (instance_id, minute)
) WITH (fillfactor = 70);
CREATE INDEX instance_minutes_minute ON instance_minutes (minute);
CREATE INDEX instance_minutes_stale ON instance_minutes (instance_id) WHERE is_stale;
COMMENT ON TABLE instance_minutes IS 'The last hours of instances'' lives by the minute: what of them is in usage_totals.';
COMMENT ON COLUMN instance_minutes.busy IS 'Milliseconds of the minute in which something ran: a set, so that overlaps and repeats count once.';
COMMENT ON COLUMN instance_minutes.is_stale IS 'busy has grown since the times were counted.';

-- How far `at` is into the minute that begins at `minute`, in milliseconds: 0 to 60000. Of
-- immutable parts only, so that it is inlined.
CREATE FUNCTION ms_of_minute(at timestamptz, minute timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT LEAST(60000, GREATEST(0, floor(extract(epoch FROM at - minute) * 1000)))::integer
$$;

-- How many milliseconds of [low, high) are in the set.
CREATE FUNCTION ms_covered(busy int4multirange, low integer, high integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT COALESCE(sum(upper(r) - lower(r)), 0)::integer
  FROM unnest(busy * int4multirange(int4range(low, high))) AS r
$$;

CREATE TABLE spend_limits (
  account_id bigint PRIMARY KEY REFERENCES accounts,
  by_operator_micros bigint CHECK (by_operator_micros >= 0),
  by_account_micros bigint CHECK (by_account_micros >= 0)
);
COMMENT ON TABLE spend_limits IS 'Most that accounts may spend in a calendar month (UTC), in millionths of the currency. NULL: no limit.';
