-- Pages of an account's predictions, whatever the other accounts have.

CREATE INDEX predictions_web ON predictions (account_id, id DESC) WHERE source = 1;

-- Where few accounts own nearly all rows, the planner would rather walk the primary key backwards than the index of the account, and
-- an account with few rows among ten million would wait for all of them. Told of many values it never does. Partitions do not inherit
-- this: those that are made later get it from the service.
DO $$
DECLARE
  part regclass;
BEGIN
  FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'predictions'::regclass LOOP
    EXECUTE format('ALTER TABLE %s ALTER COLUMN account_id SET (n_distinct = 200)', part);
  END LOOP;
END
$$;
ALTER TABLE predictions ALTER COLUMN account_id SET (n_distinct = 200, n_distinct_inherited = 200);
