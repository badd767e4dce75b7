//! Forged tokens, floods of keys, credentials that end, and rows that appear once.

mod credentials;
mod flood;
mod forged;
mod tenant;

use crate::{
    config::{AuthConfig, Environment},
    lifecycle::Shutdown,
    postgres::{Database, private},
    telemetry::Metrics,
};

use super::Authenticator;
use tenant::Tenant;

/// An authenticator whose tokens come from that tenant, in the test environment.
fn authenticator(tenant: &Tenant, database: Database) -> Authenticator {
    with(&tenant.config(), Environment::Test, database)
}

fn with(config: &AuthConfig, environment: Environment, database: Database) -> Authenticator {
    let metrics = Metrics::new().unwrap();
    let shutdown = Shutdown::default();
    Authenticator::new(config, environment, database, metrics, &shutdown).unwrap()
}

/// A database that nothing may need.
fn nowhere() -> Database {
    private::at("postgresql://127.0.0.1:1/none")
}
