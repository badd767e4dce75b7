//! The port for other replicas: what they hand over is let in to the engine, and nothing else.

use std::sync::PoisonError;

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    Relay,
    refusal::Refusal,
    seal::{self, Doubt, Letter},
    sid::{self, Aim},
};
use crate::{
    model::{Error, ErrorKind},
    telemetry::metrics::label,
    web::{client_address::ClientAddress, error::Failure, request_id::RequestId},
};

/// Marks a request by which another replica says that it can carry a session's connection no longer.
#[derive(Clone, Copy, Debug)]
pub struct Leaving;

/// Lets in what another replica handed over. Its client has passed the edge and the check of its
/// origin there, and is known here by its own address.
pub async fn admit(State(relay): State<Relay>, mut request: Request, next: Next) -> Response {
    let letter = match relay.open(&request) {
        Ok(letter) => letter,
        Err(doubt) => return relay.turn_away(doubt),
    };
    if let Some(client) = letter.client {
        request.extensions_mut().insert(ClientAddress(client));
    }
    if request.method() == Method::DELETE {
        request.extensions_mut().insert(Leaving);
    }
    let own = relay.0.ground.fleet.tag();
    let mut response = match sid::aim(request.uri()) {
        Aim::Session(tag) if tag == own && letter.to == own.to_string() => {
            next.run(sid::untagged(request)).await
        }
        // Meant for another, which was at this address before.
        Aim::Session(_) => Refusal::Unknown.response(),
        Aim::Elsewhere | Aim::Opening | Aim::Nobody => StatusCode::NOT_FOUND.into_response(),
    };
    let secrets = relay.0.ground.secrets.as_ref();
    if let Some(proof) = secrets.and_then(|secrets| letter.proof(secrets)) {
        response.headers_mut().insert(seal::HEADER, proof);
    }
    response
}

impl Relay {
    fn open(&self, request: &Request) -> Result<Letter, Doubt> {
        let secrets = self.0.ground.secrets.as_ref().ok_or(Doubt::Forged)?;
        let id = request.extensions().get::<RequestId>().map_or("", |id| &id.0);
        let place = seal::place(request.method(), request.uri(), id);
        let now_ms = self.0.ground.clock.now().timestamp_millis();
        let letter = Letter::open(secrets, &place, request.headers(), now_ms)?;
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.is_new(letter.nonce, now_ms) {
            return Err(Doubt::Replayed);
        }
        Ok(letter)
    }

    fn turn_away(&self, doubt: Doubt) -> Response {
        let labels = [label("reason", doubt.reason())];
        self.0.ground.metrics.relay_refused.add(1, &labels);
        let text = "this port is for replicas of this service";
        Failure(Error::new(ErrorKind::Unauthenticated, text)).into_response()
    }
}
