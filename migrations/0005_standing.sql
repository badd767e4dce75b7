-- Where sessions stand, and what they say while Redis refuses it.

ALTER TABLE live_sessions
    -- Everything before is stored: the end of the last stored final, or of silence after it.
    ADD COLUMN covered_ms bigint NOT NULL DEFAULT 0,
    -- The number of the last stored final.
    ADD COLUMN last_n bigint NOT NULL DEFAULT 0,
    -- Both again with all else that the next owner goes on from, sealed.
    ADD COLUMN bookmark text,
    -- The fence of the owner that left it; fence is that of the last owner.
    ADD COLUMN marked_by bigint NOT NULL DEFAULT 0,
    ADD COLUMN marked_at timestamp;

-- What a room is to be told once Redis takes it. No reference to live_sessions: records live an hour,
-- and must not hold up who writes usage.
CREATE TABLE room_records (
    session_id uuid NOT NULL,
    n bigint NOT NULL,
    room text NOT NULL,
    account text NOT NULL,
    fence bigint NOT NULL,
    body text NOT NULL,
    said_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    PRIMARY KEY (session_id, n)
);

CREATE INDEX ix_room_records_said_at ON room_records (said_at);

-- Audio without a transcript; its n is one of the session's like those of finals.
CREATE TABLE session_gaps (
    session_id uuid NOT NULL REFERENCES session_transcripts (session_id) ON DELETE CASCADE,
    n integer NOT NULL,
    from_ms bigint NOT NULL,
    to_ms bigint NOT NULL,
    reason text NOT NULL,
    created_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    PRIMARY KEY (session_id, n)
);
