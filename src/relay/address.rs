//! Where this replica is reached by the others.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use crate::config::ReplicaAddress;

/// An address far away, out of a range for documents: nothing is ever sent there.
const FAR: (&str, u16) = ("192.0.2.1", 9);

/// Host and port: as configured, else the address from which this machine speaks to the world.
pub fn own(configured: Option<&ReplicaAddress>, listening: u16) -> String {
    let Some(ReplicaAddress { host, port }) = configured else {
        return format!("{}:{listening}", outward());
    };
    format!("{host}:{}", port.unwrap_or(listening))
}

/// To connect a datagram socket chooses a route and sends nothing.
fn outward() -> IpAddr {
    let chosen = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect(FAR)?;
        socket.local_addr()
    });
    let chosen = chosen.map(|address| address.ip()).ok().filter(|ip| !ip.is_unspecified());
    chosen.unwrap_or(Ipv4Addr::LOCALHOST.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_wins_part_by_part() {
        let configured = |host: &str, port| Some(ReplicaAddress { host: host.into(), port });
        let own = |configured: Option<ReplicaAddress>| own(configured.as_ref(), 4000);
        assert_eq!(own(configured("pod", None)), "pod:4000");
        assert_eq!(own(configured("[fd00::7]", Some(5))), "[fd00::7]:5");
        let found: std::net::SocketAddr = own(None).parse().unwrap();
        assert!(!found.ip().is_unspecified() && found.port() == 4000, "{found}");
    }
}
