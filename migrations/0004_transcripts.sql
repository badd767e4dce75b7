-- Transcripts of live sessions that asked to have them kept.

-- A table of its own beside live_sessions, which usage writes: each has one writer, and neither
-- waits for the other's rows.
CREATE TABLE session_transcripts (
    session_id uuid PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id),
    -- Finals that were said; where session_finals has fewer, some were lost.
    finals integer NOT NULL DEFAULT 0,
    -- Audio before this is in finals, or was silence.
    audio_ms bigint NOT NULL DEFAULT 0,
    -- How the session ended: finished, or an error's code. Null while it runs, and for ever if its
    -- replica was killed.
    outcome text,
    created_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    ended_at timestamp,
    -- Null: kept until somebody deletes it.
    expires_at timestamp,
    deleted_at timestamp
);

CREATE INDEX ix_session_transcripts_expires_at ON session_transcripts (expires_at)
    WHERE expires_at IS NOT NULL;

CREATE TABLE session_finals (
    session_id uuid NOT NULL REFERENCES session_transcripts (session_id) ON DELETE CASCADE,
    n integer NOT NULL,
    start_ms bigint NOT NULL,
    end_ms bigint NOT NULL,
    text text NOT NULL,
    confidence real NOT NULL,
    words jsonb NOT NULL DEFAULT '[]',
    -- measured or estimated
    timing text NOT NULL,
    speaker integer,
    channel integer,
    language text NOT NULL,
    provider text NOT NULL,
    created_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    PRIMARY KEY (session_id, n)
);
