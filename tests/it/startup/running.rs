//! What a replica does that starts although something is missing.

use std::net::TcpListener;

use audio_transcription_api::config::VARIABLES;
use serde_json::json;
use testkit::raw_ws::Refused;

#[cfg(feature = "local-speech")]
use super::refused;
use super::{DEVELOPMENT, assert_refused, over};
use crate::harness::{SOON, ServiceProcess, binary, doors};

/// A folder with no model in it.
const NO_MODEL: (&str, &str) = ("ASR_MODEL_DIR", "/nonexistent/speech-model");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_value_counts_as_unset() {
    let empty: Vec<_> = VARIABLES.iter().map(|variable| (variable.name, "")).collect();
    let process = ServiceProcess::start(&over(&empty, &DEVELOPMENT)).await;
    assert_eq!(process.status("/ready").await, Some(503));
    // The port is the one that the default names, whether or not somebody listens there.
    let asked = binary::run_service(&["healthcheck"], &[("PORT", "")]).await;
    assert!(asked.code == Some(0) || asked.stderr.contains("5000"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_read_in_any_case_and_with_spaces() {
    let odd = [
        ("ENVIRONMENT", " Dev "),
        ("LOG_LEVEL", "warning"),
        ("LOG_FORMAT", "JSON"),
        ("METRICS_PORT", "OFF"),
        ("MIGRATE_ON_START", "Yes"),
        ("DATABASE_URL", "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"),
    ];
    let process = ServiceProcess::start(&over(&DEVELOPMENT, &odd)).await;
    let log = process.log();
    assert!(!log.contains("listening on"), "below the level:\n{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let rows = ["PORT", "METRICS_PORT"].map(|name| {
        let told = "cannot be listened on: Address already in use (os error 98)";
        (over(&DEVELOPMENT, &[(name, &port)]), 1, format!("{name} {port} {told}"))
    });
    assert_refused(rows.into()).await;
}

#[cfg(feature = "local-speech")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_was_chosen_and_is_not_there_is_named() {
    let chosen = over(&DEVELOPMENT, &[NO_MODEL, ("LIVE_PROVIDER", "local")]);
    let finished = refused(&chosen).await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(finished.stderr.trim().lines().count(), 1, "{finished:?}");
    assert!(finished.stderr.contains(NO_MODEL.1), "{finished:?}");
}

/// A provider without a key is absent: the service runs, and says which variable is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_provider_sessions_are_refused_by_name() {
    let process = ServiceProcess::start(&over(&DEVELOPMENT, &[NO_MODEL])).await;
    let (mut socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
    socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
    let error = socket.receive_until(SOON, |json| json["type"] == "error").await.expect("told");
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("provider_unavailable"), &json!(true))
    );
    assert!(error["message"].as_str().is_some_and(|text| text.contains("DEEPGRAM_API_KEY")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_auth0_its_tokens_are_refused_cleanly() {
    let process = ServiceProcess::start(&over(&DEVELOPMENT, &[])).await;
    let token = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";
    let error = doors::socketio(&process.url(), token).await.expect_err("refused");
    assert!(error.to_string().contains("Connection rejected by server"), "{error:#}");
    let error = doors::websocket(&process.url(), token).await.expect_err("refused");
    let refused = error.downcast_ref::<Refused>().expect("an answer");
    assert_eq!(refused.status, 401);
    assert!(refused.body.contains("AUTH0_DOMAIN environment variable not set"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_google_file_is_told_at_boot() {
    let file = ("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/google.json");
    let process = ServiceProcess::start(&over(&DEVELOPMENT, &[file])).await;
    let log = process.log();
    assert!(log.contains("GOOGLE_APPLICATION_CREDENTIALS cannot be read: No such file"), "{log}");
}
