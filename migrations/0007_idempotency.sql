-- Acts that their callers named, so that asking again is not done, nor billed, again.

CREATE TABLE idempotency_keys (
    -- The account that asks, as limits know it.
    account text NOT NULL,
    endpoint text NOT NULL,
    key text NOT NULL,
    -- SHA-256 of what was asked for.
    fingerprint bytea NOT NULL,
    -- What it is billed under, whoever does it.
    act uuid NOT NULL,
    -- Who does it, and how long that one is believed to be alive.
    holder uuid NOT NULL,
    lease_until timestamp NOT NULL,
    -- The answer, once there is one.
    content_type text,
    body text,
    created_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    PRIMARY KEY (account, endpoint, key)
);

CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);

-- Whether an act was answered from what was known, without a provider.
ALTER TABLE usage_logs ADD COLUMN cached boolean;
