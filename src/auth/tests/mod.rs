//! Forged tokens, floods of keys, credentials that end, and rows that appear once.

mod credentials;
mod flood;
mod forged;
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
    let (metrics, shutdown) = (Metrics::new().unwrap(), Shutdown::default());
    // Nobody listens there: what these tests look at must not need it.
    let redis = RedisConfig { url: "redis://127.0.0.1:1".into(), prefix: "test".to_owned() };
    let redis = Redis::connect(&redis, &shutdown).unwrap();
    let (secrets, users) = (Secrets::new(None, None), Users::default());
    let backing = Backing { database, redis, secrets, users, metrics, shutdown };
    Authenticator::new(config, environment, backing).unwrap()
}

/// A database that nothing may need.
fn nowhere() -> Database {
    private::at("postgresql://127.0.0.1:1/none")
}
