//! A child process that dies with its owner, even when the owner is killed.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Holds the child: kills it when our end of the pipe closes, which the kernel sees to even when
/// we are killed.
const KEEPER: &str = r#"
log=$1; shift
exec 3<&0
"$@" >>"$log" 2>&1 </dev/null 3<&- &
child=$!
echo "$child"
exec >/dev/null 2>&1
{ cat <&3; kill -KILL "$child"; } &
keeper=$!
wait "$child"
code=$?
kill -KILL "$keeper"
exit "$code"
"#;

/// Signals that tests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: please end.
    Terminate,
    /// SIGINT: please end; for Postgres, at once.
    Interrupt,
    /// SIGKILL.
    Kill,
    /// SIGSTOP: freeze.
    Stop,
    /// SIGCONT: thaw.
    Continue,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A running child. It is killed when this is dropped, or when this process dies in any way.
#[derive(Debug)]
pub struct Guard {
    keeper: Child,
    /// Open as long as the child may live.
    lifeline: Option<ChildStdin>,
    pid: u32,
}

impl Guard {
    /// Starts a command with its output appended to `log`.
    pub fn spawn(command: &Command, log: &Path) -> anyhow::Result<Self> {
        let mut keeper = Command::new("sh");
        keeper.args([OsString::from("-c"), KEEPER.into(), "keeper".into()]);
        keeper.arg(log).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => keeper.env(name, value),
                None => keeper.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            keeper.current_dir(folder);
        }
        let mut keeper =
            keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let lifeline = keeper.stdin.take();
        let stdout = keeper.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let pid = line.trim().parse().context("the child did not start")?;
        Ok(Self { keeper, lifeline, pid })
    }

    /// The child's process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal; an error when the child is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid.to_string();
        let sent = Command::new("kill").args(["-s", signal.name(), &pid]).output()?;
        if sent.status.success() {
            return Ok(());
        }
        bail!("process {pid} is gone")
    }

    /// The exit code, once the child has ended; 128 and more stand for a signal.
    pub fn exit_code(&mut self) -> anyhow::Result<Option<i32>> {
        Ok(self.keeper.try_wait()?.map(|status| status.code().unwrap_or(255)))
    }

    /// Waits for the end; its exit code.
    pub fn wait(&mut self, deadline: Duration) -> anyhow::Result<i32> {
        let started = Instant::now();
        loop {
            if let Some(code) = self.exit_code()? {
                return Ok(code);
            }
            if started.elapsed() >= deadline {
                bail!("process {} still runs after {deadline:?}", self.pid);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the kernel does when this process is killed.
    #[cfg(test)]
    pub(super) fn cut_lifeline(&mut self) {
        drop(self.lifeline.take());
    }

    /// Kills the child and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if self.exit_code()?.is_none() {
            self.signal(Signal::Kill)?;
        }
        self.wait(Duration::from_secs(10)).map(drop)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if matches!(self.keeper.try_wait(), Ok(None)) {
            // The lifeline ends the child if this does not.
            drop(self.signal(Signal::Kill));
            drop(self.wait(Duration::from_secs(5)));
        }
        drop(self.lifeline.take());
    }
}
