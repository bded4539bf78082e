-- Who made an organization, a secret of its own for links to files, and the end of the tokens of those
-- who left.

ALTER TABLE accounts ADD COLUMN created_by bigint REFERENCES accounts;
COMMENT ON COLUMN accounts.created_by IS
  'Of an organization: the user who made it and whose limits of calls hold for it while it has none; NULL = the operator made it.';
CREATE INDEX accounts_created_by ON accounts (created_by) WHERE created_by IS NOT NULL;

UPDATE accounts AS o SET created_by = u.id
  FROM audit_log AS l JOIN accounts AS u ON u.id = l.actor_user_id AND u.type = 0
  WHERE o.type = 1 AND l.account_id = o.id AND l.action = 'organization.create' AND l.outcome = 0;

ALTER TABLE accounts ADD COLUMN file_secret text NOT NULL DEFAULT 'fsec_' || translate(rtrim(encode(
  sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea), 'base64'), '='), '+/', '-_');
COMMENT ON COLUMN accounts.file_secret IS
  'Signs links to uploaded files; replaced with the webhook secret.';

-- Links that were given out go on working: until now the secret of an account was the HMAC-SHA256 of
-- "file links" with its webhook secret as the key.
CREATE FUNCTION pg_temp.file_secret_until_now(webhook_secret text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  key bytea := convert_to(webhook_secret, 'UTF8');
  inner_pad bytea := decode(repeat('36', 64), 'hex');
  outer_pad bytea := decode(repeat('5c', 64), 'hex');
BEGIN
  IF length(key) > 64 THEN key := sha256(key); END IF;
  FOR i IN 0 .. length(key) - 1 LOOP
    inner_pad := set_byte(inner_pad, i, get_byte(inner_pad, i) # get_byte(key, i));
    outer_pad := set_byte(outer_pad, i, get_byte(outer_pad, i) # get_byte(key, i));
  END LOOP;
  RETURN 'fsec_' || translate(rtrim(encode(
    sha256(outer_pad || sha256(inner_pad || convert_to('file links', 'UTF8'))), 'base64'), '='), '+/', '-_');
END $$;
UPDATE accounts SET file_secret = pg_temp.file_secret_until_now(webhook_secret);
DROP FUNCTION pg_temp.file_secret_until_now;

-- Whoever leaves an organization has tokens there no more, also when coming back.
UPDATE tokens AS t SET disabled_at = now()
  WHERE created_by IS NOT NULL AND disabled_at IS NULL AND NOT EXISTS (
    SELECT FROM memberships AS m WHERE m.account_id = t.account_id AND m.user_id = t.created_by);
