-- Live sessions, and the usage that is billed under them.

CREATE TABLE live_sessions (
    id uuid PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id),
    provider text NOT NULL,
    model text NOT NULL,
    language text NOT NULL,
    options jsonb NOT NULL DEFAULT '{}',
    fence bigint NOT NULL DEFAULT 0,
    -- Audio up to here is in usage_logs; it only ever grows.
    billed_until_ms bigint NOT NULL DEFAULT 0,
    started_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    ended_at timestamp
);

CREATE INDEX ix_live_sessions_user_id ON live_sessions (user_id, started_at);

-- All nullable: the original still inserts rows without them.
ALTER TABLE usage_logs
    ADD COLUMN session_id uuid,
    ADD COLUMN range_start_ms bigint,
    ADD COLUMN range_end_ms bigint,
    ADD COLUMN idempotency_key text,
    ADD COLUMN provider text,
    ADD COLUMN model text,
    ADD COLUMN language text,
    ADD COLUMN diarize boolean,
    ADD COLUMN channels smallint,
    ADD COLUMN billed_channels smallint,
    -- What the user is billed decides; cost_usd is derived from it.
    ADD COLUMN cost_micros bigint,
    ADD COLUMN provider_cost_micros bigint,
    ADD COLUMN rate_card text,
    ADD CONSTRAINT usage_logs_range CHECK (range_start_ms < range_end_ms);

CREATE UNIQUE INDEX ix_usage_logs_idempotency_key ON usage_logs (idempotency_key);
CREATE INDEX ix_usage_logs_user_id_created_at ON usage_logs (user_id, created_at);
CREATE INDEX ix_usage_logs_session_id ON usage_logs (session_id) WHERE session_id IS NOT NULL;

-- One row a live session; one REST act is one row of usage_logs already.
CREATE VIEW usage_sessions AS
SELECT
    session_id,
    user_id,
    min(service) AS service,
    min(endpoint) AS endpoint,
    min(provider) AS provider,
    min(model) AS model,
    min(language) AS language,
    count(*) AS checkpoints,
    sum(range_end_ms - range_start_ms) AS audio_ms,
    sum(audio_duration_seconds) AS audio_duration_seconds,
    sum(cost_micros) AS cost_micros,
    sum(provider_cost_micros) AS provider_cost_micros,
    sum(cost_usd) AS cost_usd,
    min(created_at) AS first_at,
    max(created_at) AS last_at
FROM usage_logs
WHERE session_id IS NOT NULL
GROUP BY session_id, user_id;
