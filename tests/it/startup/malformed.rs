//! A malformed value is refused with one sentence that names the variable and what is allowed.

use std::collections::BTreeSet;

use audio_transcription_api::config::VARIABLES;

use super::{DEVELOPMENT, assert_refused, over};

const URL: &str = "an http:// or https:// address";
const ALLOWANCE: &str = "a number or unlimited, then plan=number, comma-separated";
const LIMIT: &str = "a number from 1 to 1000000 or unlimited";
const ENVIRONMENTS: &str = "one of development, dev, local, test, testing, production, prod";

/// A variable, a value that it must not have, and what the sentence says of it.
const ROWS: [(&str, &str, &str); 79] = [
    ("ENVIRONMENT", "staging", ENVIRONMENTS),
    ("FLASK_ENV", "productoin", ENVIRONMENTS),
    ("PORT", "http", "a whole number from 0 to 65535"),
    ("PORT", "65536", "a whole number from 0 to 65535"),
    ("PORT", "-1", "a whole number from 0 to 65535"),
    ("METRICS_PORT", "on", "off or a whole number from 0 to 65535"),
    ("REPLICA_PORT", "on", "off or a whole number from 0 to 65535"),
    ("REPLICA_ADDRESS", "two words", "a host name or an address, with a port or without"),
    ("DRAIN_SECONDS", "soon", "a whole number from 0 to 3600"),
    ("DRAIN_SECONDS", "3601", "a whole number from 0 to 3600"),
    ("MAX_CONNECTIONS", "0", "a whole number from 1 to 1000000"),
    ("DATABASE_URL", "mysql://127.0.0.1/db", "a postgresql:// or postgres:// address"),
    ("DATABASE_URL", "postgres://[half", "a postgresql:// or postgres:// address"),
    ("DATABASE_POOL_SIZE", "many", "a whole number from 1 to 200"),
    ("MIGRATE_ON_START", "perhaps", "true or false"),
    ("REDIS_URL", "http://127.0.0.1", "a redis:// or rediss:// address"),
    ("TRUSTED_PROXIES", "-1", "a whole number from 0 to 10"),
    ("EDGE_RATE", "0", "a whole number from 1 to 1000000"),
    ("EDGE_BURST", "0", "a whole number from 1 to 1000000"),
    ("REDIS_PREFIX", "two words", "1 to 40 letters, digits, -, _ or ."),
    ("LIMIT_REQUESTS", "100/min", ALLOWANCE),
    ("LIMIT_TRANSCRIPTIONS", "10,gold=5", ALLOWANCE),
    ("LIMIT_SOCKET_OPENS", "0", ALLOWANCE),
    ("LIMIT_OPEN_SOCKETS", "0", ALLOWANCE),
    ("LIMIT_SHARE_SOCKETS", "1,pro=2", LIMIT),
    ("LIMIT_LIVE_SESSIONS", "free=1", ALLOWANCE),
    ("LIMIT_LIVE_SESSIONS_TOTAL", "1,pro=2", LIMIT),
    ("LIMIT_LOGINS", "five", LIMIT),
    ("LIMIT_REGISTRATIONS", "0", LIMIT),
    ("LIMIT_REFRESHES", "-1", LIMIT),
    ("AUTH0_DOMAIN", "two words", "a host name such as acme.eu.auth0.com"),
    ("AUTH0_ISSUER_URL", "ftp://127.0.0.1", URL),
    ("AUTH0_REQUEST_TIMEOUT", "0", "a whole number from 1 to 120"),
    ("ALLOW_INSECURE_SESSION_AUTH", "perhaps", "true or false"),
    ("LIVE_PROVIDER", "whisper", "one of auto, deepgram, assemblyai, local"),
    ("LIVE_FALLBACKS", "whisper", "a comma-separated list of deepgram, assemblyai and local"),
    ("LIVE_MAX_SESSIONS", "0", "a whole number from 1 to 1000000"),
    ("LIVE_MAX_SESSIONS", "1e3", "a whole number from 1 to 1000000"),
    ("DEEPGRAM_BASE_URL", "api.deepgram.com", URL),
    ("DEEPGRAM_MAX_STREAMS", "-1", "a whole number from 0 to 1000000"),
    ("ASR_WORKERS", "0", "a whole number from 1 to 256"),
    ("ASR_MAX_STREAMS", "0", "a whole number from 1 to 10000"),
    ("LIVE_IDLE_SECONDS", "4", "a whole number from 5 to 3600"),
    ("MAX_UPLOAD_MB", "0", "a whole number from 1 to 16384"),
    ("UPLOAD_SECONDS", "0", "a whole number from 1 to 86400"),
    ("UPLOAD_SPACE_MB", "none", "a whole number from 1 to 16777216"),
    ("TRANSCRIPTION_SECONDS", "1h", "a whole number from 1 to 86400"),
    ("TRANSCRIPTION_PARALLEL", "0", "a whole number from 1 to 10000"),
    (
        "TRANSCRIPTION_ORDER",
        "openai",
        "a comma-separated list of deepgram, whisper, assemblyai and local, each once",
    ),
    (
        "TRANSCRIPTION_ORDER",
        "local,local",
        "a comma-separated list of deepgram, whisper, assemblyai and local, each once",
    ),
    ("USAGE_CHECKPOINT_SECONDS", "0", "a whole number from 1 to 300"),
    ("USAGE_CHECKPOINT_SECONDS", "5s", "a whole number from 1 to 300"),
    ("ROOM_HISTORY_SECONDS", "59", "a whole number from 60 to 2592000"),
    ("TRANSCRIPT_RETENTION_DAYS", "a month", "a whole number from 0 to 36500"),
    ("AUDIO_URL_PORTS", "0", "a comma-separated list of ports"),
    ("AUDIO_URL_ALLOW", "minio", "a comma-separated list of host:port"),
    ("DUPLICATE_SECONDS", "a day", "a whole number from 0 to 2592000"),
    ("DUPLICATE_BILLED", "perhaps", "true or false"),
    ("OPENAI_BASE_URL", "api.openai.com/v1", URL),
    ("MODEL_ALIASES", "gpt-4o", "a comma-separated list of old=new"),
    ("MODEL_RETIREMENTS", "gpt-4o=soon", "a comma-separated list of model=YYYY-MM-DD"),
    ("ASSEMBLYAI_BASE_URL", "https://", URL),
    ("ASSEMBLYAI_STREAMING_URL", "streaming", URL),
    ("DEEPSEEK_BASE_URL", "deepseek", URL),
    ("GOOGLE_TRANSLATE_BASE_URL", "google", URL),
    ("GOOGLE_TRANSLATE_VERSION", "v1", "v2 or v3"),
    ("GOOGLE_SHEETS_BASE_URL", "file:///etc/passwd", URL),
    ("MAKE_WEBHOOK_URL", "hook", URL),
    ("MAKE_WEBHOOK_DEV_URL", "hook", URL),
    ("TRANSLATION_SECONDS", "0", "a whole number from 1 to 86400"),
    ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR"),
    ("LOG_FORMAT", "xml", "one of text, json"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", URL),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://127.0.0.1", URL),
    ("OTEL_EXPORTER_OTLP_HEADERS", "novalue", "name=value pairs separated by commas"),
    ("OTEL_TRACES_SAMPLER_ARG", "2", "a number from 0 to 1"),
    ("OTEL_TRACES_SAMPLER_ARG", "NaN", "a number from 0 to 1"),
    ("OTEL_TRACES_SAMPLER_ARG", "1%", "a number from 0 to 1"),
    ("OTEL_TRACES_SAMPLER_ARG", "-0.1", "a number from 0 to 1"),
];

/// Variables of which any text is a value.
const FREE: [&str; 24] = [
    "RENDER",
    "KUBERNETES_SERVICE_HOST",
    "CORS_ORIGINS",
    "SOCKETIO_ORIGINS",
    "AUTH0_AUDIENCE",
    "API_KEY",
    "JWT_SECRET_KEY",
    "JWT_SECRET_KEY_PREVIOUS",
    "SECRET_KEY",
    "SECRET_KEY_PREVIOUS",
    "DEEPGRAM_API_KEY",
    "DEEPGRAM_MODEL",
    "ASR_MODEL_DIR",
    "OPENAI_API_KEY",
    "OPENAI_MODEL",
    "OPENAI_TRANSCRIPTION_MODEL",
    "ASSEMBLYAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "DEEPSEEK_MODEL",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "MAKE_WEBHOOK_SECRET",
    "OTEL_SERVICE_NAME",
    "UPLOAD_DIR",
    "USAGE_SCRATCH_DIR",
];

#[test]
fn no_variable_is_forgotten() {
    let told: BTreeSet<_> = ROWS.iter().map(|row| row.0).chain(FREE).collect();
    let declared: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name).collect();
    assert_eq!(told, declared);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_value_is_named_with_what_is_allowed() {
    let rows = ROWS.into_iter().map(|(name, value, allowed)| {
        let sentence = format!("{name} must be {allowed}");
        (over(&DEVELOPMENT, &[(name, value)]), 2, sentence)
    });
    assert_refused(rows.collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_told_together() {
    let three = [("PORT", "http"), ("LOG_FORMAT", "xml"), ("LIVE_PROVIDER", "deepgram")];
    let sentence = "PORT must be a whole number from 0 to 65535; \
                    LIVE_PROVIDER=deepgram needs DEEPGRAM_API_KEY; \
                    LOG_FORMAT must be one of text, json";
    let production = [("ENVIRONMENT", "production"), ("PORT", "http"), ("API_KEY", "changeme")];
    let both = "Missing required environment variables: AUTH0_DOMAIN, AUTH0_AUDIENCE, \
                DEEPGRAM_API_KEY, OPENAI_API_KEY, DEEPSEEK_API_KEY, JWT_SECRET_KEY, SECRET_KEY; \
                API_KEY is still a placeholder; PORT must be a whole number from 0 to 65535";
    assert_refused(vec![
        (over(&DEVELOPMENT, &three), 2, sentence.to_owned()),
        (over(&DEVELOPMENT, &production), 2, both.to_owned()),
    ])
    .await;
}
