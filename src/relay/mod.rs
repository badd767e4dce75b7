//! Requests of Engine.IO sessions that another replica holds: handed over to it, or refused at once.
//!
//! Clients that poll send each request wherever a balancer likes. The session's id, as they hold it,
//! ends with the tag of its replica; tags and addresses come with the heartbeats of the fleet, so
//! that no request asks Redis. Addresses are sealed there and requests are sealed on their way, both
//! under keys that only replicas have.

mod address;
mod admission;
mod forward;
mod hygiene;
mod introduction;
mod refusal;
mod seal;
mod sid;
#[cfg(test)]
mod tests;
mod tunnel;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio_util::task::TaskTracker;

pub use address::own as own_address;
pub use admission::{Leaving, admit};
pub use introduction::introduce;

use crate::{
    auth::Secrets,
    fleet::{Fleet, Tag},
    lifecycle::Shutdown,
    model::Clock,
    telemetry::{Metrics, metrics::label},
};
use refusal::Refusal;
use sid::Aim;

/// How often it is logged that replicas do not reach each other.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What handing over stands on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Who else is there.
    pub fleet: Fleet,
    /// What only replicas know; `None` where there is no `SECRET_KEY`.
    pub secrets: Option<Secrets>,
    /// Where it is counted.
    pub metrics: Metrics,
    /// The wall clock.
    pub clock: Clock,
    /// Who stops it.
    pub shutdown: Shutdown,
}

/// Hands requests over to the replicas that hold their sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    ground: Ground,
    wire: wire::Wire,
    seen: Mutex<seal::Seen>,
    /// Replicas that refused a connection, with their heartbeat that was known then.
    refused: Mutex<HashMap<Tag, i64>>,
    told: Mutex<Option<Instant>>,
    tunnels: TaskTracker,
}

impl Relay {
    /// One for a replica.
    pub fn new(ground: Ground) -> Self {
        let wire = wire::wire(&ground.shutdown);
        let (seen, refused, told, tunnels) = Default::default();
        Self(Arc::new(Parts { ground, wire, seen, refused, told, tunnels }))
    }

    fn count(&self, outcome: &'static str) {
        self.0.ground.metrics.relayed_requests.add(1, &[label("outcome", outcome)]);
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        self.count(refusal.outcome());
        if let Refusal::Unreachable(why) = refusal
            && self.may_tell()
        {
            tracing::warn!("a session's replica cannot be reached: {}", why.cure());
        }
        refusal.response()
    }

    fn may_tell(&self) -> bool {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if may {
            *told = Some(Instant::now());
        }
        may
    }
}

/// Stands in front of the engine: passes on what is for this replica, with ids as the engine knows
/// them, and hands over the rest.
pub async fn hand_over(State(relay): State<Relay>, request: Request, next: Next) -> Response {
    let own = relay.0.ground.fleet.tag();
    match sid::aim(request.uri()) {
        Aim::Elsewhere => next.run(request).await,
        Aim::Opening => sid::tag_opened(next.run(request).await, own).await,
        Aim::Session(tag) if tag == own => next.run(sid::untagged(request)).await,
        // Replicas have a word of their own for each other.
        Aim::Session(_) if !matches!(*request.method(), Method::GET | Method::POST) => {
            StatusCode::BAD_REQUEST.into_response()
        }
        Aim::Session(tag) => {
            relay.forward(tag, request).await.unwrap_or_else(|refusal| relay.refuse(refusal))
        }
        Aim::Nobody => relay.refuse(Refusal::Unknown),
    }
}
