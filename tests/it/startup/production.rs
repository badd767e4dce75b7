//! Production starts with real values only.

use super::{assert_refused, over};
use crate::harness::ServiceProcess;

/// Everything that production demands, with values that look real and reach nobody.
const PRODUCTION: [(&str, &str); 12] = [
    ("ENVIRONMENT", "production"),
    ("PORT", "0"),
    ("METRICS_PORT", "0"),
    ("DATABASE_URL", "postgres://app:9f1Lk2@127.0.0.1:1/app"),
    ("REDIS_URL", "redis://127.0.0.1:1"),
    ("AUTH0_DOMAIN", "127.0.0.1:1"),
    ("AUTH0_AUDIENCE", "https://api.transcripts.io"),
    ("DEEPGRAM_API_KEY", "4c1f7e0b5d"),
    ("OPENAI_API_KEY", "sk-4c1f7e0b5d"),
    ("DEEPSEEK_API_KEY", "sk-9d8e7f6a5b"),
    ("JWT_SECRET_KEY", "q7W2vZ9pL4kX1mB8nC5dF3gH6jR0tYsA"),
    ("SECRET_KEY", "A0sY6tR3jH5gF8dC1nB4mX9kL2pZ7vWq"),
];
/// Those of them that have no default in production.
const REQUIRED: std::ops::Range<usize> = 3..12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_required_variable_that_is_missing_or_empty_is_named() {
    let mut rows = Vec::new();
    for (name, _) in &PRODUCTION[REQUIRED] {
        let sentence = format!("Missing required environment variables: {name}");
        let mut without = over(&PRODUCTION, &[]);
        without.remove(*name);
        rows.push((without, 2, sentence.clone()));
        rows.push((over(&PRODUCTION, &[(name, "")]), 2, sentence.clone()));
        rows.push((over(&PRODUCTION, &[(name, "  ")]), 2, sentence));
    }
    let names: Vec<_> = PRODUCTION[REQUIRED].iter().map(|(name, _)| *name).collect();
    let all = format!("Missing required environment variables: {}", names.join(", "));
    // Named by the older variable, or by where it runs.
    for named in ["ENVIRONMENT", "FLASK_ENV"] {
        rows.push((over(&[(named, "prod")], &[]), 2, all.clone()));
    }
    for host in ["RENDER", "KUBERNETES_SERVICE_HOST"] {
        rows.push((over(&[(host, "10.0.0.1")], &[]), 2, all.clone()));
    }
    assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placeholder_is_refused() {
    let placeholders = [
        ("DATABASE_URL", "postgresql://postgres:postgres@127.0.0.1:1/mydb"),
        ("REDIS_URL", "redis://:changeme@127.0.0.1:1"),
        ("AUTH0_DOMAIN", "your-tenant.auth0.com"),
        ("AUTH0_AUDIENCE", "https://api.example.com"),
        ("DEEPGRAM_API_KEY", "your_deepgram_api_key"),
        ("OPENAI_API_KEY", "sk-xxxxxxxx"),
        ("DEEPSEEK_API_KEY", "<key>"),
        ("JWT_SECRET_KEY", "change-this-in-production"),
        ("SECRET_KEY", "dev-secret-key"),
        ("API_KEY", "Your-API-Key"),
    ];
    let rows = placeholders.map(|(name, value)| {
        (over(&PRODUCTION, &[(name, value)]), 2, format!("{name} is still a placeholder"))
    });
    assert_refused(rows.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_insecure_is_refused() {
    let insecure = [
        (
            ("ALLOW_INSECURE_SESSION_AUTH", "true"),
            "ALLOW_INSECURE_SESSION_AUTH must not be true in production",
        ),
        (
            ("AUTH0_ISSUER_URL", "http://127.0.0.1:1/"),
            "AUTH0_ISSUER_URL must be an https:// address in production",
        ),
    ];
    let rows = insecure.map(|(pair, told)| (over(&PRODUCTION, &[pair]), 2, told.to_owned()));
    assert_refused(rows.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_values_start_and_risks_are_said_aloud() {
    let risky = [
        ("CORS_ORIGINS", "*"),
        ("SOCKETIO_ORIGINS", "http://localhost:3000/"),
        ("API_KEY", "short-key"),
        ("MAX_CONNECTIONS", "10"),
        ("DEEPGRAM_BASE_URL", "http://127.0.0.1:1"),
        ("ASSEMBLYAI_API_KEY", "an assemblyai key"),
        ("ASSEMBLYAI_STREAMING_URL", "http://127.0.0.1:1"),
        ("AUTH0_DOMAIN", "https://127.0.0.1:1/"),
    ];
    let process = ServiceProcess::start(&over(&PRODUCTION, &risky)).await;
    assert_eq!(process.status("/ready").await, Some(503));
    let log = process.log();
    for warning in [
        "CORS_ORIGINS allows every origin in production",
        "SOCKETIO_ORIGINS allows a localhost origin in production",
        "API_KEY is shorter than 32 characters",
        "MAX_CONNECTIONS is below LIVE_MAX_SESSIONS, which is then never reached",
        "DEEPGRAM_BASE_URL is plain http: key and audio travel readable",
        "ASSEMBLYAI_STREAMING_URL is plain http: key and audio travel readable",
    ] {
        assert!(log.contains(warning), "{warning}:\n{log}");
    }
    assert!(!log.contains("#token="), "no development token in production:\n{log}");
}
