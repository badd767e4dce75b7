//! One request on its way to the replica that holds its session, and the answer on its way back.

use std::{error::Error as _, io, sync::PoisonError, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, request, uri::Scheme},
    response::Response,
};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::timeout;
use tower_http::timeout::TimeoutBody;
use uuid::Uuid;

use super::{
    Relay, hygiene, introduction,
    refusal::{Refusal, Why},
    seal::{self, Letter},
};
use crate::{
    auth::Secrets,
    fleet::{HEARTBEAT, Tag},
    web::{
        client_address::ClientAddress,
        request_id::{self, RequestId},
    },
};

/// How long an answer may take to begin: longer than the engine lets a poll wait.
const ANSWER: Duration = Duration::from_secs(35);
/// How long the next piece of an answer may take to arrive.
const ANSWER_READ: Duration = Duration::from_secs(10);

impl Relay {
    /// Hands a request over to the replica of that tag; its answer as the client gets it.
    pub(super) async fn forward(&self, to: Tag, mut request: Request) -> Result<Response, Refusal> {
        let waiting =
            hygiene::wants_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let uri = request.uri().clone();
        let mut answer = self.ask(to, request, waiting.is_some()).await?;
        let upgraded = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        hygiene::clean(answer.headers_mut());
        match waiting.filter(|_| upgraded) {
            Some(client) => {
                let owner = hyper::upgrade::on(&mut answer);
                hygiene::upgrade(answer.headers_mut());
                self.count("tunnelled");
                self.carry(to, uri, client, owner);
            }
            None if upgraded => return Err(Refusal::Gone),
            None => self.count("forwarded"),
        }
        Ok(answer.map(|body| Body::new(TimeoutBody::new(ANSWER_READ, body))))
    }

    /// Tells the replica of that tag that this one can carry a session's connection no longer.
    pub(super) async fn take_leave(&self, to: Tag, uri: Uri) {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = uri;
        if let Err(refusal) = self.ask(to, request, false).await {
            tracing::debug!("a session's replica did not hear of a drain: {}", refusal.outcome());
        }
    }

    /// What the replica of that tag says to a request, if it is that one that says it.
    async fn ask(
        &self,
        to: Tag,
        request: Request,
        upgrades: bool,
    ) -> Result<hyper::Response<Incoming>, Refusal> {
        let known = self.0.ground.fleet.find(to).await.ok_or(Refusal::Unknown)?;
        let secrets = self.0.ground.secrets.as_ref();
        let secrets = secrets.ok_or(Refusal::Unreachable(Why::NoSecret))?;
        let card = known.card.ok_or(Refusal::Unreachable(Why::NoListener))?;
        let address = introduction::address(secrets, to, &card);
        let address = address.ok_or(Refusal::Unreachable(Why::Disbelief))?;
        // Only what cannot be written as an address or a header comes to nothing here.
        let sealed = self.seal(secrets, to, &address, request, upgrades);
        let (request, letter) = sealed.ok_or(Refusal::Unknown)?;
        let answer = self.send(to, request).await?;
        if !letter.is_proved(secrets, answer.headers()) {
            return Err(disbelieved(answer.status()));
        }
        self.forgive(to);
        Ok(answer)
    }

    /// The request as it goes out: without what is for the first connection only, with a letter.
    fn seal(
        &self,
        secrets: &Secrets,
        to: Tag,
        address: &str,
        request: Request,
        upgrades: bool,
    ) -> Option<(Request, Letter)> {
        let (request::Parts { method, uri, mut headers, extensions, .. }, body) =
            request.into_parts();
        let id = extensions
            .get::<RequestId>()
            .map_or_else(|| Uuid::now_v7().to_string(), |id| id.0.clone());
        let letter = Letter {
            to: to.to_string(),
            at_ms: self.0.ground.clock.now().timestamp_millis(),
            nonce: Uuid::new_v4(),
            client: extensions.get::<ClientAddress>().map(|client| client.0),
        };
        let seal = letter.seal(secrets, &seal::place(&method, &uri, &id))?;
        hygiene::clean(&mut headers);
        headers.insert(seal::HEADER, seal);
        headers.insert(request_id::HEADER, HeaderValue::from_str(&id).ok()?);
        if upgrades {
            hygiene::upgrade(&mut headers);
        }
        let target = uri.path_and_query()?.clone();
        let target = Uri::builder().scheme(Scheme::HTTP).authority(address).path_and_query(target);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target.build().ok()?;
        *request.headers_mut() = headers;
        Some((request, letter))
    }

    async fn send(&self, to: Tag, request: Request) -> Result<hyper::Response<Incoming>, Refusal> {
        let asked = timeout(ANSWER, self.0.wire.request(request));
        tokio::select! {
            asked = asked => match asked {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(self.failed(to, &error)),
                Err(_) => Err(Refusal::Late),
            },
            // Frozen, or cut off: its clients would wait for nothing.
            () = self.0.ground.fleet.gone(to) => Err(Refusal::Gone),
        }
    }

    fn failed(&self, to: Tag, error: &legacy::Error) -> Refusal {
        tracing::debug!("a request could not be handed over: {error:?}");
        if !error.is_connect() {
            return Refusal::Gone;
        }
        let mut causes = std::iter::successors(error.source(), |&error| error.source());
        let refused = causes.any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        });
        if refused { self.refused(to) } else { Refusal::Unreachable(Why::NoAnswer) }
    }

    /// Nobody listens there: the replica died, unless it goes on to say that it is alive.
    fn refused(&self, to: Tag) -> Refusal {
        let fleet = &self.0.ground.fleet;
        let Some(now) = fleet.peer(to) else { return Refusal::Gone };
        let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|tag, _| fleet.peer(*tag).is_some());
        let first_ms = *refused.entry(to).or_insert(now.seen_ms);
        // One more may have been under way when it died.
        if now.seen_ms - first_ms < 2 * HEARTBEAT.as_millis() as i64 {
            return Refusal::Gone;
        }
        Refusal::Unreachable(Why::NoAnswer)
    }

    fn forgive(&self, to: Tag) {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(&to);
    }
}

/// An answer that is not from the replica: from one that did not believe the letter, or a stranger.
fn disbelieved(status: StatusCode) -> Refusal {
    if status == StatusCode::UNAUTHORIZED {
        return Refusal::Unreachable(Why::Disbelief);
    }
    Refusal::Gone
}
