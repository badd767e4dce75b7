//! Who is at the other end, through as many proxies as are trusted.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Notes the client's address; `trusted` proxies in front have each appended one.
pub async fn assign(State(trusted): State<usize>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    if let Some(peer) = peer {
        let address = behind(peer, request.headers(), trusted);
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// The address that the outermost trusted proxy saw. Whatever stands further left in the header
/// was written by somebody else.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: usize) -> IpAddr {
    let values = headers.get_all(FORWARDED_FOR).into_iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut address = peer;
    for hop in hops.iter().rev().take(trusted) {
        match hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|a| a.ip())) {
            Ok(parsed) => address = parsed,
            Err(_) => break,
        }
    }
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn address(lines: &[&'static str], trusted: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
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
        assert_eq!(address(&["::ffff:1.2.3.4"], 1), "1.2.3.4");
        assert_eq!(address(&[], 1), "10.0.0.1");
    }
}
