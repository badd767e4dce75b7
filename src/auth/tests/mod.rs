//! Forged tokens, floods of keys, credentials that end, logins, and rows that appear once.

mod accounts;
mod copies;
mod credentials;
mod flood;
mod forged;
mod forged_logins;
mod logins;
mod passwords;
mod sweep;
mod tenant;
mod vectors;

use crate::{
    config::{AuthConfig, Environment, RedisConfig},
    lifecycle::Shutdown,
    postgres::{Database, private},
    redis::Redis,
    telemetry::Metrics,
};

use super::{Authenticator, Backing, Secrets, Users};
use tenant::Tenant;

/// An authenticator whose tokens come from that tenant, in the test environment.
fn authenticator(tenant: &Tenant, database: Database) -> Authenticator {
    with(&tenant.config(), Environment::Test, database)
}

fn with(config: &AuthConfig, environment: Environment, database: Database) -> Authenticator {
    // Nobody listens there: what these tests look at must not need it.
    let redis = "redis://127.0.0.1:1";
    Replica::start(config, environment, database, redis).authenticator
}

/// An authenticator with what a test looks at or stops.
struct Replica {
    authenticator: Authenticator,
    redis: Redis,
    secrets: Secrets,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Replica {
    /// One whose Redis is there.
    fn start(
        config: &AuthConfig,
        environment: Environment,
        database: Database,
        redis: &str,
    ) -> Self {
        let (metrics, shutdown) = (Metrics::new().unwrap(), Shutdown::default());
        let redis = RedisConfig { url: redis.into(), prefix: "test".to_owned() };
        let redis = Redis::connect(&redis, &shutdown).unwrap();
        let secrets = Secrets::new(Some("shared by replicas".into()), None);
        let backing = Backing {
            database,
            redis: redis.clone(),
            secrets: secrets.clone(),
            users: Users::default(),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
        };
        let authenticator = Authenticator::new(config, environment, backing).unwrap();
        Self { authenticator, redis, secrets, metrics, shutdown }
    }
}

/// A database that nothing may need.
fn nowhere() -> Database {
    private::at("postgresql://127.0.0.1:1/none")
}
