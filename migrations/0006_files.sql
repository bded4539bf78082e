-- Uploaded files. Their content is in the blob store, under the key files/<id>.

CREATE TABLE files (
  id uuid PRIMARY KEY,
  account_id bigint NOT NULL,
  name text NOT NULL,
  content_type text NOT NULL,
  size_bytes bigint NOT NULL,
  sha256_hex text NOT NULL,
  md5_hex text NOT NULL,
  metadata json NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz
);
CREATE INDEX files_by_account ON files (account_id, id DESC);
CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE files IS 'Uploaded files of accounts; removed with their content when they expire.';
COMMENT ON COLUMN files.metadata IS 'The JSON object that the uploader gave, as it was sent.';
COMMENT ON COLUMN files.expires_at IS 'NULL: kept until it is deleted.';
