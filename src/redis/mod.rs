//! Redis: a client that survives its server, and cached health.

mod keys;
mod listener;
mod script;
mod subscription;
#[cfg(test)]
mod tests;
mod turn;

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{
        Builder, RespVersion,
        config::{Config, ReconnectPolicy, UnresponsiveConfig},
    },
};
use secrecy::ExposeSecret;

pub use keys::Keys;
pub use listener::{Listener, News};
pub use subscription::Heard;

use crate::{
    config::RedisConfig,
    lifecycle::Shutdown,
    model::{Error, ErrorKind},
    probe::{Health, Probe},
};

/// How long a command waits, the time in which the server is away included.
const COMMAND_DEADLINE: Duration = Duration::from_millis(500);
/// Commands that may wait for a connection; more are refused at once.
const COMMAND_BUFFER: usize = 10_000;

/// A handle on Redis; cheap to clone.
#[derive(Clone, Debug)]
pub struct Redis {
    client: Client,
    keys: Keys,
    probe: Arc<Probe>,
}

impl Redis {
    /// Makes the client and lets it connect in the background, now and after every loss.
    ///
    /// Fails only if the address cannot be parsed: a server that is away is waited for.
    pub fn connect(config: &RedisConfig, shutdown: &Shutdown) -> Result<Self, fred::error::Error> {
        let mut redis = Config::from_url(config.url.expose_secret())?;
        redis.version = RespVersion::RESP3;
        redis.fail_fast = false;
        let client = builder(redis).build()?;
        keep_connected(client.clone(), shutdown);
        let probe = Arc::new(Probe::new(Duration::from_secs(1), Duration::from_secs(1)));
        Ok(Self { client, keys: Keys::new(&config.prefix), probe })
    }

    /// The names of keys and channels.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the server answers; at most a second old, and one `PING` a second at most.
    pub async fn health(&self) -> Health {
        let look = async || {
            let answer: Result<String, _> = self.client.ping(None).await;
            answer.map(drop).map_err(|error| error.to_string())
        };
        self.probe.check(look).await
    }
}

/// Connects in the background, now and after every loss, until the hard stop.
fn keep_connected(client: Client, shutdown: &Shutdown) {
    let stop = shutdown.hard().clone();
    shutdown.spawn(async move {
        let task = client.connect();
        stop.cancelled().await;
        // Nothing is pending that matters more than stopping.
        let _quit = tokio::time::timeout(COMMAND_DEADLINE, client.quit()).await;
        task.abort();
    });
}

/// The service's error for a command that failed.
pub fn unavailable(error: fred::error::Error) -> Error {
    Error::new(ErrorKind::DependencyUnavailable, "redis unavailable").because(error)
}

fn builder(config: Config) -> Builder {
    let mut builder = Builder::from_config(config);
    builder
        .set_policy(ReconnectPolicy::new_exponential(0, 100, 2000, 2))
        .with_performance_config(|performance| {
            performance.default_command_timeout = COMMAND_DEADLINE;
            performance.broadcast_channel_capacity = 8192;
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = Duration::from_secs(2);
            connection.max_command_buffer_len = COMMAND_BUFFER;
            connection.max_command_attempts = 1;
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(Duration::from_secs(2)),
                interval: Duration::from_millis(500),
            };
        });
    builder
}
