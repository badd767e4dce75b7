//! Waiting for a condition with a deadline, in place of a sleep.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::sync::watch;

/// How often a polled condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Polls `condition` until it holds; an error that names `what` after `deadline`.
pub async fn wait_until<F>(what: &str, deadline: Duration, mut condition: F) -> anyhow::Result<()>
where
    F: AsyncFnMut() -> bool,
{
    let started = Instant::now();
    loop {
        if condition().await {
            return Ok(());
        }
        if started.elapsed() >= deadline {
            bail!("waited {deadline:?} in vain for: {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A value that waiters are woken for whenever it changes.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    version: watch::Sender<u64>,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), version: watch::Sender::new(0) }
    }

    /// Changes the value and wakes whoever waits.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.version.send_modify(|version| *version += 1);
        result
    }

    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Waits until `find` answers; the error says what the value came to.
    pub(crate) async fn wait<R>(
        &self,
        deadline: Duration,
        mut find: impl FnMut(&T) -> Option<R>,
        describe: impl Fn(&T) -> String,
    ) -> anyhow::Result<R> {
        let mut version = self.version.subscribe();
        let until = tokio::time::Instant::now() + deadline;
        loop {
            version.mark_unchanged();
            if let Some(found) = self.read(&mut find) {
                return Ok(found);
            }
            if tokio::time::timeout_at(until, version.changed()).await.is_err() {
                let seen = self.read(&describe);
                bail!("waited {deadline:?} in vain; seen: {seen}");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.value)
    }
}

/// Locks; a panic elsewhere while holding the lock is that test's failure, not ours.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_never_holds_is_named() {
        let error = wait_until("rain", Duration::from_millis(1), async || false).await;
        assert!(error.unwrap_err().to_string().contains("rain"));
    }

    #[tokio::test]
    async fn a_change_wakes_the_waiter() {
        let watched = Watched::new(0);
        let find = |value: &i32| (*value == 1).then_some(());
        let waiter = watched.wait(Duration::from_secs(5), find, |value| format!("{value}"));
        let (found, ()) = tokio::join!(waiter, async { watched.update(|value| *value = 1) });
        found.unwrap();
    }
}
