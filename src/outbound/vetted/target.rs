//! What a caller's address names, and where that is.

use std::{net::SocketAddr, time::Duration};

use reqwest::Url;
use tokio::{net::lookup_host, time::timeout};

use super::{Rules, address::is_public};

/// Bytes of an address.
const MOST_BYTES: usize = 4_096;
const LOOKUP: Duration = Duration::from_secs(5);

/// Why something is not fetched; the text says nothing of what is where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no address.
    #[error("it is not an http or https address")]
    Malformed,
    /// It names a place that is not everybody's.
    #[error("its host or port is not allowed")]
    Forbidden,
    /// Nobody answers there.
    #[error("it cannot be reached")]
    Unreachable,
    /// It takes too long.
    #[error("it took too long")]
    Slow,
    /// What is answered is no file.
    #[error("it does not answer with a file")]
    Answer,
    /// It leads on and on.
    #[error("it redirects too often")]
    TooManyRedirects,
}

/// A place that may be asked, as far as its name says.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) host: String,
    port: u16,
    is_allowed: bool,
}

impl Target {
    pub(super) fn parse(text: &str, rules: &Rules) -> Result<Self, Refused> {
        if text.len() > MOST_BYTES {
            return Err(Refused::Malformed);
        }
        let url = Url::parse(text.trim()).map_err(|_| Refused::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Malformed);
        }
        // What stands before an `@` misleads readers.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Forbidden);
        }
        let host = url.host_str().ok_or(Refused::Malformed)?.to_owned();
        let port = url.port_or_known_default().ok_or(Refused::Malformed)?;
        let is_allowed = rules.allowed.iter().any(|(known, at)| *known == host && *at == port);
        if !is_allowed && !rules.ports.contains(&port) {
            return Err(Refused::Forbidden);
        }
        Ok(Self { url, host, port, is_allowed })
    }

    /// Where it is: every address that its name has must be everybody's.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, Refused> {
        let name = self.host.trim_start_matches('[').trim_end_matches(']');
        let found = timeout(LOOKUP, lookup_host((name, self.port))).await;
        let found = found.map_err(|_| Refused::Slow)?.map_err(|_| Refused::Unreachable)?;
        let found: Vec<SocketAddr> = found.collect();
        match found {
            found if found.is_empty() => Err(Refused::Unreachable),
            found if self.is_allowed => Ok(found),
            found if found.iter().all(|address| is_public(address.ip())) => Ok(found),
            _ => Err(Refused::Forbidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { ports: vec![80, 443], allowed: vec![("10.0.0.7".into(), 9000)] }
    }

    async fn vet(text: &str) -> Result<Vec<SocketAddr>, Refused> {
        Target::parse(text, &rules())?.resolve().await
    }

    #[tokio::test]
    async fn what_is_everybodys_may_be_asked() {
        for text in
            ["http://93.184.215.14/a.wav", "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/"]
        {
            assert!(vet(text).await.is_ok(), "{text}");
        }
        assert!(vet("http://10.0.0.7:9000/bucket/a.wav").await.is_ok(), "it is in the list");
        assert_eq!(vet("http://10.0.0.7:80/").await, Err(Refused::Forbidden));
    }

    #[tokio::test]
    async fn what_is_no_address_of_a_file_is_refused() {
        for text in [
            "file:///etc/passwd",
            "gopher://93.184.215.14/",
            "ftp://93.184.215.14/a.wav",
            "data:audio/wav;base64,AAAA",
            "//93.184.215.14/",
            "a.wav",
            "",
            "http://",
        ] {
            assert_eq!(vet(text).await, Err(Refused::Malformed), "{text}");
        }
        for text in
            ["http://93.184.215.14:25/", "http://93.184.215.14:6379/", "http://a@93.184.215.14/"]
        {
            assert_eq!(vet(text).await, Err(Refused::Forbidden), "{text}");
        }
        assert_eq!(
            vet(&format!("http://a/{}", "x".repeat(MOST_BYTES))).await,
            Err(Refused::Malformed)
        );
    }
}
