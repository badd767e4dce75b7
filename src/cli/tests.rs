//! What each command says and how it exits.

use axum::{Router, http::StatusCode, routing::get};
use clap::{CommandFactory, Parser};

use super::{Cli, Command, Failure, execute, healthcheck};
use crate::{config::Env, lifecycle::Shutdown, postgres::private};

fn told(result: Result<(), Failure>) -> (u8, String) {
    result.map_or_else(|failure| (failure.code(), failure.sentence()), |()| (0, String::new()))
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
    let parse = |words: &[&str]| Cli::try_parse_from([&["api"], words].concat());
    assert!(parse(&[]).unwrap().command.is_none());
    assert!(matches!(parse(&["serve"]).unwrap().command, Some(Command::Serve)));
    assert_eq!(parse(&["--version"]).unwrap_err().exit_code(), 0);
    assert_eq!(parse(&["--help"]).unwrap_err().exit_code(), 0);
    assert_eq!(parse(&["frobnicate"]).unwrap_err().exit_code(), 2);
}

#[test]
fn a_bad_configuration_exits_with_two_and_one_sentence() {
    for words in ["serve", "migrate", "init-db --force", "user list", "key revoke 1", "healthcheck"]
    {
        let words = ["api"].into_iter().chain(words.split(' '));
        let command = || Cli::try_parse_from(words.clone()).unwrap().command.unwrap();
        let env = || Ok(Env::from([("PORT", "http"), ("LOG_FORMAT", "xml")]));
        let sentence = "PORT must be a whole number from 0 to 65535; \
                        LOG_FORMAT must be one of text, json";
        assert_eq!(told(execute(command(), env)), (2, sentence.to_owned()));
        let env = || Err(".env holds a malformed line".to_owned());
        assert_eq!(told(execute(command(), env)), (2, ".env holds a malformed line".to_owned()));
    }
}

#[test]
fn the_table_needs_no_configuration() {
    let env = || Err("unreadable".to_owned());
    let command = Command::Config { markdown: false, env_example: false };
    assert_eq!(told(execute(command, env)).0, 0);
}

#[test]
fn migrate_succeeds_or_says_why_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let migrate = |url: &str| {
        let config = crate::config::Config::load(&Env::from([("DATABASE_URL", url)])).unwrap();
        runtime.block_on(async {
            let database = crate::postgres::Database::new(&config.database)?;
            super::migrate(&database).await
        })
    };
    let fresh = private::shared().create_database().unwrap();
    migrate(&fresh).unwrap();
    migrate(&fresh).unwrap();
    let nowhere = private::shared().url("no_such_database");
    let sentence = migrate(&nowhere).unwrap_err().to_string();
    assert!(sentence.starts_with("Database initialization failed: "), "{sentence}");
    assert!(sentence.contains("no_such_database"), "{sentence}");
    let away = || Ok(Env::from([("DATABASE_URL", "postgres://127.0.0.1:1/x")]));
    assert_eq!(told(execute(Command::Migrate, away)).0, 1);
}

#[tokio::test]
async fn healthcheck_is_the_status_of_health() {
    let shutdown = Shutdown::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let nothing = healthcheck::ask(port);
    drop(listener);
    let error = nothing.await.unwrap_err().to_string();
    assert_eq!(error, format!("nothing listens on port {port}"));
    for (status, well) in [(StatusCode::OK, true), (StatusCode::SERVICE_UNAVAILABLE, false)] {
        let routes = Router::new().route("/health", get(async move || status));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        shutdown.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        assert_eq!(healthcheck::ask(port).await.is_ok(), well);
    }
}

#[tokio::test]
async fn healthcheck_gives_up_on_a_service_that_hangs() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = healthcheck::ask(listener.local_addr().unwrap().port()).await.unwrap_err();
    assert_eq!(error.to_string(), "/health did not answer in time");
}
