//! Ports, limits and origins.

use std::{net::IpAddr, time::Duration};

use axum::http::uri::Authority;

use super::{
    origins::Origins,
    reader::Reader,
    variables::{
        CORS_ORIGINS, DRAIN_SECONDS, EDGE_BURST, EDGE_RATE, MAX_CONNECTIONS, METRICS_PORT, PORT,
        REPLICA_ADDRESS, REPLICA_PORT, SOCKETIO_ORIGINS, TRUSTED_PROXIES, Variable,
    },
};

/// How the service listens.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// TCP port on every interface; 0 takes any free one.
    pub port: u16,
    /// TCP port of `/metrics`; 0 takes any free one, `None` opens none.
    pub metrics_port: Option<u16>,
    /// TCP port for other replicas; 0 takes any free one, `None` opens none.
    pub replica_port: Option<u16>,
    /// Where other replicas reach it, if that has to be said.
    pub replica_address: Option<ReplicaAddress>,
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

/// Where a replica is reached by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaAddress {
    /// A host name or an address, as it stands in a URL: IPv6 in brackets.
    pub host: String,
    /// The port, where it is not the one that is listened on.
    pub port: Option<u16>,
}

impl ReplicaAddress {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            return (!address.is_unspecified()).then_some(Self { host, port: None });
        }
        let authority: Authority = text.parse().ok().filter(|_| !text.contains('@'))?;
        let (host, port) = (authority.host().to_owned(), authority.port_u16());
        let rest = text.strip_prefix(&host)?;
        let port_is_good = rest.is_empty() || port.is_some_and(|port| port > 0);
        (port_is_good && !host.is_empty()).then_some(Self { host, port })
    }
}

impl ServerConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let cors = reader.text(&CORS_ORIGINS);
        Self {
            port: reader.number(&PORT, 0..=u16::MAX),
            metrics_port: port_or_off(reader, &METRICS_PORT),
            replica_port: port_or_off(reader, &REPLICA_PORT),
            replica_address: replica_address(reader),
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

fn port_or_off(reader: &mut Reader<'_>, variable: &Variable) -> Option<u16> {
    let text = reader.text(variable);
    if text.eq_ignore_ascii_case("off") {
        return None;
    }
    let port = text.parse().ok();
    if port.is_none() {
        reader.wrong(variable, "off or a whole number from 0 to 65535");
    }
    port
}

fn replica_address(reader: &mut Reader<'_>) -> Option<ReplicaAddress> {
    let text = reader.set(&REPLICA_ADDRESS)?;
    let address = ReplicaAddress::parse(text);
    if address.is_none() {
        reader.wrong(&REPLICA_ADDRESS, "a host name or an address, with a port or without");
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replicas_address_is_read_with_its_port_or_without() {
        let parsed = |text| ReplicaAddress::parse(text).map(|address| (address.host, address.port));
        let some = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(parsed("10.0.0.7"), some("10.0.0.7", None));
        assert_eq!(parsed("10.0.0.7:4000"), some("10.0.0.7", Some(4000)));
        assert_eq!(parsed("pod-1.internal"), some("pod-1.internal", None));
        assert_eq!(parsed("pod-1.internal:4000"), some("pod-1.internal", Some(4000)));
        assert_eq!(parsed("fd00::7"), some("[fd00::7]", None));
        assert_eq!(parsed("[fd00::7]:4000"), some("[fd00::7]", Some(4000)));
        let wrong = [
            "",
            "http://host",
            "a b",
            "host:",
            "host:0",
            "host:70000",
            "me@host",
            "0.0.0.0",
            "host/path",
            ":80",
        ];
        for text in wrong {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
