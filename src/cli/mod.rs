//! The commands of the binary, and the exit codes by which scripts know what happened.

mod announcement;
mod healthcheck;
mod init_db;
mod key;
mod question;
mod table;
#[cfg(test)]
mod tests;
mod user;
mod words;

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};

use crate::{
    config::{self, Config, Env, Faults},
    postgres::{self, Database},
};

/// How long blocking calls may go on once the service has stopped.
const LINGER: Duration = Duration::from_millis(200);

/// Real-time and recorded speech to text over Socket.IO, WebSocket and REST.
#[derive(Debug, Parser)]
#[command(name = "audio-transcription-api", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Default, Subcommand)]
enum Command {
    /// Run the service (the default)
    #[default]
    Serve,
    /// Bring the database schema up to date, then exit
    Migrate,
    /// Print every environment variable with its default and meaning
    Config {
        /// Print `docs/CONFIGURATION.md` instead
        #[arg(long, conflicts_with = "env_example")]
        markdown: bool,
        /// Print `.env.example` instead
        #[arg(long)]
        env_example: bool,
    },
    /// Make the schema and the first administrator, or everything afresh
    InitDb(init_db::Arguments),
    /// Make, list and change users
    #[command(subcommand)]
    User(user::Command),
    /// Make, list, revoke and renew API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Ask the running service on this machine for /health; exit 0 if it is well
    Healthcheck,
}

/// Why a command failed, as its exit code says it.
#[derive(Debug)]
enum Failure {
    /// The configuration cannot be used: exit code 2.
    Configuration(Faults),
    /// Anything else: exit code 1.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 2,
            Self::Other(_) => 1,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Configuration(faults) => faults.to_string(),
            Self::Other(error) => format!("{error:#}"),
        }
    }
}

/// Runs the command of the process's arguments: 0 is success, 2 a bad configuration or command
/// line, 1 any other failure.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; where they cannot be printed, nobody reads them.
            let _printed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    match execute(cli.command.unwrap_or_default(), Env::from_process) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(failure.sentence());
            ExitCode::from(failure.code())
        }
    }
}

fn complain(sentence: impl Display) {
    // A closed standard error leaves nobody to tell.
    let _written = writeln!(io::stderr(), "{sentence}");
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn execute(command: Command, env: fn() -> Result<Env, String>) -> Result<(), Failure> {
    match command {
        Command::Config { markdown: true, .. } => Ok(print(&config::markdown())?),
        Command::Config { env_example: true, .. } => Ok(print(&config::env_example())?),
        Command::Config { .. } => Ok(print(&config::text())?),
        Command::Serve => serve(load(env)?),
        Command::Migrate => on_database(&load(env)?, async |database| migrate(database).await),
        Command::InitDb(arguments) => {
            let config = load(env)?;
            on_database(&config, async |db| init_db::run(&config, db, arguments).await)
        }
        Command::User(command) => {
            let config = load(env)?;
            on_database(&config, async |db| user::run(&config, db, command).await)
        }
        Command::Key(command) => {
            let config = load(env)?;
            on_database(&config, async |db| key::run(&config, db, command).await)
        }
        Command::Healthcheck => {
            let port = load(env)?.server.port;
            Ok(runtime()?.block_on(healthcheck::ask(port))?)
        }
    }
}

fn serve(config: Config) -> Result<(), Failure> {
    let runtime = runtime()?;
    let served = runtime.block_on(crate::server::serve(config));
    // A blocking call, such as a name look-up, must not hold up the end.
    runtime.shutdown_timeout(LINGER);
    Ok(served?)
}

fn load(env: fn() -> Result<Env, String>) -> Result<Config, Failure> {
    let env = env().map_err(|fault| Failure::Configuration(Faults::one(fault)))?;
    Config::load(&env).map_err(Failure::Configuration)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Other(error.into()))
}

/// Runs a command that needs Postgres, and closes its connections.
fn on_database(
    config: &Config,
    command: impl AsyncFnOnce(&Database) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let database = Database::new(&config.database)?;
        let done = command(&database).await;
        database.close().await;
        done
    });
    runtime.shutdown_timeout(LINGER);
    Ok(done?)
}

async fn migrate(database: &Database) -> anyhow::Result<()> {
    match postgres::migrate(database).await {
        Ok(()) => print("Database initialized successfully\n"),
        Err(error) => Err(anyhow::anyhow!("Database initialization failed: {error}")),
    }
}
