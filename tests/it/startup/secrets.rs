//! No secret is ever printed, whatever goes wrong.

use super::{DEVELOPMENT, over, refused};
use crate::harness::{ServiceProcess, doors};

/// Stands in every secret.
const SECRET: &str = "hunter2";

fn secrets() -> Vec<(&'static str, String)> {
    let word = |name: &'static str| (name, format!("{SECRET}-{}", name.to_lowercase()));
    let mut secrets = vec![
        ("DATABASE_URL", format!("postgres://app:{SECRET}@127.0.0.1:1/app")),
        ("REDIS_URL", format!("redis://:{SECRET}@127.0.0.1:1")),
        ("MAKE_WEBHOOK_URL", format!("https://127.0.0.1:1/{SECRET}")),
        ("MAKE_WEBHOOK_DEV_URL", format!("https://127.0.0.1:1/{SECRET}")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1".to_owned()),
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer {SECRET}")),
        ("LOG_LEVEL", "DEBUG".to_owned()),
    ];
    secrets.extend(
        [
            "API_KEY",
            "JWT_SECRET_KEY",
            "JWT_SECRET_KEY_PREVIOUS",
            "SECRET_KEY",
            "SECRET_KEY_PREVIOUS",
            "DEEPGRAM_API_KEY",
            "OPENAI_API_KEY",
            "ASSEMBLYAI_API_KEY",
            "DEEPSEEK_API_KEY",
        ]
        .map(word),
    );
    secrets
}

fn pairs<'a>(secrets: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    secrets.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_replica_prints_no_secret() {
    let secrets = secrets();
    let process = ServiceProcess::start(&over(&DEVELOPMENT, &pairs(&secrets))).await;
    // Both dependencies fail, and so do these credentials; one is good.
    let static_key = format!("{SECRET}-api_key");
    for token in [static_key.as_str(), "usr_1_hunter2", "hunter2.hunter2.hunter2"] {
        let admitted = doors::websocket(&process.url(), token).await.is_ok();
        assert_eq!(admitted, token == static_key);
        assert_eq!(doors::socketio(&process.url(), token).await.is_ok(), admitted);
    }
    assert_eq!(process.status("/ready").await, Some(503));
    let log = process.log();
    assert!(log.contains("Database initialization failed"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_prints_no_secret() {
    let malformed = [
        ("ENVIRONMENT", "production"),
        ("DATABASE_URL", "mysql://app:hunter2@127.0.0.1/app"),
        ("REDIS_URL", "http://:hunter2@127.0.0.1"),
        ("MAKE_WEBHOOK_URL", "hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("API_KEY", "changeme-hunter2"),
        ("JWT_SECRET_KEY", "changeme-hunter2"),
    ];
    let finished = refused(&over(&DEVELOPMENT, &malformed)).await;
    assert_eq!(finished.code, Some(2));
    assert!(!finished.stderr.contains(SECRET), "{finished:?}");
    assert_eq!(finished.stdout, "");
}
