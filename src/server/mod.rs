//! The listener and everything that is built behind it.

use crate::config::Config;

/// Runs the service until it is told to stop. Fails if it cannot start or a critical task dies.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    anyhow::bail!("no listener yet in {}", config.environment.as_str())
}
