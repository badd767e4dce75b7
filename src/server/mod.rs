//! The listener and everything that is built behind it.

use crate::config::Config;

/// Runs the service until it is told to stop. Fails if it cannot start or a critical task dies.
#[expect(clippy::unused_async, reason = "the listener that is built here next awaits")]
pub async fn serve(config: Config) -> anyhow::Result<()> {
    anyhow::bail!("no listener yet in {}", config.environment.as_str())
}
