//! `user` and `key` on a running replica's database: what they print, change and refuse, and how
//! soon the replica knows.

use std::time::Duration;

use serde_json::Value;
use testkit::raw_ws::Refused;

use crate::harness::{
    Ledger, SOON, Setup, Terminal, TestApp,
    binary::{self, Finished},
    doors, postgres, redis_url,
};

/// How soon a replica refuses what was taken back.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What the commands and a replica have in common.
struct Shared {
    variables: Vec<(&'static str, String)>,
}

impl Shared {
    /// An empty database, brought up to date.
    async fn new() -> Self {
        let shared = Self::without_schema();
        shared.done("migrate", "").await;
        shared
    }

    fn without_schema() -> Self {
        let prefix = format!("cli-{}", uuid::Uuid::new_v4().simple());
        let url = postgres().create_database().expect("a database");
        let variables = vec![
            ("ENVIRONMENT", "development".to_owned()),
            ("DATABASE_URL", url),
            ("REDIS_URL", redis_url()),
            ("REDIS_PREFIX", prefix),
        ];
        Self { variables }
    }

    async fn replica(&self) -> TestApp {
        let with = |setup: Setup, (name, value): &(&str, String)| setup.with(name, value);
        self.variables.iter().fold(Setup::new(), with).start().await
    }

    /// Runs a command whose words hold no space.
    async fn run(&self, words: &str, input: &str) -> Finished {
        let words: Vec<&str> = words.split(' ').collect();
        let variables: Vec<_> =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        binary::tell_service(&words, &variables, input).await
    }

    /// Runs one that must succeed without a complaint; what it printed.
    async fn done(&self, words: &str, input: &str) -> String {
        let finished = self.run(words, input).await;
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
        finished.stdout
    }

    async fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.done(words, "").await).expect("JSON")
    }

    /// Runs one that must be refused with exactly that sentence.
    async fn refused(&self, words: &str, sentence: &str) {
        let finished = self.run(words, "").await;
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{finished:?}");
        assert_eq!(finished.stderr, format!("{sentence}\n"), "{words}");
    }

    /// A user with a key; the key's text.
    async fn ada(&self) -> String {
        self.done("user create --email ada@example.com", "").await;
        let made = self.json("key create ada@example.com --json").await;
        made["api_key"].as_str().expect("a key").to_owned()
    }

    async fn text(&self, query: &'static str) -> String {
        let rows = Ledger(&self.variables[1].1).rows::<(String,)>(query).await;
        rows.expect("the query runs")[0].0.clone()
    }
}

async fn assert_admitted(app: &TestApp, key: &str) {
    let (_, greeting) = doors::websocket(&app.url(), key).await.expect("admitted");
    assert_eq!(greeting["auth_type"], "api_key");
}

/// Waits until the replica, which remembers keys for a minute, refuses this one.
async fn assert_refused_at_once(app: &TestApp, key: &str) {
    let refused = async || match doors::websocket(&app.url(), key).await {
        Ok(_) => false,
        Err(error) => error.downcast_ref::<Refused>().expect("an answer").status == 401,
    };
    testkit::wait_until("the key to be refused", AT_ONCE, refused).await.expect("refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_is_refused_at_once_until_enabled() {
    let shared = Shared::new().await;
    let app = shared.replica().await;
    let key = shared.ada().await;
    assert_admitted(&app, &key).await;
    let told = shared.done("user disable ADA@example.com", "").await;
    assert_eq!(told, "User 1 (ada@example.com) is disabled\n");
    assert_refused_at_once(&app, &key).await;
    shared.refused("key create 1", "User 1 (ada@example.com) is disabled").await;
    let told = shared.done("user enable 1", "").await;
    assert_eq!(told, "User 1 (ada@example.com) is enabled\n");
    assert_admitted(&app, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_at_once_and_no_other() {
    let shared = Shared::new().await;
    let app = shared.replica().await;
    let (key, other) = (shared.ada().await, shared.json("key create 1 --json").await);
    assert_admitted(&app, &key).await;
    assert_eq!(shared.done("key revoke 1", "").await, "Key 1 of user 1 is revoked\n");
    assert_refused_at_once(&app, &key).await;
    assert_admitted(&app, other["api_key"].as_str().expect("a key")).await;
    shared.refused("key renew 1", "key 1 is revoked: make a new one").await;
    shared.refused("key revoke 9", "there is no key 9").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_known_to_a_running_replica_at_once() {
    let shared = Shared::new().await;
    let app = shared.replica().await;
    let key = shared.ada().await;
    let plan = async || {
        let principal = app.running.app.auth.authenticate(&key).await.expect("authenticated");
        principal.plan.as_str()
    };
    assert_eq!(plan().await, "free");
    let told = shared.done("user set-plan 1 pro", "").await;
    assert_eq!(told, "User 1 (ada@example.com) is on plan pro\n");
    let known = async || plan().await == "pro";
    testkit::wait_until("the plan to be known", AT_ONCE, known).await.expect("known");
    assert_eq!(shared.run("user set-plan 1 legacy", "").await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_key_is_renewed_and_never_shortened() {
    let shared = Shared::new().await;
    let app = shared.replica().await;
    shared.ada().await;
    shared.refused("key renew 1", "key 1 never ends").await;
    let made = shared.json("key create 1 --json --expires-in-days 30").await;
    let key = made["api_key"].as_str().expect("a key");
    let pool = app.running.app.database.pool();
    let past = "UPDATE api_keys SET expires_at = timezone('utc', now()) - interval '1 s'";
    sqlx::query(past).execute(pool).await.expect("it runs");
    assert_refused_at_once(&app, key).await;
    let told = shared.done("key renew 2 --days 10", "").await;
    assert!(told.starts_with("Key 2 of user 1 ends at 20"), "{told}");
    assert_admitted(&app, key).await;
    let left = "SELECT round(extract(epoch FROM expires_at - timezone('utc', now())) / 86400)::text \
                FROM api_keys WHERE id = 2";
    assert_eq!(shared.text(left).await, "10");
    let shorter = shared.run("key renew 2 --days 9", "").await;
    assert_eq!(shorter.code, Some(1), "{shorter:?}");
    assert!(shorter.stderr.ends_with(" UTC already, which is later\n"), "{shorter:?}");
    assert_eq!(shared.run("key renew 2 --days 0", "").await.code, Some(2));
    shared.done("key renew 2", "").await;
    assert_eq!(shared.text(left).await, "365");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_made_once_with_a_password_that_is_given_or_shown() {
    let shared = Shared::new().await;
    let told = shared.done("user create --email Ada@Example.com --plan pro", "").await;
    let (sentence, password) = told.split_once('\n').expect("two lines");
    assert_eq!(sentence, "User 1 (ada@example.com) was made on plan pro");
    let password = password.trim().strip_prefix("Password, not shown again: ").expect("it");
    let hash = "SELECT password_hash FROM users WHERE id = 1 AND NOT email_verified";
    assert!(bcrypt::verify(password, &shared.text(hash).await).expect("a hash"));
    let taken = "User 1 (ada@example.com) has that address already";
    shared.refused("user create --email ada@example.com", taken).await;
    let words = "user create --email bob@example.com --first-name Bob --last-name B --company Co \
                 --json --password-stdin";
    let told = shared.done(words, "battery 7 staple\n").await;
    let made: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&made["plan"], &made["password"]), (&"free".into(), &Value::Null), "{made}");
    let row = "SELECT concat_ws(' ', first_name, last_name, company) FROM users WHERE id = 2";
    assert_eq!(shared.text(row).await, "Bob B Co");
    let hash = shared.text("SELECT password_hash FROM users WHERE id = 2").await;
    assert!(bcrypt::verify("battery 7 staple", &hash).expect("a hash"));
    shared
        .refused(
            "user create --email c@example.com --password-stdin",
            "standard input holds no password",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_tables_for_people_and_json_for_scripts() {
    let shared = Shared::new().await;
    let key = shared.ada().await;
    let table = shared.done("user list", "").await;
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["id", "user", "plan", "active", "created", "(UTC)", "keys"]);
    assert_eq!(lines[1][..4], ["0", "system@legacy.com", "legacy", "yes"]);
    assert_eq!(lines[2][..4], ["1", "ada@example.com", "free", "yes"]);
    assert_eq!(lines[2].last(), Some(&"1"), "{table}");
    let users = shared.json("user list --json").await;
    assert_eq!((&users[1]["email"], &users[1]["keys"]), (&"ada@example.com".into(), &1.into()));
    assert!(users[1]["created_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{users}");
    let table = shared.done("key list 1", "").await;
    assert!(table.contains("1   API Key  usr_1_****  yes"), "{table}");
    let keys = shared.json("key list 1 --json").await;
    assert_eq!(keys[0]["key_preview"], "usr_1_****");
    assert_eq!((&keys[0]["is_active"], &keys[0]["expires_at"]), (&true.into(), &Value::Null));
    assert!(!table.contains(&key) && !keys.to_string().contains(&key), "a key is shown once");
    assert_eq!(shared.json("key list 0 --json").await, Value::Array(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_must_be_that_of_one_user_who_can_be_changed() {
    let shared = Shared::new().await;
    let app = shared.replica().await;
    let rows = "INSERT INTO users (email, auth0_sub) VALUES ('Ada@example.com', 'auth0|ada'), \
                ('ada@example.com', NULL), (NULL, 'auth0|bob')";
    sqlx::query(rows).execute(app.running.app.database.pool()).await.expect("it runs");
    let told = shared.done("user set-plan auth0|bob pro", "").await;
    assert_eq!(told, "User 3 (auth0|bob) is on plan pro\n");
    let told = shared.done("user disable Ada@example.com", "").await;
    assert_eq!(told, "User 1 (Ada@example.com) is disabled\n");
    let several = r#""ADA@example.com" is the name of several users: give an id"#;
    shared.refused("user disable ADA@example.com", several).await;
    shared.refused("user enable 77", r#"there is no user "77""#).await;
    let system = "user 0 is whoever holds API_KEY: change or unset that variable";
    shared.refused("user disable 0", system).await;
    shared.refused("user set-plan system@legacy.com pro", system).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_it_is_done_all_the_same_and_says_so() {
    let mut shared = Shared::new().await;
    shared.ada().await;
    shared.variables[2].1 = "redis://127.0.0.1:1".to_owned();
    let words = ["user disable 1", "user enable 1", "user set-plan 1 pro", "key revoke 1"];
    let runs = words.map(|words| shared.run(words, ""));
    for finished in futures_util::future::join_all(runs).await {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let said = finished.stderr.ends_with("replicas notice within a minute\n");
        assert!(said && finished.stderr.lines().count() == 1, "{finished:?}");
    }
    assert_eq!(shared.json("key list 1 --json").await[0]["is_active"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_it_says_why() {
    let mut shared = Shared::without_schema();
    shared.variables[1].1 = "postgres://x@127.0.0.1:1/x".to_owned();
    for words in ["user list", "key revoke 1"] {
        let finished = shared.run(words, "").await;
        assert_eq!((finished.code, finished.stderr.lines().count()), (Some(1), 1), "{finished:?}");
        let why = finished.stderr.starts_with("database unavailable: ");
        assert!(why && finished.stderr.contains("Connection refused"), "{finished:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_schema_it_says_what_makes_one() {
    let shared = Shared::without_schema();
    let sentence = "there is no schema yet: run migrate or init-db --safe first";
    for words in ["user list", "user create --email a@example.com", "key list 1", "key revoke 1"] {
        shared.refused(words, sentence).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_explains_itself() {
    let shared = Shared::without_schema();
    let groups = [
        ("init-db", &["--safe", "--force", "--database", "--email", "test-user"][..]),
        ("init-db test-user", &["--password-stdin"]),
        ("user", &["create", "list", "set-plan", "disable", "enable"]),
        ("user create", &["--email", "--plan", "--password-stdin", "--json"]),
        ("user list", &["--json"]),
        ("user set-plan", &["<USER>", "free, pro, enterprise"]),
        ("user disable", &["<USER>"]),
        ("user enable", &["<USER>"]),
        ("key", &["create", "list", "revoke", "renew"]),
        ("key create", &["--name", "--expires-in-days", "--json"]),
        ("key list", &["<USER>", "--json"]),
        ("key revoke", &["<KEY>"]),
        ("key renew", &["<KEY>", "--days", "365"]),
    ];
    for (words, named) in groups {
        let help = shared.done(&format!("{words} --help"), "").await;
        for word in named {
            assert!(help.contains(word), "{words}: {word}:\n{help}");
        }
        let wrong = shared.run(&format!("{words} --frobnicate"), "").await;
        assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(wrong.stderr.contains("Usage:"), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_typed_twice_and_unseen() {
    let shared = Shared::new().await;
    let mut terminal =
        Terminal::open(&["user", "create", "--email", "ada@example.com"], &shared.variables);
    for question in ["one is made up): ", "The same again: "] {
        terminal.wait_for(question, SOON).await;
        terminal.wait_until_blind(SOON).await;
        terminal.enter("battery 7 staple").await;
    }
    let (code, seen) = terminal.end(SOON).await;
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("User 1 (ada@example.com) was made on plan free"), "{seen}");
    assert!(!seen.contains("staple"), "{seen}");
    let hash = shared.text("SELECT password_hash FROM users WHERE id = 1").await;
    assert!(bcrypt::verify("battery 7 staple", &hash).expect("a hash"));
}
