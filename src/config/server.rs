//! Ports, limits and origins.

use std::time::Duration;

use super::{
    origins::Origins,
    reader::Reader,
    variables::{
        CORS_ORIGINS, DRAIN_SECONDS, EDGE_BURST, EDGE_RATE, MAX_CONNECTIONS, METRICS_PORT, PORT,
        SOCKETIO_ORIGINS, TRUSTED_PROXIES,
    },
};

/// How the service listens.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// TCP port on every interface; 0 takes any free one.
    pub port: u16,
    /// TCP port of `/metrics`; 0 takes any free one, `None` opens none.
    pub metrics_port: Option<u16>,
    /// How long draining may take before everything is stopped.
    pub drain: Duration,
    /// Open TCP connections at once.
    pub max_connections: usize,
    /// Proxies in front that append to `X-Forwarded-For`.
    pub trusted_proxies: usize,
    /// Requests a second of one client address.
    pub edge_rate: u32,
    /// Requests of one client address at once.
    pub edge_burst: u32,
    /// Browser origins that may call REST.
    pub cors_origins: Origins,
    /// Browser origins that may open a socket.
    pub socketio_origins: Origins,
}

impl ServerConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let cors = reader.text(&CORS_ORIGINS);
        Self {
            port: reader.number(&PORT, 0..=u16::MAX),
            metrics_port: metrics_port(reader),
            drain: Duration::from_secs(reader.number(&DRAIN_SECONDS, 0..=3600)),
            max_connections: reader.number(&MAX_CONNECTIONS, 1..=1_000_000),
            trusted_proxies: reader.number(&TRUSTED_PROXIES, 0..=10),
            edge_rate: reader.number(&EDGE_RATE, 1..=1_000_000),
            edge_burst: reader.number(&EDGE_BURST, 1..=1_000_000),
            cors_origins: Origins::parse(cors),
            socketio_origins: Origins::parse(reader.set(&SOCKETIO_ORIGINS).unwrap_or(cors)),
        }
    }
}

fn metrics_port(reader: &mut Reader<'_>) -> Option<u16> {
    let text = reader.text(&METRICS_PORT);
    if text.eq_ignore_ascii_case("off") {
        return None;
    }
    let port = text.parse().ok();
    if port.is_none() {
        reader.wrong(&METRICS_PORT, "off or a whole number from 0 to 65535");
    }
    port
}
