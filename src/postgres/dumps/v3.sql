-- What versions 2 and 3 of the original added.
CREATE TABLE token_blacklist (
	id SERIAL NOT NULL,
	jti VARCHAR(36) NOT NULL,
	token_type VARCHAR(10) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	revoked_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ix_token_blacklist_jti ON token_blacklist (jti);
CREATE INDEX ix_token_blacklist_user_id ON token_blacklist (user_id);
CREATE TABLE jobs (
	id SERIAL NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	type VARCHAR(50) NOT NULL,
	status VARCHAR(50) NOT NULL,
	input_ref TEXT NOT NULL,
	error_message TEXT,
	created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
	completed_at TIMESTAMP WITHOUT TIME ZONE,
	PRIMARY KEY (id)
);
CREATE INDEX ix_jobs_user_id ON jobs (user_id);
CREATE TABLE artifacts (
	id SERIAL NOT NULL,
	job_id INTEGER NOT NULL,
	kind VARCHAR(50) NOT NULL,
	storage_ref TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
CREATE INDEX ix_artifacts_job_id ON artifacts (job_id);
