//! A private Redis.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::folder::Folder;
use super::guard::{Guard, Signal};

const START: Duration = Duration::from_secs(10);

/// A Redis of our own, without persistence, on a port of loopback.
#[derive(Debug)]
pub struct Redis {
    guard: Option<Guard>,
    port: u16,
    arguments: Vec<String>,
    folder: Folder,
}

impl Redis {
    /// Starts one on a free port.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts one with further arguments, such as `--maxmemory 10mb`.
    pub fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (port, folder) = (super::free_port()?, Folder::create("redis")?);
        let mut redis = Self { guard: None, port, arguments, folder };
        redis.restart()?;
        Ok(redis)
    }

    /// `redis://127.0.0.1:<port>/0`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills it with SIGKILL; all data is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.guard.take().map_or(Ok(()), |mut guard| guard.kill())
    }

    /// Ends it in an orderly way.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut guard) = self.guard.take() else { return Ok(()) };
        guard.signal(Signal::Terminate)?;
        guard.wait(START).map(drop)
    }

    /// Freezes it: connections stay open and nothing is answered, until [`Self::thaw`].
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.guard.as_ref().context("not running")?.signal(Signal::Stop)
    }

    /// Ends a freeze.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.guard.as_ref().context("not running")?.signal(Signal::Continue)
    }

    /// Starts it again, empty, on the same port; kills it first if it runs.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no", "--dir"]).arg(self.folder.path());
        command.args(&self.arguments);
        let log = self.folder.path().join("log");
        let mut guard = Guard::spawn(&command, &log)?;
        let started = Instant::now();
        while self.command(&["PING"]).is_err() {
            if guard.exit_code()?.is_some() || started.elapsed() > START {
                bail!("redis did not start: {}", std::fs::read_to_string(&log)?);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.guard = Some(guard);
        Ok(())
    }

    /// Runs one command, such as `FLUSHALL`; the first 64 KiB of its raw answer.
    pub fn command(&self, words: &[&str]) -> anyhow::Result<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let words_sent = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let request = format!("*{}\r\n{}", words.len(), words_sent.collect::<String>());
        stream.write_all(request.as_bytes())?;
        let mut answer = vec![0; 64 * 1024];
        // A signal of a child that ended is no failure.
        let length = loop {
            match stream.read(&mut answer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        if answer.is_empty() || answer.starts_with('-') {
            bail!("redis answered {answer:?}");
        }
        Ok(answer)
    }
}
