//! Health of a dependency, asked for often and looked up rarely.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Mutex as AsyncMutex;

/// What a look-up found: nothing wrong, or the cause in a few words.
pub type Health = Result<(), String>;

/// Answers from the last look-up while it is fresh; at most one look-up runs at a time.
#[derive(Debug)]
pub struct Probe {
    fresh_for: Duration,
    deadline: Duration,
    looking: AsyncMutex<()>,
    last: Mutex<Option<(Instant, Health)>>,
}

impl Probe {
    /// A probe that looks at most once a `fresh_for`, and waits at most `deadline` for it.
    pub fn new(fresh_for: Duration, deadline: Duration) -> Self {
        Self { fresh_for, deadline, looking: AsyncMutex::new(()), last: Mutex::new(None) }
    }

    /// The health, at most `fresh_for` old, or what was last known while another caller looks.
    pub async fn check<F>(&self, look: impl FnOnce() -> F) -> Health
    where
        F: Future<Output = Health>,
    {
        if let Some(health) = self.fresh() {
            return health;
        }
        let turn = match (self.looking.try_lock(), self.known()) {
            (Ok(turn), _) => turn,
            (Err(_), Some(health)) => return health,
            (Err(_), None) => self.looking.lock().await,
        };
        // Another caller may have looked while this one waited for its turn.
        if let Some(health) = self.fresh() {
            return health;
        }
        let timed = tokio::time::timeout(self.deadline, look()).await;
        let health = timed.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), health.clone()));
        drop(turn);
        health
    }

    fn fresh(&self) -> Option<Health> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < self.fresh_for).map(|(_, h)| h.clone())
    }

    fn known(&self) -> Option<Health> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(_, health)| health.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_questions_make_one_look() {
        let probe = Probe::new(Duration::from_mins(1), Duration::from_secs(1));
        let looks = AtomicUsize::new(0);
        let ask = || {
            probe.check(async || {
                looks.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(())
            })
        };
        let answers = futures_util::future::join_all((0..1000).map(|_| ask())).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(looks.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_unhealthy() {
        let probe = Probe::new(Duration::ZERO, Duration::from_millis(50));
        let health = probe.check(std::future::pending).await;
        assert_eq!(health, Err("no answer in time".to_owned()));
    }
}
