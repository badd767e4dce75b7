//! Background tasks that end when their owner is dropped.

use std::future::Future;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Spawns tasks that end with it.
#[derive(Debug)]
pub(crate) struct Tasks {
    spawner: Spawner,
    _guard: DropGuard,
}

/// A handle to spawn with, for tasks that start others.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        let token = CancellationToken::new();
        let spawner = Spawner { tracker: TaskTracker::new(), token: token.clone() };
        Self { spawner, _guard: token.drop_guard() }
    }

    pub(crate) fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }
}

impl Spawner {
    /// Runs `task` until it ends or the owner is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        self.tracker.spawn(async move {
            token.run_until_cancelled(task).await;
        });
    }
}
