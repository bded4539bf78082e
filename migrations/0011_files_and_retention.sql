-- Stored content by its hash and what refers to it, and when predictions lose their data.

CREATE TABLE contents (
  sha256 bytea PRIMARY KEY,
  blob_key text NOT NULL UNIQUE,
  size_bytes bigint NOT NULL
);
COMMENT ON TABLE contents IS 'What lies in the blob store, each content once. A row is deleted when nothing refers to it any more, which its foreign keys prove.';
COMMENT ON COLUMN contents.blob_key IS 'Of the first copy that came; never changed.';

CREATE TABLE dead_blobs (
  blob_key text PRIMARY KEY
);
COMMENT ON TABLE dead_blobs IS 'Blobs that no row names any more. A row goes after its blob is gone, so that no crash leaves a blob behind.';

ALTER TABLE files ADD COLUMN content bytea REFERENCES contents;
CREATE INDEX files_content ON files (content) WHERE content IS NOT NULL;
COMMENT ON COLUMN files.content IS 'NULL: from before contents, the blob is files/<id>.';

CREATE TABLE output_files (
  prediction_id uuid NOT NULL,
  secret text NOT NULL,
  filename text NOT NULL,
  content bytea NOT NULL REFERENCES contents,
  md5_hex text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (prediction_id, secret)
);
CREATE INDEX output_files_content ON output_files (content);
COMMENT ON TABLE output_files IS 'Files that predictions put out: what a delivery link opens. Removed with the data of their prediction.';
COMMENT ON COLUMN output_files.secret IS 'The part of the link''s token behind the prediction''s id.';

CREATE TABLE retention (
  account_id bigint NOT NULL,
  source smallint NOT NULL,
  seconds bigint,
  PRIMARY KEY (account_id, source)
);
COMMENT ON TABLE retention IS 'How long predictions keep their data after their end. Account 0 is the default for accounts without a row.';
COMMENT ON COLUMN retention.source IS 'As in predictions: 0 api, 1 web';
COMMENT ON COLUMN retention.seconds IS 'NULL: until the partition of their content is dropped.';
INSERT INTO retention (account_id, source, seconds) VALUES (0, 0, 3600), (0, 1, 7776000);

CREATE TABLE kept_predictions (
  id uuid PRIMARY KEY
);
COMMENT ON TABLE kept_predictions IS 'Predictions that keep their data and record for as long as they are here, examples for one.';

CREATE TABLE removals (
  due_at timestamptz NOT NULL,
  id uuid NOT NULL,
  account_id bigint NOT NULL,
  source smallint NOT NULL,
  completed_at timestamptz NOT NULL,
  PRIMARY KEY (due_at, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE removals IS 'When each prediction that has ended loses its data; written with its result. Trainings are not here: they keep theirs until its partition is dropped.';
COMMENT ON COLUMN removals.due_at IS 'infinity: only when the partition is dropped.';

ALTER TABLE active ADD COLUMN source smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN active.source IS 'As in predictions, for removals.';

INSERT INTO removals (due_at, id, account_id, source, completed_at)
SELECT r.completed_at + d.seconds * interval '1 second', r.id, p.account_id, p.source, r.completed_at
FROM results AS r JOIN predictions AS p ON p.id = r.id
  JOIN retention AS d ON d.account_id = 0 AND d.source = p.source
WHERE NOT p.is_training AND EXISTS (SELECT FROM payloads WHERE id = r.id);
