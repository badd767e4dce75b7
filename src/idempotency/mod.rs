//! Acts that are named by their caller (`Idempotency-Key`): asked for again, by whichever way and on
//! whichever replica, they are answered again and neither done nor billed again.

mod key;
mod store;

use std::{borrow::Cow, convert::Infallible, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use key::{Fingerprint, Key};

use self::store::{Found, Row};
use crate::{
    backoff::Backoff,
    model::{Error, ErrorKind},
    postgres::Database,
    telemetry::{Metrics, metrics::label},
};

/// How long somebody who does an act is believed to be alive without a sign.
const LEASE: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_secs(10);
/// How long one waits for another who does the same act.
const PATIENCE: Duration = Duration::from_secs(60);
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// The answer of an act: its media type and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its media type.
    pub content_type: Cow<'static, str>,
    /// Its body.
    pub body: String,
    /// Whether it was kept from before.
    pub replayed: bool,
}

/// An act that its caller named.
#[derive(Clone, Debug)]
pub struct Named {
    /// The account that asks.
    pub account: String,
    /// The route.
    pub endpoint: &'static str,
    /// Its name.
    pub key: Key,
    /// What is asked for.
    pub fingerprint: Fingerprint,
}

/// Keeps the answers of named acts for a day. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Idempotency {
    database: Database,
    metrics: Metrics,
}

/// The right to do an act.
struct Claim {
    act: Uuid,
    holder: Uuid,
}

enum Begun {
    Ours(Claim),
    Done(Answer),
}

impl Answer {
    /// An answer that was just made.
    pub fn new(content_type: &'static str, body: String) -> Self {
        Self { content_type: Cow::Borrowed(content_type), body, replayed: false }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_str(&self.content_type);
        let mut response = self.body.into_response();
        let headers = response.headers_mut();
        let plain = |_| HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, kind.unwrap_or_else(plain));
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl Idempotency {
    /// Keeps them in that database.
    pub const fn new(database: Database, metrics: Metrics) -> Self {
        Self { database, metrics }
    }

    /// Does an act under the id that it is to be billed under. One with a name is done once: asked
    /// for again it is answered as before, while it is done it is waited for, and with another body
    /// it is refused. What failed may be done again.
    pub async fn once<F>(
        &self,
        named: Option<Named>,
        work: impl FnOnce(Uuid) -> F,
    ) -> Result<Answer, Error>
    where
        F: Future<Output = Result<Answer, Error>>,
    {
        let Some(named) = named else { return work(Uuid::now_v7()).await };
        match self.begin(&named).await? {
            Begun::Done(answer) => {
                self.count("replayed");
                Ok(answer)
            }
            Begun::Ours(claim) => {
                let made = self.beating(&named, &claim, work(claim.act)).await;
                self.end(&named, &claim, made.as_ref().ok()).await;
                made
            }
        }
    }

    async fn begin(&self, named: &Named) -> Result<Begun, Error> {
        let holder = Uuid::new_v4();
        let until = Instant::now() + PATIENCE;
        let mut backoff = Backoff::new(FIRST, LONGEST);
        loop {
            let row = Row { named, holder, lease: LEASE };
            let found = self.database.run(store::claim(self.database.pool(), row)).await?;
            match found {
                Found::Ours(act) => return Ok(Begun::Ours(Claim { act, holder })),
                Found::Done(answer) => return Ok(Begun::Done(answer)),
                Found::Another => {
                    self.count("refused");
                    let text = "the Idempotency-Key was used with another request";
                    return Err(Error::new(ErrorKind::IdempotencyKeyReused, text));
                }
                Found::Running if Instant::now() >= until => {
                    self.count("late");
                    let text = "the request with this Idempotency-Key is being worked on";
                    return Err(Error::new(ErrorKind::IdempotencyInProgress, text).after(LEASE));
                }
                Found::Running => sleep(backoff.next_delay()).await,
            }
        }
    }

    /// Does it, and gives signs of life meanwhile.
    async fn beating<T>(&self, named: &Named, claim: &Claim, work: impl Future<Output = T>) -> T {
        tokio::select! {
            made = work => made,
            never = self.beats(named, claim) => match never {},
        }
    }

    async fn beats(&self, named: &Named, claim: &Claim) -> Infallible {
        loop {
            sleep(BEAT).await;
            let row = Row { named, holder: claim.holder, lease: LEASE };
            let beaten = self.database.run(store::beat(self.database.pool(), row)).await;
            if let Err(error) = beaten {
                // Whoever does it again meanwhile bills it under the same id.
                tracing::warn!("a lease was not renewed: {error:?}");
            }
        }
    }

    /// Keeps the answer; an act that has none may be done again at once.
    async fn end(&self, named: &Named, claim: &Claim, answer: Option<&Answer>) {
        let row = Row { named, holder: claim.holder, lease: LEASE };
        let pool = self.database.pool();
        let ended = match answer {
            Some(answer) => self.database.run(store::keep(pool, row, answer)).await,
            None => self.database.run(store::free(pool, row)).await,
        };
        match ended {
            Ok(()) => self.count(if answer.is_some() { "kept" } else { "freed" }),
            Err(error) => {
                self.count("unkept");
                tracing::warn!(act = %claim.act, "an answer was not kept: {error:?}");
            }
        }
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.acts.named.add(1, &[label("outcome", outcome)]);
    }
}
