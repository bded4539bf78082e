-- Who owns what, and which machines there are. Heartbeats of workers are never written.

CREATE TABLE cells (
  cell_id integer PRIMARY KEY,
  owner_id uuid,
  owner_addr text NOT NULL DEFAULT '',
  epoch bigint NOT NULL DEFAULT 0,
  lease_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
COMMENT ON TABLE cells IS 'Sets of workers, each owned by one scheduler by lease.';
COMMENT ON COLUMN cells.epoch IS 'Counts changes of the owner; fences what an earlier owner still writes.';

-- Whether `epoch` is still the cell's. Until the transaction ends nobody can take the cell. A
-- function, because a volatile function reads with a snapshot of its own: taken after the lock was
-- waited for, while that of the calling statement is older.
CREATE FUNCTION fence_holds(cell integer, expected bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1835426156, cell);
  RETURN EXISTS (SELECT FROM cells WHERE cell_id = cell AND epoch = expected);
END
$$;

-- Takes a free cell and returns its new epoch: nothing when somebody else holds it. Waits for every
-- transaction that the previous owner fenced with fence_holds().
CREATE FUNCTION take_cell(cell integer, new_owner uuid, addr text, lease interval) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1835426156, cell);
  RETURN QUERY
    UPDATE cells SET owner_id = new_owner, owner_addr = addr, epoch = epoch + 1, lease_until = clock_timestamp() + lease
    WHERE cell_id = cell AND (owner_id IS NULL OR owner_id = new_owner OR lease_until <= clock_timestamp())
    RETURNING epoch;
END
$$;

CREATE TABLE replicas (
  id uuid PRIMARY KEY,
  role smallint NOT NULL,
  addr text NOT NULL,
  version text NOT NULL,
  lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE replicas IS 'Live processes and how to reach them.';
COMMENT ON COLUMN replicas.role IS '0 control plane, 1 scheduler';

CREATE TABLE worker_tokens (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,
  name text NOT NULL,
  cell_id integer NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  disabled_at timestamptz
);
COMMENT ON TABLE worker_tokens IS 'Join tokens of workers, as SHA-256 of their text only.';

CREATE TABLE workers (
  id uuid PRIMARY KEY,
  cell_id integer NOT NULL,
  incarnation bigint NOT NULL,
  hostname text NOT NULL,
  inventory jsonb NOT NULL,
  state smallint NOT NULL,
  state_since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workers IS 'Machines that run instances; changes of state only.';
COMMENT ON COLUMN workers.incarnation IS 'Counts registrations; raised when a worker that was given up comes back.';
COMMENT ON COLUMN workers.state IS '0 ready, 1 draining, 2 lost, 3 gone';

CREATE TABLE instances (
  id uuid PRIMARY KEY,
  target_id bigint NOT NULL,
  version_id bytea NOT NULL,
  release integer NOT NULL,
  worker_id uuid NOT NULL,
  incarnation bigint NOT NULL,
  sku text NOT NULL,
  gpu_indices integer[] NOT NULL,
  state smallint NOT NULL,
  state_since timestamptz NOT NULL DEFAULT now(),
  ready_at timestamptz,
  detail text NOT NULL
);
CREATE INDEX instances_live ON instances (worker_id) WHERE state < 90;
CREATE INDEX instances_target ON instances (target_id, id DESC);
COMMENT ON TABLE instances IS 'Running copies of versions, and what became of earlier ones.';
COMMENT ON COLUMN instances.state IS 'As enum InstanceState; from 90 on terminal.';
