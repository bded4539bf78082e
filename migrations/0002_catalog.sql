-- What can be run: hardware, models, versions, targets, deployments. Changes rarely.

CREATE TABLE hardware (
  sku text PRIMARY KEY,
  name text NOT NULL,
  position integer NOT NULL,
  cpu_milli bigint NOT NULL,
  memory_bytes bigint NOT NULL,
  gpus bigint NOT NULL,
  gpu_memory_bytes bigint NOT NULL,
  scratch_bytes bigint NOT NULL,
  price_micros_per_second bigint NOT NULL
);
COMMENT ON TABLE hardware IS 'Classes of machine share that can be asked for, set by the operator.';
COMMENT ON COLUMN hardware.position IS 'Order in listings.';

CREATE TABLE models (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner_id bigint NOT NULL REFERENCES accounts,
  name text NOT NULL,
  visibility smallint NOT NULL,
  description text NOT NULL,
  sku text NOT NULL,
  github_url text NOT NULL,
  paper_url text NOT NULL,
  license_url text NOT NULL,
  weights_url text NOT NULL,
  cover_image_url text NOT NULL,
  readme text NOT NULL,
  default_example uuid,
  latest_version bytea,
  latest_version_at timestamptz,
  created_at timestamptz NOT NULL,
  deleted_at timestamptz
);
CREATE UNIQUE INDEX models_name ON models (owner_id, name) WHERE deleted_at IS NULL;
COMMENT ON TABLE models IS 'Models. A deleted one stays, because its predictions show its name.';
COMMENT ON COLUMN models.visibility IS '0 public, 1 private';
COMMENT ON COLUMN models.latest_version IS 'The newest ready version, kept here for listings.';

CREATE TABLE versions (
  id bytea PRIMARY KEY,
  model_id bigint NOT NULL REFERENCES models,
  state smallint NOT NULL,
  refusal text NOT NULL,
  repository text NOT NULL,
  image_digest text NOT NULL,
  image_bytes bigint NOT NULL,
  cog_version text NOT NULL,
  openapi_schema text NOT NULL,
  config text NOT NULL,
  needs_gpu boolean NOT NULL,
  concurrency integer NOT NULL,
  pushed_by text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX versions_model ON versions (model_id, created_at DESC);
COMMENT ON TABLE versions IS 'Immutable packaged images; the id is the SHA-256 of the image manifest.';
COMMENT ON COLUMN versions.state IS '0 ready, 1 refused (no model; refusal says why), 2 deleted';
COMMENT ON COLUMN versions.openapi_schema IS 'JSON as text: the image''s own bytes, never searched here.';

CREATE TABLE deployments (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner_id bigint NOT NULL REFERENCES accounts,
  name text NOT NULL,
  model_id bigint NOT NULL REFERENCES models,
  created_at timestamptz NOT NULL,
  deleted_at timestamptz
);
CREATE UNIQUE INDEX deployments_name ON deployments (owner_id, name) WHERE deleted_at IS NULL;
COMMENT ON TABLE deployments IS 'Private fixed endpoints. A deleted one stays, because its predictions show its name.';

CREATE TABLE deployment_releases (
  deployment_id bigint NOT NULL REFERENCES deployments,
  number integer NOT NULL,
  version_id bytea NOT NULL REFERENCES versions,
  sku text NOT NULL,
  min_instances integer NOT NULL,
  max_instances integer NOT NULL,
  created_by bigint NOT NULL REFERENCES accounts,
  created_at timestamptz NOT NULL,
  state smallint NOT NULL,
  PRIMARY KEY (deployment_id, number)
);
CREATE INDEX deployment_releases_version ON deployment_releases (version_id);
COMMENT ON TABLE deployment_releases IS 'Every change of a deployment''s settings, numbered from 1.';
COMMENT ON COLUMN deployment_releases.state IS '0 rolling, 1 live, 2 superseded, 3 failed';

CREATE TABLE targets (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind smallint NOT NULL,
  deployment_id bigint UNIQUE REFERENCES deployments,
  version_id bytea REFERENCES versions,
  sku text NOT NULL,
  cell_id integer NOT NULL,
  min_instances integer NOT NULL,
  max_instances integer NOT NULL,
  config_seq bigint NOT NULL UNIQUE
);
CREATE UNIQUE INDEX targets_pool ON targets (version_id, sku) WHERE kind = 1;
CREATE INDEX targets_changes ON targets (cell_id, config_seq);
COMMENT ON TABLE targets IS 'What is queued and scaled as one.';
COMMENT ON COLUMN targets.kind IS '0 deployment, 1 version pool, 2 training';
COMMENT ON COLUMN targets.config_seq IS 'Grows with every change of what the target runs; commits in this order.';

CREATE SEQUENCE config_seq;

-- The next config_seq. The lock is held until the transaction ends, so that numbers become visible
-- in their order and a reader that goes on from the highest one it saw misses none.
CREATE FUNCTION next_config_seq() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1835427687, 0);
  RETURN nextval('config_seq');
END
$$;

CREATE TABLE model_runs (
  model_id bigint NOT NULL,
  shard smallint NOT NULL,
  n bigint NOT NULL,
  PRIMARY KEY (model_id, shard)
) WITH (fillfactor = 50);
COMMENT ON TABLE model_runs IS 'How often a model ran: the sum over its shards, so that writers do not wait for each other.';
