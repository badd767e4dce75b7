//! The real binary as a process of its own, which a test may kill.

use std::{collections::BTreeMap, path::PathBuf, process::Command, time::Duration};

use testkit::process::{Guard, free_port};

use super::{SOON, output};

/// A running binary.
pub struct ServiceProcess {
    pub guard: Guard,
    pub port: u16,
    log: PathBuf,
}

impl ServiceProcess {
    /// Starts the binary with exactly these variables, on a free port, without waiting for it.
    pub fn spawn(variables: &BTreeMap<String, String>) -> Self {
        let port = free_port().expect("a free port");
        let name = format!("audio-transcription-api-{}-{port}.log", uuid::Uuid::new_v4().simple());
        let log = output::folder().unwrap_or_else(std::env::temp_dir).join(name);
        // `env -i` rather than `env_clear`: nothing of this process's environment may decide.
        let mut command = Command::new("env");
        command.arg("-i").arg(format!("PORT={port}"));
        command.args(
            variables
                .iter()
                .filter(|(name, _)| *name != "PORT")
                .map(|(name, value)| format!("{name}={value}")),
        );
        command.arg(env!("CARGO_BIN_EXE_audio-transcription-api"));
        command.current_dir(std::env::temp_dir());
        let guard = Guard::spawn(&command, &log).expect("the binary starts");
        Self { guard, port, log }
    }

    /// Starts the binary and waits until it answers its health check.
    pub async fn start(variables: &BTreeMap<String, String>) -> Self {
        let process = Self::spawn(variables);
        process.wait_for_status("/health", 200, SOON).await;
        // Its token is printed a moment after it listens.
        let silent = variables.get("ENVIRONMENT").is_none_or(|name| name != "development");
        let told = async || silent || process.log().contains("#token=");
        testkit::wait_until("a token", SOON, told).await.expect("a development token");
        process
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The development token that it printed.
    pub fn token(&self) -> String {
        let log = self.log();
        let token = log.split("#token=").nth(1).and_then(|rest| rest.split_whitespace().next());
        token.unwrap_or_else(|| panic!("no token was printed:\n{log}")).to_owned()
    }

    /// The status of a path, or none while it does not answer.
    pub async fn status(&self, path: &str) -> Option<u16> {
        let answer = reqwest::get(format!("{}{path}", self.url())).await.ok()?;
        Some(answer.status().as_u16())
    }

    /// Waits until a path answers with that status.
    pub async fn wait_for_status(&self, path: &str, status: u16, deadline: Duration) {
        let what = format!("{path} to answer {status}");
        let waited =
            testkit::wait_until(&what, deadline, async || self.status(path).await == Some(status))
                .await;
        waited.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        if output::folder().is_none() {
            // What remains is a file in the temporary folder.
            drop(std::fs::remove_file(&self.log));
        }
    }
}
