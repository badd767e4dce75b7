//! Tells running replicas what no longer holds, as a replica itself would.

use std::time::Duration;

use fred::interfaces::ClientLike;

use crate::{
    auth::{Revoked, revocations},
    config::RedisConfig,
    lifecycle::Shutdown,
    redis::Redis,
};

/// How long Redis may take; the command's work is done already.
const DEADLINE: Duration = Duration::from_secs(2);

/// Tells every replica, or says on standard error that they notice by themselves.
pub(super) async fn announce(config: &RedisConfig, revoked: &Revoked) {
    let shutdown = Shutdown::default();
    let telling = async {
        let redis = Redis::connect(config, &shutdown)?;
        redis.client().wait_for_connect().await?;
        revocations::publish(&redis, revoked).await
    };
    let told = tokio::time::timeout(DEADLINE, telling).await;
    let why = match told {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer in time".to_owned()),
    };
    if let Some(why) = why {
        super::complain(format!("redis is away ({why}): replicas notice within a minute"));
    }
    shutdown.abort();
    // A connection that cannot say goodbye is closed by the end of the process.
    let _closed = tokio::time::timeout(DEADLINE, shutdown.wait()).await;
}
