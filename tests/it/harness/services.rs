//! One private Postgres and one private Redis for the whole run, unless addresses are given.

use std::sync::OnceLock;

use testkit::process::{Postgres, Redis};

static POSTGRES: OnceLock<Postgres> = OnceLock::new();
static REDIS: OnceLock<Redis> = OnceLock::new();

/// The cluster in which every test makes its own database.
pub fn postgres() -> &'static Postgres {
    POSTGRES.get_or_init(|| Postgres::start().expect("a private postgres"))
}

/// The Redis that tests share.
pub fn redis_url() -> String {
    REDIS.get_or_init(|| Redis::start().expect("a private redis")).url()
}
