//! A fault of our own: the task of a session panics.

use anyhow::Context;
use tokio::{runtime::Builder, task::spawn_blocking};

use crate::live_panic;

/// F6: on a thread of its own, whose log panics in the task of one session. The replica is in the
/// process of the tests, since nothing on the wire makes a session panic.
pub async fn one_session(_seed: u64) -> anyhow::Result<String> {
    let lived = spawn_blocking(|| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        anyhow::Ok(runtime.block_on(live_panic::one_session_panics()))
    });
    lived.await.context("a promise was broken, as is told above")?
}
