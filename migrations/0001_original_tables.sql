-- The tables of the original, made where they are missing and completed where they are not.
-- Existing rows stay as they are. The original keeps its defaults in its own code; ours are in the
-- database too, and none of them stands in the way of its inserts. Timestamps have no zone: UTC.

CREATE TABLE IF NOT EXISTS users (
    id integer PRIMARY KEY,
    email varchar(120),
    password_hash varchar(128),
    first_name varchar(50),
    last_name varchar(50),
    company varchar(100),
    plan varchar(20),
    is_active boolean,
    email_verified boolean,
    created_at timestamp,
    last_login timestamp,
    api_calls_month integer,
    audio_minutes_month double precision
);

CREATE TABLE IF NOT EXISTS api_keys (
    id integer PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id),
    name varchar(100) NOT NULL,
    key_hash varchar(64) NOT NULL,
    key_prefix varchar(20) NOT NULL,
    is_active boolean,
    last_used timestamp,
    usage_count integer,
    created_at timestamp,
    expires_at timestamp
);

CREATE TABLE IF NOT EXISTS usage_logs (
    id bigint PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id),
    service varchar(50) NOT NULL,
    endpoint varchar(100) NOT NULL,
    audio_duration_seconds double precision,
    tokens_used integer,
    characters_processed integer,
    cost_usd double precision,
    created_at timestamp,
    ip_address varchar(45),
    user_agent varchar(255)
);

CREATE TABLE IF NOT EXISTS token_blacklist (
    id integer PRIMARY KEY,
    jti varchar(36) NOT NULL,
    token_type varchar(10) NOT NULL,
    user_id varchar(255) NOT NULL,
    revoked_at timestamp NOT NULL,
    expires_at timestamp NOT NULL
);

CREATE TABLE IF NOT EXISTS jobs (
    id integer PRIMARY KEY,
    user_id varchar(255) NOT NULL,
    type varchar(50) NOT NULL,
    status varchar(50) NOT NULL,
    input_ref text NOT NULL,
    error_message text,
    created_at timestamp NOT NULL,
    completed_at timestamp
);

CREATE TABLE IF NOT EXISTS artifacts (
    id integer PRIMARY KEY,
    job_id integer NOT NULL REFERENCES jobs (id),
    kind varchar(50) NOT NULL,
    storage_ref text NOT NULL
);

-- Columns that an older or half-made table may lack; the rows that are there get the default too.
ALTER TABLE users
    ADD COLUMN IF NOT EXISTS email varchar(120),
    ADD COLUMN IF NOT EXISTS password_hash varchar(128),
    ADD COLUMN IF NOT EXISTS first_name varchar(50),
    ADD COLUMN IF NOT EXISTS last_name varchar(50),
    ADD COLUMN IF NOT EXISTS company varchar(100),
    ADD COLUMN IF NOT EXISTS plan varchar(20) DEFAULT 'free',
    ADD COLUMN IF NOT EXISTS is_active boolean DEFAULT true,
    ADD COLUMN IF NOT EXISTS email_verified boolean DEFAULT false,
    ADD COLUMN IF NOT EXISTS created_at timestamp,
    ADD COLUMN IF NOT EXISTS last_login timestamp,
    ADD COLUMN IF NOT EXISTS api_calls_month integer DEFAULT 0,
    ADD COLUMN IF NOT EXISTS audio_minutes_month double precision DEFAULT 0;
ALTER TABLE api_keys
    ADD COLUMN IF NOT EXISTS is_active boolean DEFAULT true,
    ADD COLUMN IF NOT EXISTS last_used timestamp,
    ADD COLUMN IF NOT EXISTS usage_count integer DEFAULT 0,
    ADD COLUMN IF NOT EXISTS created_at timestamp,
    ADD COLUMN IF NOT EXISTS expires_at timestamp;
ALTER TABLE usage_logs
    ADD COLUMN IF NOT EXISTS audio_duration_seconds double precision,
    ADD COLUMN IF NOT EXISTS tokens_used integer,
    ADD COLUMN IF NOT EXISTS characters_processed integer,
    ADD COLUMN IF NOT EXISTS cost_usd double precision,
    ADD COLUMN IF NOT EXISTS created_at timestamp,
    ADD COLUMN IF NOT EXISTS ip_address varchar(45),
    ADD COLUMN IF NOT EXISTS user_agent varchar(255);

CREATE UNIQUE INDEX IF NOT EXISTS ix_users_email ON users (email);
CREATE INDEX IF NOT EXISTS ix_api_keys_key_hash ON api_keys (key_hash);
CREATE UNIQUE INDEX IF NOT EXISTS ix_token_blacklist_jti ON token_blacklist (jti);
CREATE INDEX IF NOT EXISTS ix_token_blacklist_user_id ON token_blacklist (user_id);
CREATE INDEX IF NOT EXISTS ix_jobs_user_id ON jobs (user_id);
CREATE INDEX IF NOT EXISTS ix_artifacts_job_id ON artifacts (job_id);

ALTER TABLE users
    ALTER COLUMN plan SET DEFAULT 'free',
    ALTER COLUMN is_active SET DEFAULT true,
    ALTER COLUMN email_verified SET DEFAULT false,
    ALTER COLUMN created_at SET DEFAULT timezone('utc', now()),
    ALTER COLUMN api_calls_month SET DEFAULT 0,
    ALTER COLUMN audio_minutes_month SET DEFAULT 0,
    -- An Auth0 account has no password here, and maybe no e-mail address.
    ALTER COLUMN email DROP NOT NULL,
    ALTER COLUMN password_hash DROP NOT NULL;
ALTER TABLE api_keys
    ALTER COLUMN is_active SET DEFAULT true,
    ALTER COLUMN usage_count SET DEFAULT 0,
    ALTER COLUMN created_at SET DEFAULT timezone('utc', now());
ALTER TABLE usage_logs
    ALTER COLUMN created_at SET DEFAULT timezone('utc', now());
ALTER TABLE token_blacklist
    ALTER COLUMN revoked_at SET DEFAULT timezone('utc', now());
ALTER TABLE jobs
    ALTER COLUMN status SET DEFAULT 'queued',
    ALTER COLUMN created_at SET DEFAULT timezone('utc', now());

-- Millions of live checkpoints outgrow an integer. Rewriting is free only while there is no row.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM usage_logs) THEN
        ALTER TABLE usage_logs ALTER COLUMN id TYPE bigint;
    END IF;
END
$$;

-- Every id gets a sequence (of its column's own width) that stands past the greatest id and is
-- never set back, since ids of deleted rows live on in API keys.
DO $$
DECLARE
    name text;
    counter text;
    width text;
    greatest_id bigint;
    next_id bigint;
BEGIN
    FOREACH name IN ARRAY
        ARRAY['users', 'api_keys', 'usage_logs', 'token_blacklist', 'jobs', 'artifacts']
    LOOP
        SELECT format_type(atttypid, NULL) INTO width
        FROM pg_attribute WHERE attrelid = name::regclass AND attname = 'id';
        counter := pg_get_serial_sequence(name, 'id');
        IF counter IS NULL THEN
            counter := quote_ident(name || '_id_seq');
            EXECUTE format('CREATE SEQUENCE IF NOT EXISTS %s', counter);
            EXECUTE format('ALTER SEQUENCE %s OWNED BY %I.id', counter, name);
            EXECUTE format('ALTER TABLE %I ALTER COLUMN id SET DEFAULT nextval(%L)', name, counter);
        END IF;
        EXECUTE format('ALTER SEQUENCE %s AS %s', counter, width);
        EXECUTE format('SELECT coalesce(max(id), 0) FROM %I', name) INTO greatest_id;
        EXECUTE format('SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM %s', counter)
            INTO next_id;
        PERFORM setval(counter, greatest(greatest_id + 1, next_id), false);
    END LOOP;
END
$$;
