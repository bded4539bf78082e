-- Who made an organization, and a secret of its own for links to files.

ALTER TABLE accounts ADD COLUMN created_by bigint REFERENCES accounts;
COMMENT ON COLUMN accounts.created_by IS
  'Of an organization: the user who made it and whose limits of calls hold for it while it has none; NULL = the operator made it.';

CREATE INDEX accounts_created_by ON accounts (created_by) WHERE created_by IS NOT NULL;

ALTER TABLE accounts ADD COLUMN file_secret text NOT NULL DEFAULT 'fsec_' || translate(rtrim(encode(
  sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea), 'base64'), '='), '+/', '-_');
COMMENT ON COLUMN accounts.file_secret IS
  'Signs links to uploaded files; replaced with the webhook secret.';
