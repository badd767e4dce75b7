//! Where Postgres and Redis are.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;

use super::{
    reader::Reader,
    variables::{DATABASE_POOL_SIZE, DATABASE_URL, MIGRATE_ON_START, REDIS_PREFIX, REDIS_URL},
};

/// How to reach Postgres.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Address with credentials; it parses.
    pub url: SecretString,
    /// Connections of one replica.
    pub pool_size: u32,
    /// Whether `serve` runs migrations.
    pub migrate_on_start: bool,
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let url = without_driver(reader.text(&DATABASE_URL));
        if !is_postgres(&url) || PgConnectOptions::from_str(&url).is_err() {
            reader.wrong(&DATABASE_URL, "a postgresql:// or postgres:// address");
        }
        Self {
            url: SecretString::from(url),
            pool_size: reader.number(&DATABASE_POOL_SIZE, 1..=200),
            migrate_on_start: reader.flag(&MIGRATE_ON_START),
        }
    }

    /// The address as connection options.
    pub fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        PgConnectOptions::from_str(self.url.expose_secret())
    }
}

/// SQLAlchemy, which the original used, names its driver in the scheme: `postgresql+psycopg2://`.
fn without_driver(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            format!("{}://{rest}", scheme.split_once('+').map_or(scheme, |(scheme, _)| scheme))
        }
        None => url.to_owned(),
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// How to reach Redis.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Address with credentials; it parses.
    pub url: SecretString,
    /// How every key and channel begins.
    pub prefix: String,
}

impl RedisConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let url = reader.text(&REDIS_URL);
        if !url.starts_with("redis") || fred::types::config::Config::from_url(url).is_err() {
            reader.wrong(&REDIS_URL, "a redis:// or rediss:// address");
        }
        let prefix = reader.text(&REDIS_PREFIX).to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if prefix.len() > 40 || !prefix.chars().all(plain) {
            reader.wrong(&REDIS_PREFIX, "1 to 40 letters, digits, -, _ or .");
        }
        Self { url: SecretString::from(url), prefix }
    }
}
