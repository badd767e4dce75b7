//! Credentials that hold no more, told to every replica, and from each to its running sockets.

use fred::interfaces::PubsubInterface;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tracing::Instrument;

use super::principal::{Credential, Owner, Principal};
use crate::{
    lifecycle::Shutdown,
    model::{Error, ErrorKind},
    redis::{Heard, Redis},
    telemetry::{Metrics, metrics::label},
};

/// Announcements that may wait for a socket; past them it looks for itself.
const WAITING: usize = 256;

/// Whose credentials are to be looked at again. An announcement proves nothing: whoever hears one
/// asks the database, so that a forged one costs a question and no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    /// One API key, by its row.
    Key(i32),
    /// Everything of one user.
    User(i32),
    /// One token of `/auth/login`, or one login with all that descends from it.
    Token(String),
    /// One login session, by its token's digest.
    Session(String),
    /// One share token, by its id.
    Share(String),
    /// Anything: announcements may have been missed.
    Unknown,
}

impl Revoked {
    /// Whether it may be about what that caller was verified by.
    pub fn concerns(&self, principal: &Principal) -> bool {
        match (self, &principal.credential) {
            (Self::Unknown, _) => true,
            // Whose row was not seen may be anybody's.
            (Self::User(id), _) => match &principal.owner {
                Owner::User(ours) => id == ours,
                Owner::Auth0 { .. } => true,
                Owner::Session(_) | Owner::Development | Owner::Guest(_) => false,
            },
            (Self::Key(id), Credential::ApiKey { id: ours, .. }) => id == ours,
            (Self::Token(id), Credential::Local { jti, family }) => id == jti || id == family,
            (Self::Session(digest), Credential::Session(ours)) => digest == ours,
            (Self::Share(id), Credential::Share(ours)) => *id == ours.to_string(),
            _ => false,
        }
    }
}

/// Tells and hears revocations; cheap to clone.
#[derive(Clone, Debug)]
pub struct Revocations {
    redis: Redis,
    heard: broadcast::Sender<Revoked>,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Revocations {
    /// A teller that hears nothing yet.
    pub fn new(redis: Redis, metrics: Metrics, shutdown: Shutdown) -> Self {
        Self { redis, heard: broadcast::Sender::new(WAITING), metrics, shutdown }
    }

    /// Does what writes and then announces to its end, though whoever asked for it may be gone: a
    /// write without its announcement would leave other replicas in the dark.
    pub(super) async fn see_through<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E> {
        let broken = |error| Error::new(ErrorKind::Internal, "internal error").because(error);
        let done = self.shutdown.spawn(work.in_current_span()).await;
        done.unwrap_or_else(|error| Err(broken(error).into()))
    }

    /// Listens until the hard stop; `forget` is called before anybody else hears.
    pub(super) fn listen(&self, forget: impl Fn(&Revoked) + Send + Sync + 'static) {
        let channel = self.redis.keys().revocations();
        let mut messages = self.redis.listen(channel, &self.shutdown);
        let this = self.clone();
        self.shutdown.spawn(async move {
            while let Some(heard) = messages.recv().await {
                let revoked = match heard {
                    Heard::Gap => Revoked::Unknown,
                    Heard::Message(text) => serde_json::from_str(&text).unwrap_or(Revoked::Unknown),
                };
                this.pass_on(revoked, &forget);
            }
        });
    }

    fn pass_on(&self, revoked: Revoked, forget: &(impl Fn(&Revoked) + ?Sized)) {
        forget(&revoked);
        // Without sockets there is nobody to tell.
        let _sockets = self.heard.send(revoked);
    }

    /// What is announced from now on, on any replica.
    pub fn subscribe(&self) -> broadcast::Receiver<Revoked> {
        self.heard.subscribe()
    }

    /// Tells every replica, this one included. Where Redis is away the others notice by themselves,
    /// within a minute.
    pub async fn announce(&self, revoked: &Revoked) {
        let outcome = match publish(&self.redis, revoked).await {
            Ok(()) => "announced",
            Err(error) => {
                tracing::warn!("a revocation could not be announced: {error}");
                "unannounced"
            }
        };
        self.metrics.revocations.add(1, &[label("outcome", outcome)]);
        // Not left to Redis for this replica's own sockets.
        let _sockets = self.heard.send(revoked.clone());
    }
}

/// Tells every replica that listens, and nobody else.
pub async fn publish(redis: &Redis, revoked: &Revoked) -> Result<(), fred::error::Error> {
    let text = serde_json::to_string(revoked).unwrap_or_default();
    redis.client().publish(redis.keys().revocations(), text).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auth::AuthType, model::Plan};

    fn of(owner: Owner, credential: Credential) -> Principal {
        let (subject, plan, expires_at) = ("7".to_owned(), Plan::Free, None);
        Principal { subject, owner, auth_type: AuthType::Local, plan, expires_at, credential }
    }

    #[test]
    fn a_revocation_concerns_what_it_names() {
        let text = |text: &str| text.to_owned();
        let key = of(Owner::User(7), Credential::ApiKey { id: 3, hash: text("h") });
        let local = Credential::Local { jti: text("j"), family: text("f") };
        let local = of(Owner::User(8), local);
        let session = of(Owner::Session(text("ann")), Credential::Session(text("d")));
        let unseen = Owner::Auth0 { sub: text("auth0|7"), email: None };
        let unseen = of(unseen, Credential::Auth0);
        let share = uuid::Uuid::new_v4();
        let guest = Principal::guest(share, crate::model::Clock.now());
        assert!(Revoked::Share(share.to_string()).concerns(&guest));
        assert!(!Revoked::Share(uuid::Uuid::new_v4().to_string()).concerns(&guest));
        let all = [&key, &local, &session, &unseen];
        let cases = [
            (Revoked::Key(3), [true, false, false, false]),
            (Revoked::Key(7), [false, false, false, false]),
            (Revoked::User(7), [true, false, false, true]),
            (Revoked::User(8), [false, true, false, true]),
            (Revoked::Token(text("j")), [false, true, false, false]),
            (Revoked::Token(text("f")), [false, true, false, false]),
            (Revoked::Token(text("d")), [false, false, false, false]),
            (Revoked::Session(text("d")), [false, false, true, false]),
            (Revoked::Unknown, [true, true, true, true]),
        ];
        for (revoked, expected) in cases {
            assert_eq!(all.map(|principal| revoked.concerns(principal)), expected, "{revoked:?}");
        }
    }
}
