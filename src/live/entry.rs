//! Who comes in: what a handshake presents, verified, and counted against the caller's limit.

use std::{net::IpAddr, pin::Pin};

use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use tokio::sync::broadcast;

use super::{AUTHENTICATION, LiveService, sockets::OpenSocket};
use crate::{
    auth::{self, Principal, Revoked},
    limits::{LimitedAction, Verdict},
    model::{Error, ErrorKind},
    rooms::Share,
    telemetry::{log_patterns, metrics::label},
    web::error::Failure,
};

/// What a handshake presents. A ticket is looked at only where there is no token, and a share token
/// where there is neither.
pub struct Presented<'a> {
    /// A credential.
    pub token: Option<&'a str>,
    /// A stream ticket.
    pub ticket: Option<SecretString>,
    /// A share token, and the network that it comes from.
    pub share: Option<(SecretString, Option<IpAddr>)>,
}

/// A caller who may open a socket.
#[derive(Debug)]
pub struct Admitted {
    /// Who it is.
    pub principal: Principal,
    /// What lets them watch one room and nothing else, if that is all they came with.
    pub share: Option<Share>,
    /// What was revoked since before they were verified, so that nothing falls between.
    pub revoked: broadcast::Receiver<Revoked>,
    /// Counts the socket while it is open.
    pub open: OpenSocket,
}

/// Why somebody may not.
#[derive(Debug)]
pub struct Refusal {
    /// The reason.
    pub error: Error,
    /// The limit that was reached, if that is the reason.
    pub verdict: Option<Verdict>,
}

impl Refusal {
    /// The answer to whoever may not, counted at that door.
    pub fn tell(self, service: &LiveService, door: &'static str) -> Response {
        let Self { error, verdict } = self;
        log_patterns::connection_rejected(&error.detail);
        let labels = [label("door", door), label("reason", error.kind.code())];
        service.metrics.sockets_refused.add(1, &labels);
        let mut response = Failure(error).into_response();
        if let Some(verdict) = verdict {
            verdict.tell(response.headers_mut());
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, verdict: None }
    }
}

impl LiveService {
    /// Admits whoever presents that, or says why not.
    pub async fn enter(&self, presented: Presented<'_>) -> Result<Admitted, Refusal> {
        self.open()?;
        let revoked = self.auth.revocations().subscribe();
        let token = presented.token.filter(|token| !token.is_empty());
        if let (None, None, Some((share, network))) = (token, &presented.ticket, presented.share) {
            return self.enter_as_guest(share, network, revoked).await;
        }
        let principal = match (token, presented.ticket) {
            // Counted when it was issued.
            (None, Some(ticket)) => {
                in_time(Box::pin(self.auth.redeem_ticket(&ticket))).await.map_err(refusal)?
            }
            (token, _) => {
                let principal = self.authenticate(token).await?;
                self.count(&principal.account(), &principal).await?;
                principal
            }
        };
        let most = self.limits.open_sockets(principal.plan);
        let open = self.sockets.open(principal.account(), most)?;
        Ok(Admitted { principal, share: None, revoked, open })
    }

    /// Admits whoever has a share token and nothing else. Many may have the same one, so they are
    /// counted by where they come from too.
    async fn enter_as_guest(
        &self,
        token: SecretString,
        network: Option<IpAddr>,
        revoked: broadcast::Receiver<Revoked>,
    ) -> Result<Admitted, Refusal> {
        let share = self.rooms.shares().verify(&token).await?;
        let principal = Principal::guest(share.id, share.expires_at);
        let network = network.map(|network| network.to_string()).unwrap_or_default();
        self.count(&format!("{}-{network}", principal.account()), &principal).await?;
        let open = self.sockets.open(principal.account(), self.limits.share_sockets())?;
        Ok(Admitted { principal, share: Some(share), revoked, open })
    }

    async fn count(&self, subject: &str, principal: &Principal) -> Result<(), Refusal> {
        let verdict = self.limits.check(LimitedAction::SocketOpen, subject, principal.plan).await;
        match verdict.map(Verdict::into_result) {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(Refusal { error, verdict }),
        }
    }

    /// Verifies a credential within a deadline.
    pub async fn authenticate(&self, token: Option<&str>) -> Result<Principal, Error> {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            let text = "No authentication token provided";
            return Err(Error::new(ErrorKind::Unauthenticated, text));
        };
        in_time(Box::pin(self.auth.authenticate(token))).await.map_err(refusal)
    }
}

/// What a door tells whose credential did not verify; `/api/*` alone owes the contract a 500 where
/// no tenant is configured.
fn refusal(error: Error) -> Error {
    if auth::is_unconfigured(&error) {
        return Error::new(ErrorKind::Unauthenticated, error.detail);
    }
    if error.kind == ErrorKind::Internal {
        tracing::error!(?error, "a credential could not be verified");
    }
    error
}

/// Runs a verification within the deadline of a door; in a box, since a socket outlives it by far.
async fn in_time(
    verification: Pin<Box<impl Future<Output = Result<Principal, Error>>>>,
) -> Result<Principal, Error> {
    let late = || Error::new(ErrorKind::Timeout, "the credential could not be verified in time");
    tokio::time::timeout(AUTHENTICATION, verification).await.unwrap_or_else(|_| Err(late()))
}
