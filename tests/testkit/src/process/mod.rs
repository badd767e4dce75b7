//! Child processes that never outlive the tests: any command, a private Postgres, a private Redis.

mod folder;
mod guard;
mod postgres;
mod redis;
#[cfg(test)]
mod tests;

use std::net::TcpListener;

pub use guard::{Guard, Signal};
pub use postgres::Postgres;
pub use redis::Redis;

/// A port of loopback that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
