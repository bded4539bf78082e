-- Who may use the service.

CREATE TABLE accounts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  type smallint NOT NULL,
  username text NOT NULL UNIQUE,
  name text NOT NULL,
  github_url text NOT NULL,
  avatar_url text NOT NULL,
  weight double precision NOT NULL CHECK (weight > 0),
  max_running integer NOT NULL,
  max_queued integer NOT NULL,
  webhook_secret text NOT NULL,
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE accounts IS 'Users and organizations: what owns models, deployments, predictions and tokens.';
COMMENT ON COLUMN accounts.type IS '0 user, 1 organization';
COMMENT ON COLUMN accounts.weight IS 'Share in fair queueing.';
COMMENT ON COLUMN accounts.max_running IS '0 = no limit';

CREATE TABLE tokens (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES accounts,
  name text NOT NULL,
  hash bytea NOT NULL UNIQUE,
  prefix text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  disabled_at timestamptz,
  last_used_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX tokens_account ON tokens (account_id, id);
COMMENT ON TABLE tokens IS 'API tokens, as SHA-256 of their text only.';
COMMENT ON COLUMN tokens.last_used_at IS 'Written at most once a minute.';
