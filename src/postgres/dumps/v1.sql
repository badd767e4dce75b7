-- The tables as SQLAlchemy made them for versions 0 and 1 of the original.
CREATE TABLE users (
	id SERIAL NOT NULL,
	email VARCHAR(120) NOT NULL,
	password_hash VARCHAR(128) NOT NULL,
	first_name VARCHAR(50),
	last_name VARCHAR(50),
	company VARCHAR(100),
	plan VARCHAR(20),
	is_active BOOLEAN,
	email_verified BOOLEAN,
	created_at TIMESTAMP WITHOUT TIME ZONE,
	last_login TIMESTAMP WITHOUT TIME ZONE,
	api_calls_month INTEGER,
	audio_minutes_month FLOAT,
	PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ix_users_email ON users (email);
CREATE TABLE api_keys (
	id SERIAL NOT NULL,
	user_id INTEGER NOT NULL,
	name VARCHAR(100) NOT NULL,
	key_hash VARCHAR(64) NOT NULL,
	key_prefix VARCHAR(20) NOT NULL,
	is_active BOOLEAN,
	last_used TIMESTAMP WITHOUT TIME ZONE,
	usage_count INTEGER,
	created_at TIMESTAMP WITHOUT TIME ZONE,
	expires_at TIMESTAMP WITHOUT TIME ZONE,
	PRIMARY KEY (id),
	FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX ix_api_keys_key_hash ON api_keys (key_hash);
CREATE TABLE usage_logs (
	id SERIAL NOT NULL,
	user_id INTEGER NOT NULL,
	service VARCHAR(50) NOT NULL,
	endpoint VARCHAR(100) NOT NULL,
	audio_duration_seconds FLOAT,
	tokens_used INTEGER,
	characters_processed INTEGER,
	cost_usd FLOAT,
	created_at TIMESTAMP WITHOUT TIME ZONE,
	ip_address VARCHAR(45),
	user_agent VARCHAR(255),
	PRIMARY KEY (id),
	FOREIGN KEY(user_id) REFERENCES users (id)
);
