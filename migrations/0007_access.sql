-- Who may do what: members and roles of organizations, scopes of tokens, accounts that are disabled,
-- and the log of what was changed by whom.

ALTER TABLE accounts ADD COLUMN disabled_at timestamptz;
COMMENT ON COLUMN accounts.disabled_at IS 'Since then none of its tokens works; NULL = it may be used.';

ALTER TABLE tokens ADD COLUMN scopes text NOT NULL DEFAULT '*';
ALTER TABLE tokens ADD COLUMN created_by bigint REFERENCES accounts;
CREATE INDEX tokens_created_by ON tokens (created_by) WHERE created_by IS NOT NULL;
COMMENT ON COLUMN tokens.scopes IS 'What it may do: words with a blank between, ''*'' = everything.';
COMMENT ON COLUMN tokens.created_by IS
  'Of an organization''s token: the member who made it and whose role bounds it; NULL = the operator made it.';

CREATE TABLE memberships (
  account_id bigint NOT NULL REFERENCES accounts,
  user_id bigint NOT NULL REFERENCES accounts,
  role smallint NOT NULL CHECK (role BETWEEN 0 AND 4),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id, account_id);
COMMENT ON TABLE memberships IS 'Which users belong to which organizations.';
COMMENT ON COLUMN memberships.account_id IS 'The organization.';
COMMENT ON COLUMN memberships.role IS '0 owner, 1 admin, 2 developer, 3 viewer, 4 billing';

CREATE TABLE audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  account_id bigint,
  action text NOT NULL,
  target text NOT NULL,
  outcome smallint NOT NULL,
  actor text NOT NULL,
  actor_account_id bigint,
  actor_user_id bigint,
  token_id bigint,
  address text NOT NULL,
  request_id text NOT NULL,
  details json NOT NULL
);
CREATE INDEX audit_log_account ON audit_log (account_id, id);
CREATE INDEX audit_log_at ON audit_log (at);
COMMENT ON TABLE audit_log IS
  'Every change through the API, the command line and image pushes. No secrets; rows are only ever added, and removed by age.';
COMMENT ON COLUMN audit_log.account_id IS 'Whose thing was changed; NULL = the installation''s.';
COMMENT ON COLUMN audit_log.action IS 'Kind and verb: model.create';
COMMENT ON COLUMN audit_log.target IS 'What was changed, by its name: acme/hello';
COMMENT ON COLUMN audit_log.outcome IS '0 done, 1 refused, 2 failed or unknown';
COMMENT ON COLUMN audit_log.actor IS 'Who, in words that outlive renamed or removed rows.';

-- A hint to every control plane that what it remembers about an account's tokens is old. Its
-- payload is the account's id: of the tokens' owner, or of the user who made them.
CREATE FUNCTION notify_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'accounts' THEN
    PERFORM pg_notify('mimeo_access', NEW.id::text);
  ELSIF TG_OP = 'DELETE' THEN
    PERFORM pg_notify('mimeo_access', OLD.account_id::text);
  ELSE
    PERFORM pg_notify('mimeo_access', NEW.account_id::text);
  END IF;
  RETURN NULL;
END $$;
COMMENT ON FUNCTION notify_access IS 'Says which account''s access has changed, on the channel mimeo_access.';

CREATE TRIGGER accounts_access AFTER UPDATE OF disabled_at ON accounts
  FOR EACH ROW WHEN (OLD.disabled_at IS DISTINCT FROM NEW.disabled_at)
  EXECUTE FUNCTION notify_access();
-- Not of last_used_at: that is written by every busy token once a minute.
CREATE TRIGGER tokens_access AFTER UPDATE OF disabled_at, expires_at, scopes, created_by ON tokens
  FOR EACH ROW EXECUTE FUNCTION notify_access();
CREATE TRIGGER tokens_access_gone AFTER DELETE ON tokens
  FOR EACH ROW EXECUTE FUNCTION notify_access();
CREATE TRIGGER memberships_access AFTER INSERT OR UPDATE OR DELETE ON memberships
  FOR EACH ROW EXECUTE FUNCTION notify_access();
