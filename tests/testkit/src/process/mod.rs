//! Child processes that never outlive the tests: any command, a private Postgres, a private Redis,
//! a balancer.

mod folder;
mod guard;
mod haproxy;
mod postgres;
mod redis;
#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::ops::Range;

use anyhow::bail;
use uuid::Uuid;

pub use guard::{Guard, Signal};
pub use haproxy::Haproxy;
pub use postgres::Postgres;
pub use redis::Redis;

/// Below the range that outgoing connections take theirs from, so that a server can be stopped and
/// started again on its port.
const PORTS: Range<u16> = 20_000..32_000;

/// A port of loopback that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        let port = PORTS.start + ((high ^ low) % u64::from(PORTS.end - PORTS.start)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}
