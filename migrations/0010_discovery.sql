-- Finding models: search, collections, examples, official models; what an account may call; what is
-- being deleted in the background.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

ALTER TABLE models ADD COLUMN is_official boolean NOT NULL DEFAULT false;
ALTER TABLE models ADD COLUMN search_title text NOT NULL DEFAULT '';
ALTER TABLE models ADD COLUMN search_words tsvector NOT NULL DEFAULT '';
COMMENT ON COLUMN models.is_official IS 'Set by operators: its versions are not shown.';
COMMENT ON COLUMN models.search_title IS 'owner/name, for similarity.';
COMMENT ON COLUMN models.search_words IS 'What full text search looks at; kept by a trigger.';

-- Words joined by -, _, . or / are found by their parts, and each word both as it is and by its
-- stem. Long texts are cut: a tsvector holds 1 MB.
CREATE FUNCTION search_vector(body text) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$
  SELECT to_tsvector('simple', t) || to_tsvector('english', t)
  FROM translate(left(body, 100000), '-_./', '    ') AS t
$$;

CREATE FUNCTION fill_model_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT username || '/' || NEW.name INTO NEW.search_title FROM accounts WHERE id = NEW.owner_id;
  NEW.search_words := setweight(search_vector(NEW.search_title), 'A')
    || setweight(search_vector(NEW.description), 'B') || setweight(search_vector(NEW.readme), 'D');
  RETURN NEW;
END
$$;
CREATE TRIGGER models_search BEFORE INSERT OR UPDATE OF owner_id, name, description, readme
  ON models FOR EACH ROW EXECUTE FUNCTION fill_model_search();

CREATE FUNCTION fill_search_of_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE models SET name = name WHERE owner_id = NEW.id;
  RETURN NULL;
END
$$;
CREATE TRIGGER accounts_search AFTER UPDATE OF username ON accounts FOR EACH ROW
  WHEN (OLD.username IS DISTINCT FROM NEW.username) EXECUTE FUNCTION fill_search_of_owner();

UPDATE models SET name = name;
CREATE INDEX models_search_words ON models USING gin (search_words) WHERE deleted_at IS NULL;
CREATE INDEX models_search_title ON models USING gin (search_title gin_trgm_ops) WHERE deleted_at IS NULL;

-- The two orders of the public listing.
CREATE INDEX models_public_by_version ON models ((COALESCE(latest_version_at, created_at)), id)
  WHERE deleted_at IS NULL AND visibility = 0;
CREATE INDEX models_public_by_creation ON models (created_at, id)
  WHERE deleted_at IS NULL AND visibility = 0;

CREATE TABLE collections (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  description text NOT NULL,
  full_description text NOT NULL,
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE collections IS 'Choices of models, made by operators.';
COMMENT ON COLUMN collections.full_description IS 'Markdown; empty = none.';

CREATE TABLE collection_models (
  collection_id bigint NOT NULL REFERENCES collections ON DELETE CASCADE,
  model_id bigint NOT NULL REFERENCES models,
  position integer NOT NULL,
  PRIMARY KEY (collection_id, model_id)
);
CREATE INDEX collection_models_model ON collection_models (model_id);
COMMENT ON TABLE collection_models IS 'What is in a collection, in the order of position, then of adding.';

CREATE TABLE examples (
  model_id bigint NOT NULL REFERENCES models,
  prediction_id uuid NOT NULL,
  account_id bigint NOT NULL,
  version_id bytea NOT NULL,
  added_at timestamptz NOT NULL,
  source smallint NOT NULL,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  completed_at timestamptz NOT NULL,
  input text COMPRESSION lz4 NOT NULL,
  output text COMPRESSION lz4 NOT NULL,
  logs text COMPRESSION lz4 NOT NULL,
  metrics text NOT NULL,
  PRIMARY KEY (model_id, prediction_id)
);
CREATE UNIQUE INDEX examples_prediction ON examples (prediction_id);
CREATE INDEX examples_order ON examples (model_id, added_at, prediction_id);
CREATE INDEX examples_version ON examples (version_id);
COMMENT ON TABLE examples IS 'Predictions that a model''s owner shows, with a copy of their content; their files are kept by kept_predictions.';
COMMENT ON COLUMN models.default_example IS 'The prediction_id of one of its examples.';

-- Who ran a model's version besides its owner: such a version cannot be deleted.
CREATE TABLE version_users (
  version_id bytea NOT NULL REFERENCES versions,
  account_id bigint NOT NULL,
  PRIMARY KEY (version_id, account_id)
);
COMMENT ON TABLE version_users IS 'Accounts other than the owner that ran a version, noted before the first time.';
INSERT INTO version_users (version_id, account_id)
SELECT DISTINCT p.version_id, p.account_id FROM predictions AS p
JOIN versions AS v ON v.id = p.version_id JOIN models AS m ON m.id = v.model_id
WHERE p.account_id <> m.owner_id;

CREATE TABLE version_deletions (
  version_id bytea PRIMARY KEY REFERENCES versions,
  account_id bigint NOT NULL,
  requested_at timestamptz NOT NULL,
  claimed_until timestamptz NOT NULL
);
COMMENT ON TABLE version_deletions IS 'Deleted versions whose predictions are still being removed.';
COMMENT ON COLUMN version_deletions.account_id IS 'The owner: nobody else ran it.';
COMMENT ON COLUMN version_deletions.claimed_until IS 'A process is at it until then.';

CREATE TABLE account_limits (
  account_id bigint PRIMARY KEY REFERENCES accounts,
  create_per_minute bigint,
  create_burst bigint,
  read_per_minute bigint,
  other_per_minute bigint
);
COMMENT ON TABLE account_limits IS 'Limits of calls that differ from the installation''s. NULL: as everywhere; 0: none.';
COMMENT ON COLUMN account_limits.create_burst IS 'Creates at once; NULL: as many as in a minute.';
