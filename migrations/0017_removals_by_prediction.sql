-- One place per prediction in the queue of removals, and the types of output files.

DELETE FROM removals AS later USING removals AS sooner
  WHERE later.id = sooner.id AND later.due_at > sooner.due_at;
ALTER TABLE removals DROP CONSTRAINT removals_pkey, ADD PRIMARY KEY (id);
CREATE INDEX removals_due ON removals (due_at, id);
CREATE INDEX removals_account ON removals (account_id, source, id);
COMMENT ON INDEX removals_account IS 'For changes of a rule, which move what has ended already.';

ALTER TABLE dead_blobs ALTER COLUMN blob_key TYPE text COLLATE "C";

ALTER TABLE output_files ADD COLUMN content_type text NOT NULL DEFAULT '';
COMMENT ON COLUMN output_files.content_type IS 'As the worker gave it; empty: what the name says.';
