//! Passwords at work: a few at once, so that guessing them starves nobody.

use std::{sync::Arc, thread, time::Duration};

use bcrypt::HashParts;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::password;
use crate::{
    model::{Error, ErrorKind},
    telemetry::{Metrics, metrics::label},
};

/// The greatest cost that is computed: each step doubles the time, and 15 takes seconds.
const GREATEST_COST: u32 = 15;
/// Passwords that may wait for their turn.
const WAITING: usize = 64;
/// How long one may wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hashes and compares passwords; of more than 72 bytes bcrypt sees the first 72. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Those in line and at work.
    room: Arc<Semaphore>,
    /// Those at work.
    turns: Arc<Semaphore>,
    metrics: Metrics,
}

/// A place in line, then at work; held for as long as the processor is.
struct Turn(#[expect(dead_code, reason = "held, not read")] [OwnedSemaphorePermit; 2]);

impl Passwords {
    /// Leaves one core to everything else, where there are two.
    pub(super) fn new(metrics: Metrics) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let at_once = cores.saturating_sub(1).max(1);
        let room = Arc::new(Semaphore::new(at_once + WAITING));
        Self { room, turns: Arc::new(Semaphore::new(at_once)), metrics }
    }

    /// The hash of a new password, `$2b$`, as `users.password_hash` holds it.
    ///
    /// Fails with `Overloaded` where too many are in line already.
    pub async fn hash(&self, password: SecretString) -> Result<String, Error> {
        let hashed = self.compute(move || password::hash(password.expose_secret())).await?;
        self.count(if hashed.is_ok() { "hashed" } else { "failed" });
        hashed.map_err(internal)
    }

    /// Whether the password is the one behind a stored hash (`$2a$`, `$2b$` or `$2y$`).
    ///
    /// Without a hash, or with one that is not worth computing, the answer is no after the same
    /// time: how long it takes must not tell whether there is an account.
    pub async fn verify(
        &self,
        password: SecretString,
        stored: Option<String>,
    ) -> Result<bool, Error> {
        let stored = stored.filter(|hash| is_usable(hash));
        let usable = stored.is_some();
        let compared = self.compute(move || match stored {
            Some(hash) => bcrypt::verify(password.expose_secret(), &hash),
            None => password::hash(password.expose_secret()).map(|_| false),
        });
        let compared = compared.await?;
        self.count(match &compared {
            Ok(true) => "right",
            Ok(false) if usable => "wrong",
            Ok(false) => "nobody",
            Err(_) => "failed",
        });
        compared.map_err(internal)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.turn().await.inspect_err(|_| self.count("overloaded"))?;
        let work = move || {
            let result = work();
            // Here, not where the caller waits: one who hangs up does not free the processor.
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(internal)
    }

    async fn turn(&self) -> Result<Turn, Error> {
        let full = || Error::new(ErrorKind::Overloaded, "too many passwords are being checked");
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(|_| full())?;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(PATIENCE, turn).await.map_err(|_| full())?;
        Ok(Turn([place, turn.map_err(internal)?]))
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.password_hashes.add(1, &[label("outcome", outcome)]);
    }
}

/// Whether a hash is bcrypt's and can be computed within reason.
fn is_usable(hash: &str) -> bool {
    let version = ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version));
    let parts = hash.parse::<HashParts>().ok().filter(|_| version);
    parts.is_some_and(|parts| (4..=GREATEST_COST).contains(&parts.get_cost()))
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "internal error").because(error)
}
