//! What a proxy does with the bytes that it carries.

use std::time::Duration;

/// What happens to bytes that go one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// How late they arrive.
    pub delay: Duration,
    /// How many pass in a second; any number when `None`.
    pub bytes_per_second: Option<u32>,
    /// Whether they wait until this is undone, and ends of streams with them, as if packets were
    /// lost: what was sent meanwhile arrives then.
    pub held: bool,
}

/// How a proxy behaves. The default lets everything pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Whether nobody listens; open connections are left alone.
    pub refuses: bool,
    /// From clients to the target.
    pub up: Way,
    /// From the target to clients.
    pub down: Way,
}

impl Mode {
    /// Each way so late.
    pub fn delayed(up: Duration, down: Duration) -> Self {
        let way = |delay| Way { delay, ..Way::default() };
        Self { up: way(up), down: way(down), ..Self::default() }
    }

    /// Each connection no faster than so many bytes a second, each way.
    pub fn throttled(bytes_per_second: u32) -> Self {
        let way = Way { bytes_per_second: Some(bytes_per_second), ..Way::default() };
        Self { up: way, down: way, ..Self::default() }
    }

    /// Connections are taken and stay open, and nothing moves on them.
    pub fn blackhole() -> Self {
        let way = Way { held: true, ..Way::default() };
        Self { up: way, down: way, ..Self::default() }
    }

    /// Nobody listens.
    pub fn refusing() -> Self {
        Self { refuses: true, ..Self::default() }
    }
}
