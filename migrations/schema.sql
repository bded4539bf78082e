-- Generated from a migrated database, for reading; see migrations/NNNN_*.sql.
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';

CREATE FUNCTION public.fence_holds(cell integer, expected bigint) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1835426156, cell);
  RETURN EXISTS (SELECT FROM cells WHERE cell_id = cell AND epoch = expected);
END
$$;

CREATE FUNCTION public.fill_model_search() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  SELECT username || '/' || NEW.name INTO NEW.search_title FROM accounts WHERE id = NEW.owner_id;
  NEW.search_words := setweight(search_vector(NEW.search_title), 'A')
    || setweight(search_vector(NEW.description), 'B') || setweight(search_vector(NEW.readme), 'D');
  RETURN NEW;
END
$$;

CREATE FUNCTION public.fill_search_of_owner() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  UPDATE models SET name = name WHERE owner_id = NEW.id;
  RETURN NULL;
END
$$;

CREATE FUNCTION public.ms_covered(busy int4multirange, low integer, high integer) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$
  SELECT COALESCE(sum(upper(r) - lower(r)), 0)::integer
  FROM unnest(busy * int4multirange(int4range(low, high))) AS r
$$;

CREATE FUNCTION public.ms_of_minute(at timestamp with time zone, minute timestamp with time zone) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$
  SELECT LEAST(60000, GREATEST(0, floor(extract(epoch FROM at - minute) * 1000)))::integer
$$;

CREATE FUNCTION public.next_config_seq() RETURNS bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1835427687, 0);
  RETURN nextval('config_seq');
END
$$;

CREATE FUNCTION public.notify_access() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

COMMENT ON FUNCTION public.notify_access() IS 'Says which account''s access has changed, on the channel mimeo_access.';

CREATE FUNCTION public.search_vector(body text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE
    AS $$
  SELECT to_tsvector('simple', t) || to_tsvector('english', t)
  FROM translate(left(body, 100000), '-_./', '    ') AS t
$$;

CREATE FUNCTION public.take_cell(cell integer, new_owner uuid, addr text, lease interval) RETURNS SETOF bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1835426156, cell);
  RETURN QUERY
    UPDATE cells SET owner_id = new_owner, owner_addr = addr, epoch = epoch + 1, lease_until = clock_timestamp() + lease
    WHERE cell_id = cell AND (owner_id IS NULL OR owner_id = new_owner OR lease_until <= clock_timestamp())
    RETURNING epoch;
END
$$;

CREATE TABLE public.account_limits (
    account_id bigint NOT NULL,
    create_per_minute bigint,
    create_burst bigint,
    read_per_minute bigint,
    other_per_minute bigint
);

COMMENT ON TABLE public.account_limits IS 'Limits of calls that differ from the installation''s. NULL: as everywhere; 0: none.';

COMMENT ON COLUMN public.account_limits.create_burst IS 'Creates at once; NULL: as many as in a minute.';

CREATE TABLE public.accounts (
    id bigint NOT NULL,
    type smallint NOT NULL,
    username text NOT NULL,
    name text NOT NULL,
    github_url text NOT NULL,
    avatar_url text NOT NULL,
    weight double precision NOT NULL,
    max_running integer NOT NULL,
    max_queued integer NOT NULL,
    webhook_secret text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    disabled_at timestamp with time zone,
    created_by bigint,
    file_secret text DEFAULT ('fsec_'::text || translate(rtrim(encode(sha256((((gen_random_uuid())::text || (gen_random_uuid())::text))::bytea), 'base64'::text), '='::text), '+/'::text, '-_'::text)) NOT NULL,
    CONSTRAINT accounts_weight_check CHECK ((weight > (0)::double precision))
);

COMMENT ON TABLE public.accounts IS 'Users and organizations: what owns models, deployments, predictions and tokens.';

COMMENT ON COLUMN public.accounts.type IS '0 user, 1 organization';

COMMENT ON COLUMN public.accounts.weight IS 'Share in fair queueing.';

COMMENT ON COLUMN public.accounts.max_running IS '0 = no limit';

COMMENT ON COLUMN public.accounts.disabled_at IS 'Since then none of its tokens works; NULL = it may be used.';

COMMENT ON COLUMN public.accounts.created_by IS 'Of an organization: the user who made it and whose limits of calls hold for it while it has none; NULL = the operator made it.';

COMMENT ON COLUMN public.accounts.file_secret IS 'Signs links to uploaded files; replaced with the webhook secret.';

ALTER TABLE public.accounts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.accounts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.active (
    id uuid NOT NULL,
    cell_id integer NOT NULL,
    target_id bigint NOT NULL,
    account_id bigint NOT NULL,
    model_id bigint NOT NULL,
    version_id bytea NOT NULL,
    release integer NOT NULL,
    prio smallint NOT NULL,
    retry_policy smallint NOT NULL,
    webhook_events smallint NOT NULL,
    is_training boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deadline_at timestamp with time zone,
    run_limit_ms bigint NOT NULL,
    st smallint NOT NULL,
    attempt integer NOT NULL,
    infra_failures integer DEFAULT 0 NOT NULL,
    output_seen boolean DEFAULT false NOT NULL,
    instance_id uuid,
    worker_id uuid,
    incarnation bigint DEFAULT 0 NOT NULL,
    assigned_at timestamp with time zone,
    started_at timestamp with time zone,
    cancel_at timestamp with time zone,
    source smallint DEFAULT 0 NOT NULL
)
WITH (fillfactor='45', autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');

COMMENT ON TABLE public.active IS 'One row per prediction that is not terminal; deleted in the transaction that inserts its result.';

COMMENT ON COLUMN public.active.version_id IS 'Of the instance of the last attempt, else the one that the input was checked against.';

COMMENT ON COLUMN public.active.webhook_events IS 'As in predictions, but 0 without a webhook.';

COMMENT ON COLUMN public.active.st IS '0 queued, 1 assigned, 2 processing';

COMMENT ON COLUMN public.active.attempt IS 'Counts assignments; names the attempt that runs when st > 0.';

COMMENT ON COLUMN public.active.cancel_at IS 'Somebody wants it canceled, since then.';

COMMENT ON COLUMN public.active.source IS 'As in predictions, for removals.';

CREATE TABLE public.audit_log (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
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

COMMENT ON TABLE public.audit_log IS 'Every change through the API, the command line and image pushes. No secrets; rows are only ever added, and removed by age.';

COMMENT ON COLUMN public.audit_log.account_id IS 'Whose thing was changed; NULL = the installation''s.';

COMMENT ON COLUMN public.audit_log.action IS 'Kind and verb: model.create';

COMMENT ON COLUMN public.audit_log.target IS 'What was changed, by its name: acme/hello';

COMMENT ON COLUMN public.audit_log.outcome IS '0 done, 1 refused, 2 failed or unknown';

COMMENT ON COLUMN public.audit_log.actor IS 'Who, in words that outlive renamed or removed rows.';

ALTER TABLE public.audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.cells (
    cell_id integer NOT NULL,
    owner_id uuid,
    owner_addr text DEFAULT ''::text NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    lease_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE public.cells IS 'Sets of workers, each owned by one scheduler by lease.';

COMMENT ON COLUMN public.cells.epoch IS 'Counts changes of the owner; fences what an earlier owner still writes.';

CREATE TABLE public.collection_models (
    collection_id bigint NOT NULL,
    model_id bigint NOT NULL,
    "position" integer NOT NULL
);

COMMENT ON TABLE public.collection_models IS 'What is in a collection, in the order of position, then of adding.';

CREATE TABLE public.collections (
    id bigint NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    full_description text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.collections IS 'Choices of models, made by operators.';

COMMENT ON COLUMN public.collections.full_description IS 'Markdown; empty = none.';

ALTER TABLE public.collections ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.collections_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE SEQUENCE public.config_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.contents (
    sha256 bytea NOT NULL,
    blob_key text NOT NULL,
    size_bytes bigint NOT NULL
);

COMMENT ON TABLE public.contents IS 'What lies in the blob store, each content once. A row is deleted when nothing refers to it any more, which its foreign keys prove.';

COMMENT ON COLUMN public.contents.blob_key IS 'Of the first copy that came; never changed.';

CREATE TABLE public.dead_blobs (
    blob_key text NOT NULL COLLATE pg_catalog."C"
);

COMMENT ON TABLE public.dead_blobs IS 'Blobs that no row names any more. A row goes after its blob is gone, so that no crash leaves a blob behind.';

CREATE TABLE public.deployment_releases (
    deployment_id bigint NOT NULL,
    number integer NOT NULL,
    version_id bytea NOT NULL,
    sku text NOT NULL,
    min_instances integer NOT NULL,
    max_instances integer NOT NULL,
    created_by bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    state smallint NOT NULL
);

COMMENT ON TABLE public.deployment_releases IS 'Every change of a deployment''s settings, numbered from 1.';

COMMENT ON COLUMN public.deployment_releases.state IS '0 rolling, 1 live, 2 superseded, 3 failed';

CREATE TABLE public.deployments (
    id bigint NOT NULL,
    owner_id bigint NOT NULL,
    name text NOT NULL,
    model_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone
);

COMMENT ON TABLE public.deployments IS 'Private fixed endpoints. A deleted one stays, because its predictions show its name.';

ALTER TABLE public.deployments ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.deployments_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.examples (
    model_id bigint NOT NULL,
    prediction_id uuid NOT NULL,
    account_id bigint NOT NULL,
    version_id bytea NOT NULL,
    added_at timestamp with time zone NOT NULL,
    source smallint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone NOT NULL,
    input text NOT NULL,
    output text NOT NULL,
    logs text NOT NULL,
    metrics text NOT NULL
);
ALTER TABLE ONLY public.examples ALTER COLUMN input SET COMPRESSION lz4;
ALTER TABLE ONLY public.examples ALTER COLUMN output SET COMPRESSION lz4;
ALTER TABLE ONLY public.examples ALTER COLUMN logs SET COMPRESSION lz4;

COMMENT ON TABLE public.examples IS 'Predictions that a model''s owner shows, with a copy of their content; their files are kept by kept_predictions.';

CREATE TABLE public.files (
    id uuid NOT NULL,
    account_id bigint NOT NULL,
    name text NOT NULL,
    content_type text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256_hex text NOT NULL,
    md5_hex text NOT NULL,
    metadata json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    content bytea
);

COMMENT ON TABLE public.files IS 'Uploaded files of accounts; removed with their content when they expire.';

COMMENT ON COLUMN public.files.metadata IS 'The JSON object that the uploader gave, as it was sent.';

COMMENT ON COLUMN public.files.expires_at IS 'NULL: kept until it is deleted.';

COMMENT ON COLUMN public.files.content IS 'NULL: from before contents, the blob is files/<id>.';

CREATE TABLE public.hardware (
    sku text NOT NULL,
    name text NOT NULL,
    "position" integer NOT NULL,
    cpu_milli bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    gpus bigint NOT NULL,
    gpu_memory_bytes bigint NOT NULL,
    scratch_bytes bigint NOT NULL,
    price_micros_per_second bigint NOT NULL,
    CONSTRAINT hardware_price_micros_per_second_check CHECK (((price_micros_per_second >= 0) AND (price_micros_per_second <= 1000000000)))
);

COMMENT ON TABLE public.hardware IS 'Classes of machine share that can be asked for, set by the operator.';

COMMENT ON COLUMN public.hardware."position" IS 'Order in listings.';

CREATE TABLE public.hardware_prices (
    sku text NOT NULL,
    since timestamp with time zone NOT NULL,
    micros_per_second bigint NOT NULL,
    CONSTRAINT hardware_prices_micros_per_second_check CHECK (((micros_per_second >= 0) AND (micros_per_second <= 1000000000)))
);

COMMENT ON TABLE public.hardware_prices IS 'Every price that a hardware class ever had; rows are only added.';

COMMENT ON COLUMN public.hardware_prices.since IS 'Minutes and runs that begin at or after it have this price.';

CREATE TABLE public.idempotency (
    account_id bigint NOT NULL,
    key text NOT NULL,
    day date NOT NULL,
    prediction_id uuid NOT NULL
)
PARTITION BY RANGE (day);

COMMENT ON TABLE public.idempotency IS 'Keys by which a repeated create is recognised, for the day of its first use and the next. Daily partitions.';

CREATE TABLE public.idempotency_default (
    account_id bigint NOT NULL,
    key text NOT NULL,
    day date NOT NULL,
    prediction_id uuid NOT NULL
);

COMMENT ON TABLE public.idempotency_default IS 'Rows for which no partition was made in time.';

CREATE TABLE public.instance_meters (
    instance_id uuid NOT NULL,
    billing smallint NOT NULL,
    payer_id bigint NOT NULL,
    sku text NOT NULL,
    model_id bigint NOT NULL,
    deployment_id bigint NOT NULL,
    kind smallint NOT NULL,
    began_at timestamp with time zone NOT NULL,
    ready_at timestamp with time zone,
    metered_to timestamp with time zone NOT NULL,
    sealed_to timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    is_ended boolean DEFAULT false NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE public.instance_meters IS 'How far each instance''s life is in usage_totals, and who pays for it. Forgotten with the records of its predictions.';

COMMENT ON COLUMN public.instance_meters.billing IS '0 the payer for its whole life, 1 callers for what runs, 2 the payer for the setup and callers for what runs';

COMMENT ON COLUMN public.instance_meters.sealed_to IS 'Minutes before it are final: their rows in instance_minutes are gone.';

COMMENT ON COLUMN public.instance_meters.is_ended IS 'metered_to is the end of its life.';

CREATE TABLE public.instance_minutes (
    instance_id uuid NOT NULL,
    minute timestamp with time zone NOT NULL,
    busy int4multirange DEFAULT '{}'::int4multirange NOT NULL,
    setup_ms integer DEFAULT 0 NOT NULL,
    idle_ms integer DEFAULT 0 NOT NULL,
    active_ms integer DEFAULT 0 NOT NULL,
    is_stale boolean DEFAULT false NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE public.instance_minutes IS 'The last hours of instances'' lives by the minute: what of them is in usage_totals.';

COMMENT ON COLUMN public.instance_minutes.busy IS 'Milliseconds of the minute in which something ran: a set, so that overlaps and repeats count once.';

COMMENT ON COLUMN public.instance_minutes.is_stale IS 'busy has grown since the times were counted.';

CREATE TABLE public.instances (
    id uuid NOT NULL,
    target_id bigint NOT NULL,
    version_id bytea NOT NULL,
    release integer NOT NULL,
    worker_id uuid NOT NULL,
    incarnation bigint NOT NULL,
    sku text NOT NULL,
    gpu_indices integer[] NOT NULL,
    state smallint NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    ready_at timestamp with time zone,
    detail text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    usage_kind smallint,
    payer_id bigint
);

COMMENT ON TABLE public.instances IS 'Running copies of versions, and what became of earlier ones.';

COMMENT ON COLUMN public.instances.state IS 'As enum InstanceState; from 90 on terminal.';

COMMENT ON COLUMN public.instances.created_at IS 'When it was ordered; of rows older than this column, when that was added.';

COMMENT ON COLUMN public.instances.usage_kind IS 'As usage_totals.kind: what it was ordered for. NULL: by a release that did not know.';

COMMENT ON COLUMN public.instances.payer_id IS 'Who pays for its life, or for its setup if it is a training''s; 0: nobody. Like usage_kind, whatever happens to the model or the training later.';

CREATE TABLE public.kept_predictions (
    id uuid NOT NULL
);

COMMENT ON TABLE public.kept_predictions IS 'Predictions that keep their data and record for as long as they are here, examples for one.';

CREATE TABLE public.memberships (
    account_id bigint NOT NULL,
    user_id bigint NOT NULL,
    role smallint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT memberships_role_check CHECK (((role >= 0) AND (role <= 4)))
);

COMMENT ON TABLE public.memberships IS 'Which users belong to which organizations.';

COMMENT ON COLUMN public.memberships.account_id IS 'The organization.';

COMMENT ON COLUMN public.memberships.role IS '0 owner, 1 admin, 2 developer, 3 viewer, 4 billing';

CREATE TABLE public.model_runs (
    model_id bigint NOT NULL,
    shard smallint NOT NULL,
    n bigint NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE public.model_runs IS 'How often a model ran: the sum over its shards, so that writers do not wait for each other.';

CREATE TABLE public.models (
    id bigint NOT NULL,
    owner_id bigint NOT NULL,
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
    latest_version_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    is_official boolean DEFAULT false NOT NULL,
    search_title text DEFAULT ''::text NOT NULL,
    search_words tsvector DEFAULT ''::tsvector NOT NULL
);

COMMENT ON TABLE public.models IS 'Models. A deleted one stays, because its predictions show its name.';

COMMENT ON COLUMN public.models.visibility IS '0 public, 1 private';

COMMENT ON COLUMN public.models.default_example IS 'The prediction_id of one of its examples.';

COMMENT ON COLUMN public.models.latest_version IS 'The newest ready version, kept here for listings.';

COMMENT ON COLUMN public.models.is_official IS 'Set by operators: its versions are not shown.';

COMMENT ON COLUMN public.models.search_title IS 'owner/name, for similarity.';

COMMENT ON COLUMN public.models.search_words IS 'What full text search looks at; kept by a trigger.';

ALTER TABLE public.models ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.output_files (
    prediction_id uuid NOT NULL,
    secret text NOT NULL,
    filename text NOT NULL,
    content bytea NOT NULL,
    md5_hex text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    content_type text DEFAULT ''::text NOT NULL
);

COMMENT ON TABLE public.output_files IS 'Files that predictions put out: what a delivery link opens. Removed with the data of their prediction.';

COMMENT ON COLUMN public.output_files.secret IS 'The part of the link''s token behind the prediction''s id.';

COMMENT ON COLUMN public.output_files.content_type IS 'As the worker gave it; empty: what the name says.';

CREATE TABLE public.payloads (
    id uuid NOT NULL,
    kind smallint NOT NULL,
    body text NOT NULL
)
PARTITION BY RANGE (id);
ALTER TABLE ONLY public.payloads ALTER COLUMN body SET COMPRESSION lz4;

COMMENT ON TABLE public.payloads IS 'Content of predictions. Six-hourly partitions: retention drops them whole.';

COMMENT ON COLUMN public.payloads.kind IS '0 input, 1 output, 2 logs, 3 input with its secrets redacted';

CREATE TABLE public.payloads_default (
    id uuid NOT NULL,
    kind smallint NOT NULL,
    body text NOT NULL
);
ALTER TABLE ONLY public.payloads_default ALTER COLUMN body SET COMPRESSION lz4;

COMMENT ON TABLE public.payloads_default IS 'Rows for which no partition was made in time.';

CREATE TABLE public.predictions (
    id uuid NOT NULL,
    account_id bigint NOT NULL,
    target_id bigint NOT NULL,
    model_id bigint NOT NULL,
    version_id bytea NOT NULL,
    deployment_id bigint,
    source smallint NOT NULL,
    prio smallint NOT NULL,
    retry_policy smallint NOT NULL,
    is_training boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deadline_at timestamp with time zone,
    run_limit_ms bigint NOT NULL,
    webhook text,
    webhook_events smallint NOT NULL,
    stream_token text,
    destination text
)
PARTITION BY RANGE (id);
ALTER TABLE ONLY public.predictions ALTER COLUMN account_id SET (n_distinct=200, n_distinct_inherited=200);

COMMENT ON TABLE public.predictions IS 'What was asked for. Inserted once, never changed. Daily partitions.';

COMMENT ON COLUMN public.predictions.version_id IS 'That the input was checked against; what ran is in active and results.';

COMMENT ON COLUMN public.predictions.webhook_events IS 'Bits: 1 start, 2 output, 4 logs, 8 completed, 16 named by the caller';

CREATE TABLE public.predictions_default (
    id uuid NOT NULL,
    account_id bigint NOT NULL,
    target_id bigint NOT NULL,
    model_id bigint NOT NULL,
    version_id bytea NOT NULL,
    deployment_id bigint,
    source smallint NOT NULL,
    prio smallint NOT NULL,
    retry_policy smallint NOT NULL,
    is_training boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deadline_at timestamp with time zone,
    run_limit_ms bigint NOT NULL,
    webhook text,
    webhook_events smallint NOT NULL,
    stream_token text,
    destination text
);
ALTER TABLE ONLY public.predictions_default ALTER COLUMN account_id SET (n_distinct=200);

COMMENT ON TABLE public.predictions_default IS 'Rows for which no partition was made in time.';

CREATE TABLE public.removals (
    due_at timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    account_id bigint NOT NULL,
    source smallint NOT NULL,
    completed_at timestamp with time zone NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');

COMMENT ON TABLE public.removals IS 'When each prediction that has ended loses its data; written with its result. Trainings are not here: they keep theirs until its partition is dropped.';

COMMENT ON COLUMN public.removals.due_at IS 'infinity: only when the partition is dropped.';

CREATE TABLE public.replicas (
    id uuid NOT NULL,
    role smallint NOT NULL,
    addr text NOT NULL,
    version text NOT NULL,
    lease_until timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE public.replicas IS 'Live processes and how to reach them.';

COMMENT ON COLUMN public.replicas.role IS '0 control plane, 1 scheduler';

CREATE TABLE public.results (
    id uuid NOT NULL,
    attempt integer NOT NULL,
    status smallint NOT NULL,
    version_id bytea NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone NOT NULL,
    error text,
    metrics text,
    instance_id uuid,
    billed_ms bigint NOT NULL
)
PARTITION BY RANGE (id);

COMMENT ON TABLE public.results IS 'How predictions ended. Inserted once, never changed: the primary key is the promise of exactly one result. Daily partitions.';

COMMENT ON COLUMN public.results.status IS '3 succeeded, 4 failed, 5 canceled, 6 aborted';

COMMENT ON COLUMN public.results.metrics IS 'JSON of the model''s own metrics, as text: never searched here.';

CREATE TABLE public.results_default (
    id uuid NOT NULL,
    attempt integer NOT NULL,
    status smallint NOT NULL,
    version_id bytea NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone NOT NULL,
    error text,
    metrics text,
    instance_id uuid,
    billed_ms bigint NOT NULL
);

COMMENT ON TABLE public.results_default IS 'Rows for which no partition was made in time.';

CREATE TABLE public.retention (
    account_id bigint NOT NULL,
    source smallint NOT NULL,
    seconds bigint
);

COMMENT ON TABLE public.retention IS 'How long predictions keep their data after their end. Account 0 is the default for accounts without a row.';

COMMENT ON COLUMN public.retention.source IS 'As in predictions: 0 api, 1 web';

COMMENT ON COLUMN public.retention.seconds IS 'NULL: until the partition of their content is dropped.';

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    md5 text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE public.schema_migrations IS 'Which migrations were applied.';

CREATE TABLE public.spend_limits (
    account_id bigint NOT NULL,
    by_operator_micros bigint,
    by_account_micros bigint,
    CONSTRAINT spend_limits_by_account_micros_check CHECK ((by_account_micros >= 0)),
    CONSTRAINT spend_limits_by_operator_micros_check CHECK ((by_operator_micros >= 0))
);

COMMENT ON TABLE public.spend_limits IS 'Most that accounts may spend in a calendar month (UTC), in millionths of the currency. NULL: no limit.';

CREATE TABLE public.targets (
    id bigint NOT NULL,
    kind smallint NOT NULL,
    deployment_id bigint,
    version_id bytea,
    sku text NOT NULL,
    cell_id integer NOT NULL,
    min_instances integer NOT NULL,
    max_instances integer NOT NULL,
    config_seq bigint NOT NULL
);

COMMENT ON TABLE public.targets IS 'What is queued and scaled as one.';

COMMENT ON COLUMN public.targets.kind IS '0 deployment, 1 version pool, 2 training pool';

COMMENT ON COLUMN public.targets.config_seq IS 'Grows with every change of what the target runs; commits in this order.';

ALTER TABLE public.targets ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.targets_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tokens (
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    prefix text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    disabled_at timestamp with time zone,
    last_used_at timestamp with time zone,
    scopes text DEFAULT '*'::text NOT NULL,
    created_by bigint
)
WITH (fillfactor='80');

COMMENT ON TABLE public.tokens IS 'API tokens, as SHA-256 of their text only.';

COMMENT ON COLUMN public.tokens.last_used_at IS 'Written at most once a minute.';

COMMENT ON COLUMN public.tokens.scopes IS 'What it may do: words with a blank between, ''*'' = everything.';

COMMENT ON COLUMN public.tokens.created_by IS 'Of an organization''s token: the member who made it and whose role bounds it; NULL = the operator made it.';

ALTER TABLE public.tokens ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.usage_hour (
    account_id bigint NOT NULL,
    hour timestamp with time zone NOT NULL,
    sku text NOT NULL,
    is_training boolean NOT NULL,
    shard smallint NOT NULL,
    billed_ms bigint NOT NULL,
    n bigint NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE public.usage_hour IS 'What accounts used, by hour: the sum over shards, so that writers do not wait for each other.';

CREATE TABLE public.usage_pending (
    account_id bigint NOT NULL,
    target_id bigint NOT NULL,
    model_id bigint NOT NULL,
    is_training boolean NOT NULL,
    instance_id uuid,
    completed_at timestamp with time zone NOT NULL,
    billed_ms bigint NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000', autovacuum_vacuum_cost_delay='0');

COMMENT ON TABLE public.usage_pending IS 'Ended predictions that are not in usage_totals yet. Written with the result; emptied every few seconds. No index: it is read from its beginning.';

CREATE TABLE public.usage_totals (
    account_id bigint NOT NULL,
    hour timestamp with time zone NOT NULL,
    sku text NOT NULL,
    model_id bigint NOT NULL,
    deployment_id bigint NOT NULL,
    kind smallint NOT NULL,
    setup_ms bigint NOT NULL,
    idle_ms bigint NOT NULL,
    active_ms bigint NOT NULL,
    setup_nanos bigint NOT NULL,
    idle_nanos bigint NOT NULL,
    active_nanos bigint NOT NULL,
    predictions bigint NOT NULL,
    ran_ms bigint NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE public.usage_totals IS 'What accounts used, by hour. Kept for ever.';

COMMENT ON COLUMN public.usage_totals.account_id IS 'Who pays; 0: nobody, it is the operator''s loss.';

COMMENT ON COLUMN public.usage_totals.deployment_id IS '0: none';

COMMENT ON COLUMN public.usage_totals.kind IS '0 deployment, 1 private model, 2 public model, 3 training, 4 from before metering';

COMMENT ON COLUMN public.usage_totals.active_nanos IS 'Billionths of the currency, as setup_nanos and idle_nanos: milliseconds times micro-units per second.';

COMMENT ON COLUMN public.usage_totals.ran_ms IS 'Sum of the predictions'' run times, however they were paid.';

CREATE TABLE public.version_deletions (
    version_id bytea NOT NULL,
    account_id bigint NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    claimed_until timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.version_deletions IS 'Deleted versions whose predictions are still being removed.';

COMMENT ON COLUMN public.version_deletions.account_id IS 'The owner: nobody else ran it.';

COMMENT ON COLUMN public.version_deletions.claimed_until IS 'A process is at it until then.';

CREATE TABLE public.version_users (
    version_id bytea NOT NULL,
    account_id bigint NOT NULL
);

COMMENT ON TABLE public.version_users IS 'Accounts other than the owner that ran a version, noted before the first time.';

CREATE TABLE public.versions (
    id bytea NOT NULL,
    model_id bigint NOT NULL,
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
    created_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.versions IS 'Immutable packaged images; the id is the SHA-256 of the image manifest.';

COMMENT ON COLUMN public.versions.state IS '0 ready, 1 refused (no model; refusal says why), 2 deleted';

COMMENT ON COLUMN public.versions.openapi_schema IS 'JSON as text: the image''s own bytes, never searched here.';

CREATE TABLE public.webhook_attempts (
    id uuid NOT NULL,
    delivery_id text NOT NULL,
    n integer NOT NULL,
    at timestamp with time zone NOT NULL,
    took_ms bigint NOT NULL,
    request_headers text,
    request_body text,
    request_bytes bigint NOT NULL,
    response_status integer NOT NULL,
    response_headers text,
    response_body text,
    error text
)
PARTITION BY RANGE (id);
ALTER TABLE ONLY public.webhook_attempts ALTER COLUMN request_body SET COMPRESSION lz4;
ALTER TABLE ONLY public.webhook_attempts ALTER COLUMN response_body SET COMPRESSION lz4;

COMMENT ON TABLE public.webhook_attempts IS 'What was sent and answered: content of predictions, and dropped with it. Six-hourly partitions, as those of payloads.';

COMMENT ON COLUMN public.webhook_attempts.id IS 'The prediction.';

CREATE TABLE public.webhook_attempts_default (
    id uuid NOT NULL,
    delivery_id text NOT NULL,
    n integer NOT NULL,
    at timestamp with time zone NOT NULL,
    took_ms bigint NOT NULL,
    request_headers text,
    request_body text,
    request_bytes bigint NOT NULL,
    response_status integer NOT NULL,
    response_headers text,
    response_body text,
    error text
);
ALTER TABLE ONLY public.webhook_attempts_default ALTER COLUMN request_body SET COMPRESSION lz4;
ALTER TABLE ONLY public.webhook_attempts_default ALTER COLUMN response_body SET COMPRESSION lz4;

COMMENT ON TABLE public.webhook_attempts_default IS 'Rows for which no partition was made in time.';

CREATE TABLE public.webhook_deliveries (
    row_number bigint NOT NULL,
    id text NOT NULL,
    account_id bigint NOT NULL,
    prediction_id uuid NOT NULL,
    event smallint NOT NULL,
    url text NOT NULL,
    state smallint NOT NULL,
    attempts integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    next_at timestamp with time zone,
    response_status integer NOT NULL,
    error text
)
WITH (fillfactor='80');

COMMENT ON TABLE public.webhook_deliveries IS 'Webhooks that were sent, without their content. Swept by age and by number per account.';

COMMENT ON COLUMN public.webhook_deliveries.id IS 'The webhook-id header.';

COMMENT ON COLUMN public.webhook_deliveries.state IS '0 pending, 1 delivered, 2 failed';

COMMENT ON COLUMN public.webhook_deliveries.response_status IS 'Of the newest attempt; 0 = no answer';

ALTER TABLE public.webhook_deliveries ALTER COLUMN row_number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_deliveries_row_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE UNLOGGED TABLE public.webhook_holds (
    prediction_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    until timestamp with time zone NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE public.webhook_holds IS 'Which control plane may send output and logs of a running prediction; completed waits for it.';

CREATE TABLE public.webhook_outbox (
    id bigint NOT NULL,
    prediction_id uuid NOT NULL,
    event smallint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    delivery_id text,
    claims integer DEFAULT 0 NOT NULL,
    is_claimed boolean DEFAULT false NOT NULL
)
WITH (fillfactor='80');

COMMENT ON TABLE public.webhook_outbox IS 'Webhooks still to be delivered, written with the change of state that they tell of.';

COMMENT ON COLUMN public.webhook_outbox.event IS '1 start, 2 output, 4 logs, 8 completed; 2 and 4 only when asked for again, or last because 8 is not wanted';

COMMENT ON COLUMN public.webhook_outbox.delivery_id IS 'The webhook-id of what is sent again on request; NULL for what is owed anyway.';

COMMENT ON COLUMN public.webhook_outbox.claims IS 'How often it was claimed: who settles it names the claim, and an older one changes nothing.';

COMMENT ON COLUMN public.webhook_outbox.is_claimed IS 'Until due_at somebody is sending it; else due_at is when it is to be sent.';

ALTER TABLE public.webhook_outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.webhook_secrets (
    account_id bigint NOT NULL,
    previous text NOT NULL,
    until timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.webhook_secrets IS 'Secrets that were replaced and go on signing for a while, beside accounts.webhook_secret.';

CREATE TABLE public.worker_tokens (
    id bigint NOT NULL,
    hash bytea NOT NULL,
    name text NOT NULL,
    cell_id integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    disabled_at timestamp with time zone
);

COMMENT ON TABLE public.worker_tokens IS 'Join tokens of workers, as SHA-256 of their text only.';

ALTER TABLE public.worker_tokens ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.worker_tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.workers (
    id uuid NOT NULL,
    cell_id integer NOT NULL,
    incarnation bigint NOT NULL,
    hostname text NOT NULL,
    inventory jsonb NOT NULL,
    state smallint NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.workers IS 'Machines that run instances; changes of state only.';

COMMENT ON COLUMN public.workers.incarnation IS 'Counts registrations; raised when a worker that was given up comes back.';

COMMENT ON COLUMN public.workers.state IS '0 ready, 1 draining, 2 lost, 3 gone';

ALTER TABLE ONLY public.idempotency ATTACH PARTITION public.idempotency_default DEFAULT;

ALTER TABLE ONLY public.payloads ATTACH PARTITION public.payloads_default DEFAULT;

ALTER TABLE ONLY public.predictions ATTACH PARTITION public.predictions_default DEFAULT;

ALTER TABLE ONLY public.results ATTACH PARTITION public.results_default DEFAULT;

ALTER TABLE ONLY public.webhook_attempts ATTACH PARTITION public.webhook_attempts_default DEFAULT;

ALTER TABLE ONLY public.account_limits
    ADD CONSTRAINT account_limits_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_username_key UNIQUE (username);

ALTER TABLE ONLY public.active
    ADD CONSTRAINT active_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.cells
    ADD CONSTRAINT cells_pkey PRIMARY KEY (cell_id);

ALTER TABLE ONLY public.collection_models
    ADD CONSTRAINT collection_models_pkey PRIMARY KEY (collection_id, model_id);

ALTER TABLE ONLY public.collections
    ADD CONSTRAINT collections_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.collections
    ADD CONSTRAINT collections_slug_key UNIQUE (slug);

ALTER TABLE ONLY public.contents
    ADD CONSTRAINT contents_blob_key_key UNIQUE (blob_key);

ALTER TABLE ONLY public.contents
    ADD CONSTRAINT contents_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY public.dead_blobs
    ADD CONSTRAINT dead_blobs_pkey PRIMARY KEY (blob_key);

ALTER TABLE ONLY public.deployment_releases
    ADD CONSTRAINT deployment_releases_pkey PRIMARY KEY (deployment_id, number);

ALTER TABLE ONLY public.deployments
    ADD CONSTRAINT deployments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.examples
    ADD CONSTRAINT examples_pkey PRIMARY KEY (model_id, prediction_id);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.hardware
    ADD CONSTRAINT hardware_pkey PRIMARY KEY (sku);

ALTER TABLE ONLY public.hardware_prices
    ADD CONSTRAINT hardware_prices_pkey PRIMARY KEY (sku, since);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (account_id, key, day);

ALTER TABLE ONLY public.idempotency_default
    ADD CONSTRAINT idempotency_default_pkey PRIMARY KEY (account_id, key, day);

ALTER TABLE ONLY public.instance_meters
    ADD CONSTRAINT instance_meters_pkey PRIMARY KEY (instance_id);

ALTER TABLE ONLY public.instance_minutes
    ADD CONSTRAINT instance_minutes_pkey PRIMARY KEY (instance_id, minute);

ALTER TABLE ONLY public.instances
    ADD CONSTRAINT instances_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.kept_predictions
    ADD CONSTRAINT kept_predictions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (account_id, user_id);

ALTER TABLE ONLY public.model_runs
    ADD CONSTRAINT model_runs_pkey PRIMARY KEY (model_id, shard);

ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.output_files
    ADD CONSTRAINT output_files_pkey PRIMARY KEY (prediction_id, secret);

ALTER TABLE ONLY public.payloads
    ADD CONSTRAINT payloads_pkey PRIMARY KEY (id, kind);

ALTER TABLE ONLY public.payloads_default
    ADD CONSTRAINT payloads_default_pkey PRIMARY KEY (id, kind);

ALTER TABLE ONLY public.predictions
    ADD CONSTRAINT predictions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.predictions_default
    ADD CONSTRAINT predictions_default_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.removals
    ADD CONSTRAINT removals_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.replicas
    ADD CONSTRAINT replicas_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.results
    ADD CONSTRAINT results_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.results_default
    ADD CONSTRAINT results_default_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (account_id, source);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.spend_limits
    ADD CONSTRAINT spend_limits_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.targets
    ADD CONSTRAINT targets_config_seq_key UNIQUE (config_seq);

ALTER TABLE ONLY public.targets
    ADD CONSTRAINT targets_deployment_id_key UNIQUE (deployment_id);

ALTER TABLE ONLY public.targets
    ADD CONSTRAINT targets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.usage_hour
    ADD CONSTRAINT usage_hour_pkey PRIMARY KEY (account_id, hour, sku, is_training, shard);

ALTER TABLE ONLY public.usage_totals
    ADD CONSTRAINT usage_totals_pkey PRIMARY KEY (account_id, hour, sku, model_id, deployment_id, kind);

ALTER TABLE ONLY public.version_deletions
    ADD CONSTRAINT version_deletions_pkey PRIMARY KEY (version_id);

ALTER TABLE ONLY public.version_users
    ADD CONSTRAINT version_users_pkey PRIMARY KEY (version_id, account_id);

ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook_attempts
    ADD CONSTRAINT webhook_attempts_pkey PRIMARY KEY (id, delivery_id, n);

ALTER TABLE ONLY public.webhook_attempts_default
    ADD CONSTRAINT webhook_attempts_default_pkey PRIMARY KEY (id, delivery_id, n);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_id_key UNIQUE (id);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (row_number);

ALTER TABLE ONLY public.webhook_holds
    ADD CONSTRAINT webhook_holds_pkey PRIMARY KEY (prediction_id);

ALTER TABLE ONLY public.webhook_outbox
    ADD CONSTRAINT webhook_outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook_secrets
    ADD CONSTRAINT webhook_secrets_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.worker_tokens
    ADD CONSTRAINT worker_tokens_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.worker_tokens
    ADD CONSTRAINT worker_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);

CREATE INDEX accounts_created_by ON public.accounts USING btree (created_by) WHERE (created_by IS NOT NULL);

CREATE INDEX audit_log_account ON public.audit_log USING btree (account_id, id);

CREATE INDEX audit_log_at ON public.audit_log USING btree (at);

CREATE INDEX collection_models_model ON public.collection_models USING btree (model_id);

CREATE INDEX deployment_releases_version ON public.deployment_releases USING btree (version_id);

CREATE UNIQUE INDEX deployments_name ON public.deployments USING btree (owner_id, name) WHERE (deleted_at IS NULL);

CREATE INDEX examples_order ON public.examples USING btree (model_id, added_at, prediction_id);

CREATE UNIQUE INDEX examples_prediction ON public.examples USING btree (prediction_id);

CREATE INDEX examples_version ON public.examples USING btree (version_id);

CREATE INDEX files_by_account ON public.files USING btree (account_id, id DESC);

CREATE INDEX files_by_expiry ON public.files USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX files_content ON public.files USING btree (content) WHERE (content IS NOT NULL);

CREATE INDEX instance_meters_open ON public.instance_meters USING btree (instance_id) WHERE (NOT is_ended);

CREATE INDEX instance_minutes_minute ON public.instance_minutes USING btree (minute);

CREATE INDEX instance_minutes_stale ON public.instance_minutes USING btree (instance_id) WHERE is_stale;

CREATE INDEX instances_live ON public.instances USING btree (worker_id) WHERE (state < 90);

CREATE INDEX instances_target ON public.instances USING btree (target_id, id DESC);

CREATE INDEX memberships_user ON public.memberships USING btree (user_id, account_id);

CREATE UNIQUE INDEX models_name ON public.models USING btree (owner_id, name) WHERE (deleted_at IS NULL);

CREATE INDEX models_public_by_creation ON public.models USING btree (created_at, id) WHERE ((deleted_at IS NULL) AND (visibility = 0));

CREATE INDEX models_public_by_version ON public.models USING btree (COALESCE(latest_version_at, created_at), id) WHERE ((deleted_at IS NULL) AND (visibility = 0));

CREATE INDEX models_search_exact ON public.models USING btree (search_title) WHERE (deleted_at IS NULL);

CREATE INDEX models_search_name ON public.models USING btree (name) WHERE (deleted_at IS NULL);

CREATE INDEX models_search_title ON public.models USING gin (search_title public.gin_trgm_ops) WHERE (deleted_at IS NULL);

CREATE INDEX models_search_words ON public.models USING gin (search_words) WHERE (deleted_at IS NULL);

CREATE INDEX output_files_content ON public.output_files USING btree (content);

CREATE INDEX predictions_account ON ONLY public.predictions USING btree (account_id, id DESC);

CREATE INDEX predictions_default_account_id_id_idx ON public.predictions_default USING btree (account_id, id DESC);

CREATE INDEX predictions_training ON ONLY public.predictions USING btree (account_id, id DESC) WHERE is_training;

CREATE INDEX predictions_default_account_id_id_idx1 ON public.predictions_default USING btree (account_id, id DESC) WHERE is_training;

CREATE INDEX predictions_web ON ONLY public.predictions USING btree (account_id, id DESC) WHERE (source = 1);

CREATE INDEX predictions_default_account_id_id_idx2 ON public.predictions_default USING btree (account_id, id DESC) WHERE (source = 1);

CREATE INDEX predictions_deployment ON ONLY public.predictions USING btree (deployment_id, id DESC) WHERE (deployment_id IS NOT NULL);

CREATE INDEX predictions_default_deployment_id_id_idx ON public.predictions_default USING btree (deployment_id, id DESC) WHERE (deployment_id IS NOT NULL);

CREATE INDEX removals_account ON public.removals USING btree (account_id, source, id);

COMMENT ON INDEX public.removals_account IS 'For changes of a rule, which move what has ended already.';

CREATE INDEX removals_due ON public.removals USING btree (due_at, id);

CREATE INDEX targets_changes ON public.targets USING btree (cell_id, config_seq);

CREATE UNIQUE INDEX targets_pool ON public.targets USING btree (version_id, sku) WHERE (kind = 1);

CREATE UNIQUE INDEX targets_training ON public.targets USING btree (version_id, sku) WHERE (kind = 2);

CREATE INDEX tokens_account ON public.tokens USING btree (account_id, id);

CREATE INDEX tokens_created_by ON public.tokens USING btree (created_by) WHERE (created_by IS NOT NULL);

CREATE INDEX usage_hour_hour ON public.usage_hour USING btree (hour);

CREATE INDEX usage_totals_hour ON public.usage_totals USING btree (hour);

CREATE INDEX versions_model ON public.versions USING btree (model_id, created_at DESC);

CREATE INDEX webhook_deliveries_account ON public.webhook_deliveries USING btree (account_id, row_number DESC);

CREATE INDEX webhook_deliveries_created ON public.webhook_deliveries USING btree (created_at);

CREATE INDEX webhook_deliveries_prediction ON public.webhook_deliveries USING btree (prediction_id);

CREATE UNIQUE INDEX webhook_outbox_delivery ON public.webhook_outbox USING btree (delivery_id) WHERE (delivery_id IS NOT NULL);

CREATE INDEX webhook_outbox_due ON public.webhook_outbox USING btree (due_at);

CREATE INDEX webhook_outbox_prediction ON public.webhook_outbox USING btree (prediction_id);

ALTER INDEX public.idempotency_pkey ATTACH PARTITION public.idempotency_default_pkey;

ALTER INDEX public.payloads_pkey ATTACH PARTITION public.payloads_default_pkey;

ALTER INDEX public.predictions_account ATTACH PARTITION public.predictions_default_account_id_id_idx;

ALTER INDEX public.predictions_training ATTACH PARTITION public.predictions_default_account_id_id_idx1;

ALTER INDEX public.predictions_web ATTACH PARTITION public.predictions_default_account_id_id_idx2;

ALTER INDEX public.predictions_deployment ATTACH PARTITION public.predictions_default_deployment_id_id_idx;

ALTER INDEX public.predictions_pkey ATTACH PARTITION public.predictions_default_pkey;

ALTER INDEX public.results_pkey ATTACH PARTITION public.results_default_pkey;

ALTER INDEX public.webhook_attempts_pkey ATTACH PARTITION public.webhook_attempts_default_pkey;

CREATE TRIGGER accounts_access AFTER UPDATE OF disabled_at ON public.accounts FOR EACH ROW WHEN ((old.disabled_at IS DISTINCT FROM new.disabled_at)) EXECUTE FUNCTION public.notify_access();

CREATE TRIGGER accounts_search AFTER UPDATE OF username ON public.accounts FOR EACH ROW WHEN ((old.username IS DISTINCT FROM new.username)) EXECUTE FUNCTION public.fill_search_of_owner();

CREATE TRIGGER memberships_access AFTER INSERT OR DELETE OR UPDATE ON public.memberships FOR EACH ROW EXECUTE FUNCTION public.notify_access();

CREATE TRIGGER models_search BEFORE INSERT OR UPDATE OF owner_id, name, description, readme ON public.models FOR EACH ROW EXECUTE FUNCTION public.fill_model_search();

CREATE TRIGGER tokens_access AFTER UPDATE OF disabled_at, expires_at, scopes, created_by ON public.tokens FOR EACH ROW EXECUTE FUNCTION public.notify_access();

CREATE TRIGGER tokens_access_gone AFTER DELETE ON public.tokens FOR EACH ROW EXECUTE FUNCTION public.notify_access();

ALTER TABLE ONLY public.account_limits
    ADD CONSTRAINT account_limits_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.collection_models
    ADD CONSTRAINT collection_models_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES public.collections(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.collection_models
    ADD CONSTRAINT collection_models_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.models(id);

ALTER TABLE ONLY public.deployment_releases
    ADD CONSTRAINT deployment_releases_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.deployment_releases
    ADD CONSTRAINT deployment_releases_deployment_id_fkey FOREIGN KEY (deployment_id) REFERENCES public.deployments(id);

ALTER TABLE ONLY public.deployment_releases
    ADD CONSTRAINT deployment_releases_version_id_fkey FOREIGN KEY (version_id) REFERENCES public.versions(id);

ALTER TABLE ONLY public.deployments
    ADD CONSTRAINT deployments_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.models(id);

ALTER TABLE ONLY public.deployments
    ADD CONSTRAINT deployments_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.examples
    ADD CONSTRAINT examples_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.models(id);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_content_fkey FOREIGN KEY (content) REFERENCES public.contents(sha256);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.output_files
    ADD CONSTRAINT output_files_content_fkey FOREIGN KEY (content) REFERENCES public.contents(sha256);

ALTER TABLE ONLY public.spend_limits
    ADD CONSTRAINT spend_limits_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.targets
    ADD CONSTRAINT targets_deployment_id_fkey FOREIGN KEY (deployment_id) REFERENCES public.deployments(id);

ALTER TABLE ONLY public.targets
    ADD CONSTRAINT targets_version_id_fkey FOREIGN KEY (version_id) REFERENCES public.versions(id);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.version_deletions
    ADD CONSTRAINT version_deletions_version_id_fkey FOREIGN KEY (version_id) REFERENCES public.versions(id);

ALTER TABLE ONLY public.version_users
    ADD CONSTRAINT version_users_version_id_fkey FOREIGN KEY (version_id) REFERENCES public.versions(id);

ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.models(id);

ALTER TABLE ONLY public.webhook_secrets
    ADD CONSTRAINT webhook_secrets_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id);
