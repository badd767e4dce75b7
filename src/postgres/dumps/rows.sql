-- Rows of a database in use, some inserted by hand with ids that no sequence knows of.
INSERT INTO users VALUES
    (1, 'ada@example.com', '$2b$12$abcdefghijklmnopqrstuuJ3XQ1', 'Ada', 'L', '', 'pro', true, false,
     '2025-03-01 10:11:12.131415', NULL, 0, 0),
    (40, 'system@legacy.com', '$2b$12$x', NULL, NULL, NULL, 'free', true, NULL, '2025-04-01', NULL,
     NULL, NULL);
INSERT INTO api_keys VALUES
    (7, 1, 'Default API Key',
     'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'usr_1_', true, NULL, 3,
     '2025-03-01 10:11:12', NULL);
INSERT INTO usage_logs (user_id, service, endpoint, cost_usd, created_at) VALUES
    (1, 'deepgram', '/transcriptions/deepgram', 0.25, '2025-05-01 00:00:00.5'),
    (1, 'deepgram', '/transcriptions/deepgram', 0.50, '2025-05-02');
