//! `init-db`: what each form drops, makes, asks for and refuses, and that what it makes is good.

use serde_json::Value;
use sqlx::{ConnectOptions, Executor, postgres::PgConnectOptions};
use testkit::deepgram;

use crate::harness::{
    Ledger, Setup,
    binary::{self, Finished},
    doors, postgres,
};

const PASSWORD: &str = "correct horse 9";
const DROPPED: &str = "Every table was dropped.";
/// Rows as the replaced service writes them, on its own tables.
const IN_USE: [&str; 3] = [
    include_str!("../../src/postgres/dumps/v1.sql"),
    include_str!("../../src/postgres/dumps/v3.sql"),
    include_str!("../../src/postgres/dumps/rows.sql"),
];

/// A database of the test's own, and its name.
struct Scratch {
    url: String,
    name: String,
}

impl Scratch {
    fn empty() -> Self {
        let url = postgres().create_database().expect("a database");
        let name = url.rsplit_once('/').expect("a name").1.to_owned();
        Self { url, name }
    }

    /// A database that the replaced service has used.
    async fn in_use() -> Self {
        let scratch = Self::empty();
        for dump in IN_USE {
            scratch.execute(dump).await;
        }
        scratch
    }

    async fn execute(&self, sql: &'static str) {
        let options: PgConnectOptions = self.url.parse().expect("an address");
        let mut connection = options.connect().await.expect("connected");
        connection.execute(sqlx::raw_sql(sql)).await.expect("it runs");
    }

    /// One number out of it.
    async fn number(&self, query: &'static str) -> i64 {
        Ledger(&self.url).rows::<(i64,)>(query).await.expect("the query runs")[0].0
    }

    /// How many users, keys and rows of usage there are.
    async fn rows(&self) -> (i64, i64, i64) {
        let users = self.number("SELECT count(*) FROM users WHERE id <> 0").await;
        let keys = self.number("SELECT count(*) FROM api_keys").await;
        (users, keys, self.number("SELECT count(*) FROM usage_logs").await)
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Finished {
        self.run_as("development", arguments, input).await
    }

    async fn run_as(&self, environment: &str, arguments: &[&str], input: &str) -> Finished {
        let arguments = [&["init-db"], arguments].concat();
        let real = ["AUTH0_DOMAIN", "AUTH0_AUDIENCE", "DEEPGRAM_API_KEY", "OPENAI_API_KEY"];
        let real = real.into_iter().chain(["DEEPSEEK_API_KEY", "JWT_SECRET_KEY", "SECRET_KEY"]);
        let mut variables: Vec<(&str, &str)> =
            real.map(|name| (name, "q7W2vZ9pL4kX1mB8nC5dF3gH6jR0tYsA")).collect();
        variables.push(("ENVIRONMENT", environment));
        variables.push(("DATABASE_URL", &self.url));
        variables.push(("REDIS_URL", "redis://127.0.0.1:1"));
        binary::tell_service(&arguments, &variables, input).await
    }

    /// The bcrypt of somebody's password.
    async fn hash(&self, query: &'static str) -> String {
        Ledger(&self.url).rows::<(String,)>(query).await.expect("the query runs")[0].0.clone()
    }
}

/// What stands behind a label in the printed text.
fn printed(finished: &Finished, label: &str) -> String {
    let line = finished.stdout.lines().find_map(|line| line.strip_prefix(label));
    line.unwrap_or_else(|| panic!("{label} is not there: {finished:?}")).to_owned()
}

#[track_caller]
fn assert_done(finished: &Finished) {
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[track_caller]
fn assert_refused(finished: &Finished, sentence: &str) {
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{finished:?}");
    let told = finished.stderr.lines().last().unwrap_or_default();
    assert!(told.ends_with(sentence), "{finished:?}");
    let questions = finished.stderr.matches(". Type ").count();
    assert_eq!(finished.stderr.lines().count(), questions + 1, "{finished:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safe_makes_an_administrator_whose_key_and_password_work() {
    let scratch = Scratch::empty();
    let made = scratch.run(&["--safe"], "").await;
    assert_done(&made);
    assert!(made.stdout.contains("Administrator admin@example.com was made"), "{}", made.stdout);
    assert!(made.stdout.ends_with("Neither is shown again\n"), "{}", made.stdout);
    assert_eq!(made.stderr, "");
    let (password, key) = (printed(&made, "Password: "), printed(&made, "Admin API Key: "));
    let hash = "SELECT password_hash FROM users WHERE email = 'admin@example.com'";
    let hash = scratch.hash(hash).await;
    assert!(hash.starts_with("$2b$12$") && !made.stdout.contains(&hash), "{hash}");
    assert!(bcrypt::verify(&password, &hash).expect("a hash"));
    assert!(!bcrypt::verify("admin123", &hash).expect("a hash"));
    let whole = "SELECT count(*) FROM users u JOIN api_keys k ON k.user_id = u.id \
                 WHERE u.first_name = 'Admin' AND u.last_name = 'User' AND u.company = 'System' \
                 AND u.plan = 'enterprise' AND u.email_verified AND u.is_active \
                 AND k.name = 'Admin API Key' AND k.is_active AND k.expires_at IS NULL";
    assert_eq!(scratch.number(whole).await, 1);
    let app = Setup::new()
        .deepgram(deepgram::Config::default())
        .with("DATABASE_URL", &scratch.url)
        .start()
        .await;
    let (_socket, greeting) = doors::websocket(&app.url(), &key).await.expect("admitted");
    assert_eq!(greeting["auth_type"], Value::from("api_key"));
    // Again it makes nothing, asks nothing and shows nothing.
    let again = scratch.run(&["--safe"], "").await;
    assert_done(&again);
    assert!(again.stdout.contains("admin@example.com exists already"), "{}", again.stdout);
    assert!(!again.stdout.contains("usr_"), "{}", again.stdout);
    assert_eq!(scratch.rows().await, (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safe_and_test_user_drop_nothing_of_a_database_in_use() {
    let scratch = Scratch::in_use().await;
    let made = scratch.run_as("production", &["--safe", "--email", " Boss@Corp.Example"], "").await;
    assert_done(&made);
    assert!(made.stdout.contains("Administrator boss@corp.example was made"), "{}", made.stdout);
    assert_eq!(scratch.rows().await, (3, 2, 2));
    let tester = ["test-user", "--password-stdin"];
    let made = scratch.run(&tester, &format!("{PASSWORD}\n")).await;
    assert_done(&made);
    assert!(made.stdout.contains("Test user test@example.com was made"), "{}", made.stdout);
    assert!(made.stdout.ends_with("It is not shown again\n"), "{}", made.stdout);
    assert!(!made.stdout.contains(PASSWORD) && !made.stdout.contains("Password"), "{made:?}");
    assert!(printed(&made, "Development API Key: ").starts_with("usr_"), "{made:?}");
    let hash = "SELECT password_hash FROM users WHERE email = 'test@example.com' AND plan = 'pro' \
                AND company = 'Development' AND first_name = 'Test' AND last_name = 'User'";
    assert!(bcrypt::verify(PASSWORD, &scratch.hash(hash).await).expect("a hash"));
    let again = scratch.run(&tester, "").await;
    assert_done(&again);
    assert!(again.stdout.contains("test@example.com exists already"), "{}", again.stdout);
    assert_eq!(scratch.rows().await, (4, 3, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_flag_it_asks_and_starts_afresh() {
    let scratch = Scratch::in_use().await;
    for answer in ["", "\n", "no\n", "y\n", "YES\n"] {
        assert_refused(&scratch.run(&[], answer).await, "not confirmed; nothing was dropped");
    }
    let wrong = scratch.run(&[], "yes\nmydb\n").await;
    assert_refused(&wrong, "is not the database's name; nothing was dropped");
    assert_refused(
        &scratch.run(&[], "yes\n").await,
        "is not the database's name; nothing was dropped",
    );
    let input = |password: &str| format!("yes\n{}\n{password}\n", scratch.name);
    let weak = scratch.run(&["--password-stdin"], &input("short1")).await;
    assert_refused(&weak, "Password must be at least 8 characters long");
    let long = scratch.run(&["--password-stdin"], &input(&"a1".repeat(37))).await;
    assert_refused(&long, "Password must be at most 72 bytes long");
    assert_eq!(scratch.rows().await, (2, 1, 2));
    let done = scratch.run(&["--password-stdin"], &input(PASSWORD)).await;
    assert_done(&done);
    assert!(done.stdout.starts_with(DROPPED), "{}", done.stdout);
    let asked = format!(
        "Every table in database {} on 127.0.0.1 will be dropped. Type yes: ",
        scratch.name
    );
    assert!(done.stderr.starts_with(&asked), "{}", done.stderr);
    assert_eq!(scratch.rows().await, (1, 1, 0));
    let hash = scratch.hash("SELECT password_hash FROM users WHERE id <> 0").await;
    assert!(bcrypt::verify(PASSWORD, &hash).expect("a hash"));
    // Without usage there is nothing to name.
    assert_done(&scratch.run(&[], "yes\n").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn force_asks_nothing_but_the_name_of_a_database_with_usage() {
    let empty = Scratch::empty();
    assert_done(&empty.run_as("production", &["--force"], "").await);
    assert_eq!(empty.rows().await, (1, 1, 0));
    assert_refused(
        &empty.run(&["--force", "--database", "other"], "").await,
        "is not the database's name; nothing was dropped",
    );
    let scratch = Scratch::in_use().await;
    assert_refused(
        &scratch.run(&["--force"], "").await,
        "is not the database's name; nothing was dropped",
    );
    let wrong = scratch.run(&["--force", "--database", "mydb"], "").await;
    assert_refused(&wrong, "is not the database's name; nothing was dropped");
    assert_eq!(scratch.rows().await, (2, 1, 2));
    let typed = scratch.run(&["--force"], &format!("{}\n", scratch.name)).await;
    assert_done(&typed);
    assert_eq!(scratch.rows().await, (1, 1, 0));
    scratch
        .execute("INSERT INTO usage_logs (user_id, service, endpoint) VALUES (0, 's', 'e')")
        .await;
    assert_done(&scratch.run(&["--force", "--database", &scratch.name], "").await);
    assert_eq!(scratch.rows().await, (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_objects_survive_and_keep_what_they_stand_on() {
    let scratch = Scratch::in_use().await;
    scratch.execute("CREATE TABLE notes (user_id integer REFERENCES users (id))").await;
    let refused = scratch.run(&["--force", "--database", &scratch.name], "").await;
    assert_refused(&refused, "depends on table users; nothing was dropped");
    assert_eq!(scratch.rows().await, (2, 1, 2));
    scratch.execute("ALTER TABLE notes DROP COLUMN user_id").await;
    assert_done(&scratch.run(&["--force", "--database", &scratch.name], "").await);
    assert_eq!(scratch.number("SELECT count(*) FROM notes").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_is_refused_before_anything_is_asked() {
    let scratch = Scratch::in_use().await;
    let sentence = "refused in production: init-db --safe drops nothing, \
                    init-db --force drops everything";
    for arguments in [&[][..], &["--database", &scratch.name], &["test-user"]] {
        let refused = scratch.run_as("production", arguments, "yes\n").await;
        assert_refused(&refused, sentence);
    }
    assert_eq!(scratch.rows().await, (2, 1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_and_an_absent_server_have_their_exit_codes() {
    let scratch = Scratch::empty();
    let wrong = [&["frobnicate"][..], &["--safe", "--force"], &["--safe", "--database", "x"]];
    let wrong = wrong.into_iter().chain([&["--force", "test-user"][..], &["--email", "root"]]);
    for arguments in wrong {
        let refused = scratch.run(arguments, "yes\n").await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
    }
    assert!(scratch.run(&["--frobnicate"], "").await.stderr.contains("Usage:"));
    let misconfigured = binary::run_service(&["init-db", "--safe"], &[("PORT", "http")]).await;
    assert_eq!(misconfigured.code, Some(2), "{misconfigured:?}");
    let away = [("DATABASE_URL", "postgres://x@127.0.0.1:1/x")];
    for form in ["--safe", "--force"] {
        let failed = binary::run_service(&["init-db", form], &away).await;
        assert_eq!((failed.code, failed.stderr.lines().count()), (Some(1), 1), "{failed:?}");
        assert_eq!(failed.stderr.matches("Connection refused").count(), 1, "{failed:?}");
    }
}
