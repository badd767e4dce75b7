//! Who is at the other end, through as many proxies as are trusted.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Once},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The part of an IPv6 address that a customer cannot choose.
const NETWORK: u128 = u128::MAX << 64;

/// The client's address, in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// What limits count by: an IPv4 address, or the /64 that an IPv6 customer has.
    pub fn network(&self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address @ IpAddr::V4(_) => address,
        }
    }
}

/// The proxies in front of this service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Proxies {
    trusted: usize,
    /// Where it matters that there are some that are not trusted, which is said once.
    told: Option<Arc<Once>>,
}

impl Proxies {
    /// So many proxies have each appended an address; in production an unexpected one is told.
    pub fn new(trusted: usize, is_production: bool) -> Self {
        let matters = trusted == 0 && is_production;
        Self { trusted, told: matters.then(|| Arc::new(Once::new())) }
    }

    fn look(&self, headers: &HeaderMap) {
        if let Some(told) = self.told.as_ref().filter(|_| headers.contains_key(FORWARDED_FOR)) {
            told.call_once(|| {
                tracing::warn!(
                    "a request carries X-Forwarded-For, but TRUSTED_PROXIES is 0: if a proxy sent \
                     it, all clients behind it share one limit: set TRUSTED_PROXIES"
                );
            });
        }
    }
}

/// Notes the client's address.
pub async fn assign(State(proxies): State<Proxies>, mut request: Request, next: Next) -> Response {
    proxies.look(request.headers());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    if let Some(peer) = peer {
        let address = behind(peer, request.headers(), proxies.trusted);
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// The address that the outermost trusted proxy saw. Whatever stands further left in the header
/// was written by somebody else.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: usize) -> IpAddr {
    let values = headers.get_all(FORWARDED_FOR).into_iter();
    // Bytes that are no text are a hop too: left out, they would make room for a forged one.
    let hops: Vec<&[u8]> =
        values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).collect();
    let mut address = peer;
    for hop in hops.iter().rev().take(trusted) {
        let Some(parsed) = parse(hop) else { break };
        address = parsed;
    }
    address.to_canonical()
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().or_else(|_| hop.parse().map(|address: SocketAddr| address.ip())).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn address(lines: &[&'static str], trusted: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        behind(IpAddr::from([10, 0, 0, 1]), &headers, trusted).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        assert_eq!(address(&["6.6.6.6, 1.2.3.4"], 0), "10.0.0.1");
        assert_eq!(address(&["6.6.6.6, 1.2.3.4"], 1), "1.2.3.4");
        assert_eq!(address(&["6.6.6.6, 1.2.3.4, 5.6.7.8"], 2), "1.2.3.4");
        assert_eq!(address(&["6.6.6.6", "1.2.3.4"], 1), "1.2.3.4");
        assert_eq!(address(&["1.2.3.4"], 3), "1.2.3.4");
        assert_eq!(address(&["evil, 1.2.3.4:443"], 2), "1.2.3.4");
        assert_eq!(address(&["2001:db8::1"], 1), "2001:db8::1");
        assert_eq!(address(&["[2001:db8::1]"], 1), "2001:db8::1");
        assert_eq!(address(&["[2001:db8::1]:443"], 1), "2001:db8::1");
        assert_eq!(address(&["::ffff:1.2.3.4"], 1), "1.2.3.4");
        assert_eq!(address(&["6.6.6.6", "\u{fffd}"], 1), "10.0.0.1");
        assert_eq!(address(&["6.6.6.6", ""], 1), "10.0.0.1");
        assert_eq!(address(&[], 1), "10.0.0.1");
    }

    #[test]
    fn an_ipv6_customer_is_one_network() {
        let network = |text: &str| ClientAddress(text.parse().unwrap()).network().to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:ffff::"), "2001:db8:1:2::");
        assert_eq!(network("1.2.3.4"), "1.2.3.4");
        assert_eq!(network("::ffff:1.2.3.4"), "1.2.3.4");
    }
}
