//! Shutdown in two steps, and the only way to spawn a task.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Handed to whoever spawns or must notice that the replica is going.
///
/// *Soft*: take no new work, finish what runs. *Hard*: the limit has come, stop at once.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Spawns a task that shutdown waits for.
    #[expect(clippy::disallowed_methods, reason = "this is the tracker that the ban points to")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tasks.track_future(task))
    }

    /// Cancelled when the replica starts to drain.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when the drain limit has passed.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Starts to drain.
    pub fn drain(&self) {
        self.soft.cancel();
    }

    /// Stops everything at once.
    pub fn abort(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Waits until every spawned task has ended.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
