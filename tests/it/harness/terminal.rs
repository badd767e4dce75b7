//! The real binary on a terminal, as a person would type into it.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// A program on a terminal of its own, which `script` makes.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    seen: String,
}

impl Terminal {
    /// Starts the service's binary with exactly these variables.
    pub fn open(arguments: &[&str], variables: &[(&'static str, String)]) -> Self {
        let line = [&[env!("CARGO_BIN_EXE_audio-transcription-api")], arguments].concat().join(" ");
        let mut command = Command::new(super::binary::need("script", "apt-get install bsdutils"));
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env_clear().envs(variables.iter().map(|(name, value)| (*name, value)));
        command.env("SHELL", "/bin/sh").current_dir(std::env::temp_dir());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("a terminal");
        let keyboard = child.stdin.take().expect("a keyboard");
        let screen = child.stdout.take().expect("a screen");
        Self { child, keyboard, screen, seen: String::new() }
    }

    /// Reads the screen until that text is on it.
    pub async fn wait_for(&mut self, text: &str, deadline: Duration) {
        let reading = async {
            while !self.seen.contains(text) {
                assert!(self.read().await, "the program ended without {text:?}");
            }
        };
        let waited = timeout(deadline, reading).await;
        waited.unwrap_or_else(|_| panic!("{text:?} never came: {}", self.seen));
    }

    /// Waits until what is typed is not shown; a question is on the screen a moment before.
    pub async fn wait_until_blind(&self, deadline: Duration) {
        let script = self.child.id().expect("it runs");
        let children = format!("/proc/{script}/task/{script}/children");
        let blind = async || {
            let program = std::fs::read_to_string(&children).unwrap_or_default();
            let input = format!("/proc/{}/fd/0", program.trim());
            let settings = Command::new("stty").args(["-a", "-F", &input]).output().await;
            String::from_utf8_lossy(&settings.expect("stty runs").stdout).contains(" -echo ")
        };
        testkit::wait_until("a blind terminal", deadline, blind).await.expect("blind");
    }

    /// Types a line.
    pub async fn enter(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).await.expect("typed");
    }

    /// Waits for the program's end; its exit code, and everything that was on the screen.
    pub async fn end(mut self, deadline: Duration) -> (Option<i32>, String) {
        let ending = async {
            while self.read().await {}
            self.child.wait().await.expect("it ends").code()
        };
        let code = timeout(deadline, ending).await;
        (code.unwrap_or_else(|_| panic!("it still runs: {}", self.seen)), self.seen)
    }

    async fn read(&mut self) -> bool {
        let mut buffer = [0; 1024];
        let length = self.screen.read(&mut buffer).await.unwrap_or(0);
        self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        length > 0
    }
}
