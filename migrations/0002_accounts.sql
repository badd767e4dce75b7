-- Auth0 accounts get a row on first sight, and the static API key is a real user.

ALTER TABLE users
    ADD COLUMN auth0_sub text,
    -- The original's 120 characters are fewer than an address may have.
    ALTER COLUMN email TYPE varchar(320);

CREATE UNIQUE INDEX ix_users_auth0_sub ON users (auth0_sub);

-- Somebody may have registered with the system user's address; then it goes without one.
INSERT INTO users (id, email, first_name, last_name, plan, is_active, email_verified)
SELECT
    0,
    CASE WHEN NOT EXISTS (SELECT FROM users WHERE email = 'system@legacy.com')
        THEN 'system@legacy.com' END,
    'System', 'User', 'legacy', true, true
ON CONFLICT (id) DO NOTHING;
