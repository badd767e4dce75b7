-- Whose end of a session counts.

-- The fence of the last owner that finished it; 0 while none has.
ALTER TABLE live_sessions ADD COLUMN ended_by bigint NOT NULL DEFAULT 0;
