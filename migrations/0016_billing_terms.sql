-- Who pays for an instance is decided when it is ordered; prices have bounds.

-- Schedulers of an older release leave both NULL.
ALTER TABLE instances ADD COLUMN usage_kind smallint, ADD COLUMN payer_id bigint;
COMMENT ON COLUMN instances.usage_kind IS 'As usage_totals.kind: what it was ordered for. NULL: by a release that did not know.';
COMMENT ON COLUMN instances.payer_id IS 'Who pays for its life, or for its setup if it is a training''s; 0: nobody. Like usage_kind, whatever happens to the model or the training later.';

-- A price without meaning becomes the nearest with one. The highest still leaves room in 64 bits for
-- 2,500 instances in an hour of usage_totals.
UPDATE hardware SET price_micros_per_second = LEAST(GREATEST(price_micros_per_second, 0), 1000000000)
  WHERE price_micros_per_second NOT BETWEEN 0 AND 1000000000;
ALTER TABLE hardware ADD CHECK (price_micros_per_second BETWEEN 0 AND 1000000000);
UPDATE hardware_prices SET micros_per_second = LEAST(GREATEST(micros_per_second, 0), 1000000000)
  WHERE micros_per_second NOT BETWEEN 0 AND 1000000000;
ALTER TABLE hardware_prices ADD CHECK (micros_per_second BETWEEN 0 AND 1000000000);

COMMENT ON TABLE instance_meters IS 'How far each instance''s life is in usage_totals, and who pays for it. Forgotten with the records of its predictions.';
