//! A real Postgres for tests: own folder, own port, gone with the test process.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use secrecy::SecretString;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use super::{Database, migrate};
use crate::config::{Config, DatabaseConfig, Env};

/// Runs the server until a line comes in, or until standard input ends, which the end of this
/// process does by itself and after which nothing is left.
const GUARD: &str = r#""$1/postgres" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 \
    >"$2/log" 2>&1 & pid=$!
    if read -r _; then kill -QUIT $pid; wait $pid; else kill -QUIT $pid; wait $pid; rm -rf "$2"; fi"#;

static SHARED: LazyLock<Server> = LazyLock::new(|| {
    let server = Server::prepare();
    server.start();
    server
});
static TEMPLATE: OnceCell<()> = OnceCell::const_new();

/// A server that a test may start and stop.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    guard: Mutex<Option<Child>>,
}

impl Server {
    /// Makes the folder and takes a port, without starting anything.
    pub(crate) fn prepare() -> Self {
        let folder = std::env::temp_dir().join(format!("pg-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder, port, guard: Mutex::new(None) };
        if let Some((user, group)) = unprivileged() {
            std::os::unix::fs::chown(&server.folder, Some(user), Some(group)).unwrap();
        }
        let mut initdb = command(&binaries().join("initdb"));
        initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D"]);
        let made = initdb.arg(server.folder.join("data")).stdout(Stdio::null()).status().unwrap();
        assert!(made.success());
        server
    }

    /// Starts it and waits until it answers.
    pub(crate) fn start(&self) {
        let mut guard = command(Path::new("/bin/sh"));
        guard.args(["-c", GUARD, "sh"]).arg(binaries()).arg(&self.folder);
        guard.arg(self.port.to_string()).stdin(Stdio::piped());
        *self.guard.lock().unwrap() = Some(guard.spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(30);
        let ready = || {
            let mut ready = command(&binaries().join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            ready.status().is_ok_and(|status| status.success())
        };
        while !ready() {
            assert!(Instant::now() < until, "postgres does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it at once, as a crash would.
    pub(crate) fn stop(&self) {
        if let Some(mut guard) = self.guard.lock().unwrap().take() {
            guard.stdin.take().unwrap().write_all(b"\n").unwrap();
            guard.wait().unwrap();
        }
    }

    /// The address of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database of that name, as a copy of another.
    pub(crate) async fn create(&self, database: &str, template: &str) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let statement = format!("CREATE DATABASE {database} TEMPLATE {template}");
        connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The server that all tests share.
pub(crate) fn shared() -> &'static Server {
    &SHARED
}

/// A name for a database that no other test has.
pub(crate) fn fresh_name() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}

/// An empty database on the shared server.
pub(crate) async fn empty_database() -> Database {
    let name = fresh_name();
    shared().create(&name, "template1").await;
    at(&shared().url(&name))
}

/// A database of its own on the shared server, with the schema in place.
pub(crate) async fn database() -> Database {
    let make_template = async || {
        shared().create("app", "template1").await;
        let database = at(&shared().url("app"));
        migrate(&database).await.unwrap();
        database.close().await;
    };
    TEMPLATE.get_or_init(make_template).await;
    let name = fresh_name();
    shared().create(&name, "app").await;
    at(&shared().url(&name))
}

/// A handle on that address, without connecting.
pub(crate) fn at(url: &str) -> Database {
    let url = SecretString::from(url);
    let config = DatabaseConfig { url, pool_size: 5, migrate_on_start: true };
    Database::new(&config).unwrap()
}

/// The default configuration, for everything else that a test needs.
pub(crate) fn config() -> Config {
    Config::load(&Env::default()).unwrap()
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command.current_dir("/");
    command
}

/// Postgres refuses to run as root, so root hands over to the `postgres` user.
fn unprivileged() -> Option<(u32, u32)> {
    static IDS: LazyLock<Option<(u32, u32)>> = LazyLock::new(|| {
        (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
    });
    *IDS
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// The newest installed version's binaries.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").unwrap();
    let newest = versions.map(|entry| entry.unwrap().path()).max().unwrap();
    newest.join("bin")
}
