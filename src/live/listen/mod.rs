//! The doorway at `/v1/listen`: Deepgram's streaming protocol, for clients that were made for it.
//!
//! Wire facts: <https://developers.deepgram.com/reference/speech-to-text/listen-streaming>.

mod asked;
mod message;
mod tongue;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, request::Parts},
    response::Response,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use self::tongue::Deepgram;
use super::{
    LiveService,
    caller::Caller,
    entry::{Admitted, Presented, Refusal},
    options, request,
    standing::Standing,
    websocket::{
        handshake::{Handshake, upgrade_required},
        socket,
    },
};
use crate::{
    model::{Error, Language, SessionId},
    web::{Dialect, credential},
};

/// The route of this door.
pub const PATH: &str = "/v1/listen";
/// Its name in metrics.
pub const DOOR: &str = "listen";
/// The subprotocols that are followed by a credential.
const SUBPROTOCOLS: [&str; 2] = ["token", "bearer"];
const REQUEST_ID: HeaderName = HeaderName::from_static("dg-request-id");
const ERROR: HeaderName = HeaderName::from_static("dg-error");

/// `GET /v1/listen`: authenticates, reads the options, then upgrades.
pub async fn upgrade(State(service): State<LiveService>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Some(handshake) = Handshake::take(&mut parts) else {
        return upgrade_required(&parts);
    };
    let id = SessionId::mint();
    let offered = offered(&parts);
    let mut response = match Box::pin(open(&service, &parts, offered.as_ref())).await {
        Ok((admitted, given)) => {
            let subprotocol = offered.map(|(name, _)| name);
            let (response, upgrade) = handshake.switch(subprotocol);
            let caller = Caller::of(&service, &admitted, (Language::ENGLISH, DOOR), &parts);
            let tongue = Deepgram::new(id, given, service.clock);
            let standing = Standing::of(admitted);
            let shutdown = service.shutdown.clone();
            shutdown.spawn(socket::serve(service, caller, standing, upgrade, tongue));
            response
        }
        Err(refusal) => refuse(&service, refusal),
    };
    insert(&mut response, REQUEST_ID, &id.to_string());
    response
}

/// The credential behind a subprotocol, where a browser has to put it.
fn offered(parts: &Parts) -> Option<(&'static str, SecretString)> {
    let offered = |name| Some((name, request::offered(&parts.headers, name)?));
    SUBPROTOCOLS.into_iter().find_map(offered)
}

/// Admits a caller whose options can be met.
async fn open(
    service: &LiveService,
    parts: &Parts,
    offered: Option<&(&'static str, SecretString)>,
) -> Result<(Admitted, Map<String, Value>), Refusal> {
    let offered = offered.map(|(_, token)| token.expose_secret());
    let token = credential::any(&parts.headers).or(offered);
    let admitted = service.enter(Presented { token, ticket: None, share: None }).await?;
    let given = asked::read(parts.uri.query().unwrap_or_default(), &service.live)?;
    let options = options::parse(&given, Language::ENGLISH, &service.live);
    options.map_err(Error::from)?;
    service.welcome()?;
    Ok((admitted, given))
}

/// Refuses as Deepgram does: the reason is in a header too, since clients often see no body.
fn refuse(service: &LiveService, refusal: Refusal) -> Response {
    let reason = refusal.error.detail.clone();
    let mut response = refusal.tell(service, DOOR);
    response.extensions_mut().insert(Dialect::Deepgram);
    insert(&mut response, ERROR, &reason);
    response
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
