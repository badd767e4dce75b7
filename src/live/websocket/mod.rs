//! The raw WebSocket doorway at `/audio-stream`: JSON messages, binary audio.

pub mod handshake;
pub mod socket;

use axum::{
    extract::{Request, State},
    response::Response,
};
use tokio_tungstenite::tungstenite::Bytes;

use self::{
    handshake::{Handshake, upgrade_required},
    socket::{Tongue, Written, frame},
};
use super::{
    LiveService,
    audience::Answer,
    caller::Caller,
    client::Client,
    command::Command,
    entry::Presented,
    request,
    standing::Standing,
    wire::{Close, Event},
};
use crate::{telemetry::log_patterns, web::credential};

const DOOR: &str = "websocket";

/// `GET /audio-stream`: authenticates, then upgrades.
pub async fn upgrade(State(service): State<LiveService>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Some(handshake) = Handshake::take(&mut parts) else {
        return upgrade_required(&parts);
    };
    let offered = request::offered(&parts.headers, request::TICKET);
    let shared = request::offered(&parts.headers, request::SHARE);
    let subprotocol = match (&offered, &shared) {
        (Some(_), _) => Some(request::TICKET),
        (None, shared) => shared.as_ref().map(|_| request::SHARE),
    };
    let presented = Presented {
        token: credential::any(&parts.headers),
        ticket: request::ticket(&parts).or(offered),
        share: request::share(&parts.headers)
            .or(shared)
            .map(|share| (share, request::network(&parts))),
    };
    let admitted = match service.enter(presented).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.tell(&service, DOOR),
    };
    let (language, fell_back_from) = request::language(&parts);
    if let Some(wanted) = fell_back_from {
        log_patterns::language_fell_back(&admitted.principal.subject, &wanted);
    }
    let (response, upgrade) = handshake.switch(subprotocol);
    let caller = Caller::of(&service, &admitted, (language, DOOR), &parts);
    let shutdown = service.shutdown.clone();
    let socket = socket::serve(service, caller, Standing::of(admitted), upgrade, Ours);
    shutdown.spawn(socket);
    response
}

/// The service's own protocol.
struct Ours;

impl Tongue for Ours {
    fn greet(&self, client: &Client) {
        client.greet();
    }

    fn binary(&self, _: &Client, _: &Bytes) -> bool {
        true
    }

    fn text(&self, client: &Client, text: &str) {
        match Command::parse(text) {
            Ok(Command::Start(options)) => client.start(&options),
            Ok(Command::Stop) => client.stop(),
            Ok(Command::Finalize) => client.finalize(),
            Ok(Command::Resume(payload)) => client.resume(&payload),
            Ok(Command::Join(payload)) => client.join(Some(payload), Answer::event()),
            Ok(Command::Leave(payload)) => client.leave(Some(payload)),
            Ok(Command::Authenticate(token)) => client.authenticate(token),
            Err(error) => client.fail(&error),
        }
    }

    fn farewell(&self, client: &Client) {
        client.leave_taken();
    }

    fn write(&self, event: &Event) -> serde_json::Result<Written> {
        Ok(Written { text: Some(event.to_json()?), close: None })
    }

    fn close(&self, close: Close) -> serde_json::Result<Written> {
        Ok(Written { text: Some(close.notice().to_json()?), close: Some(frame(close)) })
    }
}
