//! Files at addresses that callers name: fetched from where everybody could, and from nowhere else.

mod address;
mod target;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::http::{StatusCode, header};
use bytes::Bytes;
use reqwest::{Client, Response, Url, redirect};
use tokio::time::timeout;

pub use target::Refused;
use target::Target;

/// Redirects that are followed, each of which is looked at like the first address.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may stand still.
const STILL: Duration = Duration::from_secs(30);

/// What may be fetched.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Ports that may be asked for.
    pub ports: Vec<u16>,
    /// Hosts with ports that may be asked for wherever they are.
    pub allowed: Vec<(String, u16)>,
}

/// Fetches files of others. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vetted {
    rules: Arc<Rules>,
}

/// A file on its way.
#[derive(Debug)]
pub struct Coming {
    response: Response,
}

impl Vetted {
    /// Under those rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules: Arc::new(rules) }
    }

    /// Begins to fetch what is at that address.
    pub async fn open(&self, url: &str) -> Result<Coming, Refused> {
        let mut target = Target::parse(url, &self.rules)?;
        for _ in 0..=REDIRECTS {
            let addresses = target.resolve().await?;
            let response = get(&target, &addresses).await?;
            if !response.status().is_redirection() {
                return Coming::new(response);
            }
            let place = response.headers().get(header::LOCATION);
            let place = place.and_then(|place| place.to_str().ok()).ok_or(Refused::Answer)?;
            let next = target.url.join(place).map_err(|_| Refused::Malformed)?;
            target = Target::parse(next.as_str(), &self.rules)?;
        }
        Err(Refused::TooManyRedirects)
    }
}

/// Asks exactly those addresses: the name is not looked up again.
async fn get(target: &Target, addresses: &[SocketAddr]) -> Result<Response, Refused> {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .resolve_to_addrs(&target.host, addresses)
        .build();
    let url: Url = target.url.clone();
    let request = client.map_err(|_| Refused::Unreachable)?.get(url);
    let request = request.header(header::ACCEPT_ENCODING, "identity");
    let sent = timeout(STILL, request.send()).await.map_err(|_| Refused::Slow)?;
    sent.map_err(|error| {
        tracing::debug!("a file could not be fetched: {}", error.without_url());
        Refused::Unreachable
    })
}

impl Coming {
    fn new(response: Response) -> Result<Self, Refused> {
        if response.status() == StatusCode::OK {
            Ok(Self { response })
        } else {
            Err(Refused::Answer)
        }
    }

    /// How many bytes are announced.
    pub fn announced(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece; nothing at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Refused> {
        let read = timeout(STILL, self.response.chunk()).await.map_err(|_| Refused::Slow)?;
        read.map_err(|_| Refused::Unreachable)
    }
}
