//! The schema over real databases, fresh and adopted, with the server there and away.

use std::time::Duration;

use chrono::NaiveDateTime;
use sqlx::Executor;
use tokio::time::timeout;

use super::{Database, migrate, private};
use crate::{lifecycle::Shutdown, model::ErrorKind};

const V1: &str = include_str!("dumps/v1.sql");
const V3: &str = include_str!("dumps/v3.sql");
const ROWS: &str = include_str!("dumps/rows.sql");

async fn adopted(dumps: &[&'static str]) -> Database {
    let database = private::empty_database();
    for dump in dumps {
        database.pool().execute(*dump).await.unwrap();
    }
    migrate(&database).await.unwrap();
    database
}

async fn number(database: &Database, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap()
}

async fn text(database: &Database, query: &'static str) -> String {
    sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap()
}

/// Every column with its type, nullability and default, which must not depend on the past.
async fn shape(database: &Database) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT table_name || '.' || column_name || ' ' || data_type || ' '
                || coalesce(character_maximum_length::text, '') || ' ' || is_nullable || ' '
                || coalesce(column_default, '')
         FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations' ORDER BY 1",
    )
    .fetch_all(database.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn every_past_ends_in_the_same_schema() {
    let fresh = shape(&adopted(&[]).await).await;
    assert!(fresh.len() > 60, "{fresh:?}");
    for dumps in [&[V1][..], &[V1, V3], &[V3]] {
        assert_eq!(shape(&adopted(dumps).await).await, fresh);
    }
    let half = "CREATE TABLE users (id integer PRIMARY KEY, email varchar(120) NOT NULL)";
    assert_eq!(shape(&adopted(&[half]).await).await, fresh);
}

#[tokio::test]
async fn a_database_in_use_keeps_every_row() {
    let database = adopted(&[V1, V3, ROWS]).await;
    let sum = "SELECT (1000 * SUM(cost_usd))::bigint FROM usage_logs WHERE user_id = 1 \
               AND created_at > '2025-01-01'";
    assert_eq!(number(&database, sum).await, 750);
    let rows = sqlx::query("SELECT * FROM usage_logs WHERE user_id = 1 ORDER BY created_at DESC");
    assert_eq!(rows.fetch_all(database.pool()).await.unwrap().len(), 2);
    let created: NaiveDateTime = sqlx::query_scalar("SELECT created_at FROM users WHERE id = 1")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(created.to_string(), "2025-03-01 10:11:12.131415");
    // The table holds rows, so its ids keep their width.
    let width = "SELECT data_type::text FROM information_schema.columns \
                 WHERE table_name = 'usage_logs' AND column_name = 'id'";
    assert_eq!(text(&database, width).await, "integer");
}

#[tokio::test]
async fn new_ids_stand_past_the_greatest() {
    let database = adopted(&[V1, V3, ROWS]).await;
    let user = "INSERT INTO users (email) VALUES ('b@example.com') RETURNING id::bigint";
    assert_eq!(number(&database, user).await, 41);
    let usage = "INSERT INTO usage_logs (user_id, service, endpoint) VALUES (0, 's', '/e') \
                 RETURNING id::bigint";
    assert_eq!(number(&database, usage).await, 3);
    let fresh = adopted(&[]).await;
    assert_eq!(number(&fresh, user).await, 1);
}

#[tokio::test]
async fn the_system_user_is_there_even_if_its_address_is_taken() {
    let query = "SELECT coalesce(email, 'none') || ' ' || plan FROM users WHERE id = 0";
    assert_eq!(text(&adopted(&[]).await, query).await, "system@legacy.com legacy");
    assert_eq!(text(&adopted(&[V1, ROWS]).await, query).await, "none legacy");
}

#[tokio::test]
async fn the_original_still_inserts() {
    let database = adopted(&[V1, V3]).await;
    let orm = "INSERT INTO users (email, password_hash, first_name, last_name, company, plan, \
               is_active, email_verified, created_at, last_login, api_calls_month, \
               audio_minutes_month) VALUES ('o@example.com', 'x', '', '', '', 'free', true, false, \
               '2025-01-01', NULL, 0, 0); \
               INSERT INTO usage_logs (user_id, service, endpoint, cost_usd, created_at) \
               VALUES (1, 'whisper', '/transcriptions/whisper', 0.1, '2025-01-01')";
    database.pool().execute(orm).await.unwrap();
    assert_eq!(number(&database, "SELECT count(*) FROM usage_logs").await, 1);
}

#[tokio::test]
async fn sessions_run_in_utc_with_a_limit() {
    let database = private::database().await;
    assert_eq!(text(&database, "SELECT current_setting('TimeZone')").await, "UTC");
    assert_eq!(text(&database, "SELECT current_setting('statement_timeout')").await, "5s");
    assert_eq!(database.health().await, Ok(()));
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let database = private::empty_database();
    let all = futures_util::future::join_all((0..8).map(|_| migrate(&database))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(number(&database, "SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn an_older_binary_starts_on_a_newer_schema() {
    let database = private::database().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (9999, 'tomorrow', true, '\\x00', 0)";
    database.pool().execute(newer).await.unwrap();
    migrate(&database).await.unwrap();
}

#[tokio::test]
async fn a_server_that_comes_back_is_migrated() {
    let (mut server, url) = private::absent();
    let (database, shutdown) = (private::at(&url), Shutdown::default());
    let task = database.spawn_migrator(&shutdown);
    let mut schema = database.watch_schema();
    assert!(!database.schema_seen());
    assert!(database.health().await.is_err());
    let refused = database.run(sqlx::query("SELECT 1").execute(database.pool())).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::DatabaseUnavailable);
    server.restart().unwrap();
    let seen = timeout(Duration::from_secs(30), schema.wait_for(|seen| *seen)).await;
    assert!(*seen.unwrap().unwrap());
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_waiting_cannot_mend_ends_the_process() {
    let shutdown = Shutdown::default();
    let nowhere = private::at(&private::shared().url("no_such_database"));
    let fatal = nowhere.spawn_migrator(&shutdown).await.unwrap().unwrap_err();
    assert!(fatal.to_string().starts_with("Database initialization failed: "), "{fatal}");
    let broken = private::empty_database();
    broken.pool().execute("CREATE VIEW users AS SELECT 1 AS id").await.unwrap();
    assert!(broken.spawn_migrator(&shutdown).await.unwrap().is_err());
}

#[tokio::test]
async fn without_migrations_it_waits_for_the_schema() {
    let url = private::shared().create_database().unwrap();
    let mut config = private::config().database;
    config.url = url.as_str().into();
    config.migrate_on_start = false;
    let (waiting, shutdown) = (Database::new(&config).unwrap(), Shutdown::default());
    let task = waiting.spawn_migrator(&shutdown);
    migrate(&private::at(&url)).await.unwrap();
    let seen = timeout(Duration::from_secs(30), task).await;
    seen.unwrap().unwrap().unwrap();
    assert!(waiting.schema_seen());
}
