//! One private Postgres and one private Redis for the whole run, unless addresses are given.

use std::sync::OnceLock;

use testkit::process::{Postgres, Redis};

static POSTGRES: OnceLock<Postgres> = OnceLock::new();
static REDIS: OnceLock<Redis> = OnceLock::new();

/// The cluster in which every test makes its own database.
pub fn postgres() -> &'static Postgres {
    POSTGRES.get_or_init(|| Postgres::start().expect("a private postgres"))
}

/// The Redis that tests share; each has keys of its own in it.
pub fn redis() -> &'static Redis {
    REDIS.get_or_init(|| Redis::start().expect("a private redis"))
}

/// Where it is.
pub fn redis_url() -> String {
    redis().url()
}
