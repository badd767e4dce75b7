//! What waiting cannot mend ends the process with one sentence.

use crate::harness::{Setup, binary, postgres};

/// Runs `serve` on a database that refuses; its one sentence.
async fn sentence(database_url: &str) -> String {
    let (variables, _deepgram) = Setup::on(database_url, "redis://127.0.0.1:1").variables().await;
    let pairs: Vec<_> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let finished = binary::run_service(&[], &pairs).await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let told = finished.stderr.trim().to_owned();
    assert_eq!(told.lines().count(), 1, "{told}");
    let sentence = told.strip_prefix("Database initialization failed: ");
    sentence.unwrap_or_else(|| panic!("{told}")).to_owned()
}

/// The same server, as a user whose password is asked for.
fn with_password(url: &str, password: &str) -> String {
    url.replace("postgres@", &format!("locked:{password}@"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password() {
    let url = postgres().create_database().expect("a database");
    let sql = |text: &str| postgres().query("postgres", text).expect("the statement runs");
    sql("CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'right'");
    let folder = sql("SHOW data_directory");
    sql(&format!(
        "COPY (VALUES ('host all locked 127.0.0.1/32 scram-sha-256'),
                      ('host all all 127.0.0.1/32 trust')) TO '{}/pg_hba.conf'",
        folder.trim()
    ));
    sql("SELECT pg_reload_conf()");
    let told = sentence(&with_password(&url, "hunter2")).await;
    assert!(told.contains("password authentication failed for user \"locked\""), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let pairs = [("DATABASE_URL", with_password(&url, "right"))];
    let pairs = pairs.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(binary::run_service(&["migrate"], &pairs).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_exist() {
    let told = sentence(&postgres().url("no_such_database")).await;
    assert!(told.contains("database \"no_such_database\" does not exist"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_fails() {
    let url = postgres().create_database().expect("a database");
    let name = url.rsplit('/').next().expect("a name");
    postgres().query(name, "CREATE VIEW users AS SELECT 1 AS id").expect("a view");
    let told = sentence(&url).await;
    assert!(told.contains("users"), "{told}");
}
