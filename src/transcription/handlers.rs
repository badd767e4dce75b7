//! The routes under `/transcriptions`.

use std::net::IpAddr;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::Recordings;
use crate::{
    auth::Principal,
    model::{Error, ErrorKind},
    web::{client_address::ClientAddress, error::Failure},
};

/// Bytes of what a caller says that it is.
const MOST_AGENT_BYTES: usize = 255;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// From where.
    pub ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
}

/// `POST /transcriptions/deepgram`.
pub async fn deepgram(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, "deepgram", "/transcriptions/deepgram", request).await
}

/// `POST /transcriptions/whisper`.
pub async fn whisper(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, "whisper", "/transcriptions/whisper", request).await
}

/// `POST /transcriptions/assemblyai`.
pub async fn assemblyai(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, "assemblyai", "/transcriptions/assemblyai", request).await
}

/// `POST /transcriptions/local`: the embedded engine.
pub async fn local(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, "local", "/transcriptions/local", request).await
}

/// `POST /transcriptions/auto`: whoever can.
pub async fn auto(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, "auto", "/transcriptions/auto", request).await
}

async fn answer(
    recordings: &Recordings,
    provider: &'static str,
    endpoint: &'static str,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let caller = match Caller::from_request_parts(&mut parts, &()).await {
        Ok(caller) => caller,
        Err(failure) => return failure.into_response(),
    };
    let request = Request::from_parts(parts, body);
    let verdict = recordings.counted(&caller.principal).await;
    let mut response = match verdict.map(crate::limits::Verdict::into_result) {
        Some(Err(refusal)) => Failure(refusal).into_response(),
        _ => match recordings.answer(provider, endpoint, caller, request).await {
            Ok((kind, body)) => typed(kind, body),
            Err(error) => Failure(error).into_response(),
        },
    };
    if let Some(verdict) = verdict {
        verdict.tell(response.headers_mut());
    }
    response
}

fn typed(kind: &'static str, body: String) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let principal = parts.extensions.get::<Principal>().cloned();
        let none = || Error::new(ErrorKind::Unauthenticated, "Authentication required");
        let ip = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let user_agent = agent(&parts.headers);
        Ok(Self { principal: principal.ok_or_else(none)?, ip, user_agent })
    }
}

fn agent(headers: &HeaderMap) -> Option<String> {
    let told = headers.get(header::USER_AGENT)?.to_str().ok()?;
    // Text that is visible ASCII: any place is a boundary of characters.
    Some(told[..told.len().min(MOST_AGENT_BYTES)].to_owned())
}
