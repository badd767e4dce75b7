//! The commands of the binary and their exit codes.

use audio_transcription_api::config::VARIABLES;

use super::{DEVELOPMENT, over};
use crate::harness::{Ledger, ServiceProcess, binary, postgres};

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let finished = binary::run_service(arguments, variables).await;
    (finished.code, finished.stdout, finished.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_and_version_succeed() {
    for words in [["--help"], ["-h"]] {
        let (code, help, _) = run(&words, &[]).await;
        assert_eq!(code, Some(0));
        for command in ["serve", "migrate", "config", "healthcheck"] {
            assert!(help.contains(command), "{command}:\n{help}");
        }
    }
    let version = format!("audio-transcription-api {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"], &[]).await, (Some(0), version, String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_command_is_wrong_usage() {
    for words in [&["transcribe"][..], &["serve", "now"], &["--port", "1"]] {
        let (code, stdout, stderr) = run(words, &[]).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(stderr.contains("Usage:"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_prints_every_variable_and_needs_none() {
    // Neither the configuration nor its faults matter to the table.
    let (code, table, _) = run(&["config"], &[("PORT", "http"), ("API_KEY", "hunter2")]).await;
    assert_eq!(code, Some(0));
    assert!(!table.contains("hunter2"), "{table}");
    for variable in VARIABLES {
        assert!(table.contains(&format!("  {} ", variable.name)), "{}", variable.name);
        assert!(table.contains(variable.sentence), "{}", variable.name);
    }
    let root = env!("CARGO_MANIFEST_DIR");
    for (option, file) in
        [("--markdown", "docs/CONFIGURATION.md"), ("--env-example", ".env.example")]
    {
        let kept = std::fs::read_to_string(format!("{root}/{file}")).expect(file);
        assert!(run(&["config", option], &[]).await == (Some(0), kept, String::new()), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthcheck_says_whether_the_service_answers() {
    let process = ServiceProcess::start(&over(&DEVELOPMENT, &[])).await;
    let port = process.port.to_string();
    let well = run(&["healthcheck"], &[("PORT", &port)]).await;
    assert_eq!(well, (Some(0), String::new(), String::new()));
    drop(process);
    let (code, _, told) = run(&["healthcheck"], &[("PORT", &port)]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.starts_with(&format!("nothing listens on port {port}")), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_succeeds_again_and_again_or_says_why_not() {
    let url = postgres().create_database().expect("a database");
    for _ in 0..2 {
        let done = run(&["migrate"], &[("DATABASE_URL", &url)]).await;
        let told = "Database initialized successfully\n".to_owned();
        assert_eq!(done, (Some(0), told, String::new()));
    }
    let users: Vec<(i32, String)> =
        Ledger(&url).rows("SELECT id, plan FROM users").await.expect("the schema");
    assert_eq!(users, [(0, "legacy".to_owned())], "the system user");
    let away = run(&["migrate"], &[("DATABASE_URL", "postgres://x@127.0.0.1:1/x")]).await;
    assert_eq!((away.0, away.1.as_str()), (Some(1), ""), "{}", away.2);
    assert!(away.2.starts_with("Database initialization failed: "), "{}", away.2);
    assert_eq!(away.2.trim().lines().count(), 1, "{}", away.2);
}
