//! A private Postgres.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::folder::Folder;
use super::guard::{Guard, Signal};

const START: Duration = Duration::from_secs(30);
const USER: &str = "postgres";

/// A Postgres cluster of our own: no fsync, any password, on a port of loopback.
#[derive(Debug)]
pub struct Postgres {
    guard: Option<Guard>,
    port: u16,
    binaries: PathBuf,
    folder: Folder,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes a cluster and starts it on a free port. Takes about a second.
    pub fn start() -> anyhow::Result<Self> {
        let (binaries, folder) = (find_binaries()?, Folder::create("postgres")?);
        if is_root()? {
            run(Command::new("chown").arg(server_user()?).arg(folder.path()))?;
        }
        let mut initdb = Command::new(binaries.join("initdb"));
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]);
        initdb.args(["--username", USER, "--pgdata"]).arg(folder.path().join("data"));
        run(&mut as_server_user(&initdb)?)?;
        let (port, databases) = (super::free_port()?, AtomicU32::new(0));
        let mut postgres = Self { guard: None, port, binaries, folder, databases };
        postgres.restart()?;
        Ok(postgres)
    }

    /// Starts another on a copy of this one, which follows it: what is committed here from then on
    /// is there too. Promote it with [`Self::promote`].
    pub fn follow(&self) -> anyhow::Result<Self> {
        let folder = Folder::create("postgres")?;
        if is_root()? {
            run(Command::new("chown").arg(server_user()?).arg(folder.path()))?;
        }
        let mut copy = Command::new(self.binaries.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"]);
        copy.args(["--no-sync", "--pgdata"]).arg(folder.path().join("data"));
        copy.arg("--dbname").arg(format!("{}?application_name=copy", self.url("postgres")));
        run(&mut as_server_user(&copy)?)?;
        let (port, binaries) = (super::free_port()?, self.binaries.clone());
        let mut copy =
            Self { guard: None, port, binaries, folder, databases: AtomicU32::new(1_000) };
        copy.restart()?;
        self.query("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.query("postgres", "SELECT pg_reload_conf()")?;
        let started = Instant::now();
        let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        while self.query("postgres", state)?.trim() != "1" {
            ensure!(started.elapsed() < START, "the copy does not follow");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(copy)
    }

    /// Makes a copy the one that is written to.
    pub fn promote(&self) -> anyhow::Result<()> {
        self.query("postgres", "SELECT pg_promote()").map(drop)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database; its URL.
    pub fn create_database(&self) -> anyhow::Result<String> {
        self.create_database_from("template0")
    }

    /// Makes a copy of a database that nobody is connected to; its URL.
    pub fn create_database_from(&self, template: &str) -> anyhow::Result<String> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        self.query("postgres", &format!(r#"CREATE DATABASE "{name}" TEMPLATE "{template}""#))?;
        Ok(self.url(&name))
    }

    /// Runs SQL in a database through `psql`; rows as lines, columns parted by `|`.
    pub fn query(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        psql.args(["--set", "ON_ERROR_STOP=1", "--command", sql]).arg(self.url(database));
        run(&mut psql)
    }

    /// Kills it with SIGKILL, as a crash would; committed data survives a restart.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.guard.take().map_or(Ok(()), |mut guard| guard.kill())
    }

    /// Ends it in an orderly way, cutting connections.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut guard) = self.guard.take() else { return Ok(()) };
        guard.signal(Signal::Interrupt)?;
        guard.wait(START).map(drop)
    }

    /// Starts it again on the same port and data; kills it first if it runs.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let mut server = Command::new(self.binaries.join("postgres"));
        server.arg("-D").arg(self.folder.path().join("data"));
        server.args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        let settings = ["fsync=off", "full_page_writes=off"];
        for setting in settings.into_iter().chain(["max_connections=300", "shared_buffers=32MB"]) {
            server.args(["-c", setting]);
        }
        let log = self.folder.path().join("log");
        let started = Instant::now();
        let mut guard = Guard::spawn(&as_server_user(&server)?, &log)?;
        while !self.is_ready()? {
            if let Some(code) = guard.exit_code()? {
                // The children of a killed server hold its memory for a moment.
                ensure!(
                    started.elapsed() < START,
                    "exit {code}: {}",
                    std::fs::read_to_string(&log)?
                );
                std::thread::sleep(Duration::from_millis(100));
                guard = Guard::spawn(&as_server_user(&server)?, &log)?;
            }
            if started.elapsed() > START {
                bail!("postgres did not start: {}", std::fs::read_to_string(&log)?);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.guard = Some(guard);
        Ok(())
    }

    fn is_ready(&self) -> anyhow::Result<bool> {
        let port = self.port.to_string();
        let mut probe = Command::new(self.binaries.join("pg_isready"));
        probe.args(["-q", "-h", "127.0.0.1", "-p", &port]);
        Ok(probe.output()?.status.success())
    }
}

/// The folder of the newest server's programs.
fn find_binaries() -> anyhow::Result<PathBuf> {
    if let Ok(found) = run(Command::new("sh").args(["-c", "command -v initdb"])) {
        let real = std::fs::canonicalize(found.trim())?;
        return real.parent().map(Path::to_owned).context("initdb has no folder");
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("no postgres is installed")?;
    let version = |path: &PathBuf| -> u32 {
        path.file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse().ok())
            .unwrap_or(0)
    };
    let newest = versions.filter_map(|entry| Some(entry.ok()?.path())).max_by_key(version);
    let binaries = newest.context("no postgres is installed")?.join("bin");
    ensure!(binaries.join("initdb").exists(), "no initdb in {}", binaries.display());
    Ok(binaries)
}

/// The command as it is, or under an ordinary user when we are root: Postgres refuses root.
fn as_server_user(command: &Command) -> anyhow::Result<Command> {
    let mut outer = if is_root()? {
        let user = server_user()?;
        let mut outer = Command::new("setpriv");
        outer.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]);
        outer.arg(command.get_program());
        outer
    } else {
        Command::new(command.get_program())
    };
    outer.args(command.get_args()).current_dir("/");
    Ok(outer)
}

fn is_root() -> anyhow::Result<bool> {
    Ok(run(Command::new("id").arg("-u"))?.trim() == "0")
}

fn server_user() -> anyhow::Result<&'static str> {
    let exists = |user: &str| run(Command::new("id").args(["-u", user])).is_ok();
    ["postgres", "daemon"].into_iter().find(|user| exists(user)).context("no user for postgres")
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
