//! The simulator's HTTP side: who may come in, and as what.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::fault::{Door, Gate};
use super::query::Query;
use super::record;
use super::refusal::Refusal;
use super::shared::Shared;
use super::{handshake, recorded};
use crate::tasks::Spawner;
use crate::wait::lock;

/// Largest body of recorded audio, in bytes.
const BODY_LIMIT: usize = 256 * 1024 * 1024;

/// An answer, or the wish to cut the connection.
pub(crate) type Answer = Result<Response<Body>, Cut>;

/// The connection is cut without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut as asked")
    }
}

impl std::error::Error for Cut {}

/// A request that was read as far as its headers.
pub(crate) struct Call {
    pub(crate) request_id: Uuid,
    pub(crate) query: Query,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) request: Request<Incoming>,
}

/// Accepts connections until the spawner's owner goes.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, spawner: Spawner) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: give others time to end.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        spawner.spawn(serve_connection(stream, Arc::clone(&shared), spawner.clone()));
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>, spawner: Spawner) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| {
        let (shared, spawner) = (Arc::clone(&shared), spawner.clone());
        async move { answer(request, shared, spawner).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // A client that goes away in the middle of a request is no fault of ours.
    drop(served.await);
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>, spawner: Spawner) -> Answer {
    let door = door_of(&request);
    let call = Call {
        request_id: Uuid::new_v4(),
        query: Query::parse(request.uri().query().unwrap_or_default()),
        headers: header_pairs(request.headers()),
        request,
    };
    let mut seen = record::Request {
        door,
        method: call.request.method().to_string(),
        path: call.request.uri().path().to_owned(),
        query: call.query.clone(),
        headers: call.headers.clone(),
        status: 0,
        body_bytes: 0,
    };
    let request_id = call.request_id;
    let gate = door.and_then(|door| lock(&shared.faults).next_gate(door));
    let answer = match (gate, door) {
        (Some(Gate::Cut), _) => {
            shared.note_request(seen.clone());
            Err(Cut)
        }
        (Some(Gate::Hang), _) => {
            shared.note_request(seen.clone());
            std::future::pending().await
        }
        (Some(Gate::Refuse(refusal)), _) => Ok(refuse(&refusal, request_id)),
        (None, Some(Door::Live)) => Ok(handshake::answer(call, &shared, &spawner)),
        (None, Some(Door::Recorded)) => Ok(answer_recorded(call, &shared, &mut seen).await),
        (None, Some(Door::Grant)) => Ok(answer_grant(call, &shared).await),
        (None, None) => Ok(refuse(&Refusal::new(404, "NOT_FOUND", "Not found."), request_id)),
    };
    if let Ok(answer) = &answer {
        seen.status = answer.status().as_u16();
        shared.note_request(seen);
    }
    answer
}

fn door_of(request: &Request<Incoming>) -> Option<Door> {
    match (request.method(), request.uri().path().trim_end_matches('/')) {
        (&Method::GET, "/v1/listen") => Some(Door::Live),
        (&Method::POST, "/v1/listen") => Some(Door::Recorded),
        (&Method::POST, "/v1/auth/grant") => Some(Door::Grant),
        _ => None,
    }
}

async fn answer_recorded(
    call: Call,
    shared: &Shared,
    seen: &mut record::Request,
) -> Response<Body> {
    let Call { request_id, query, headers, request } = call;
    if let Err(refusal) = check_credential(&headers, shared) {
        return refuse(&refusal, request_id);
    }
    let is_json = header_of(&headers, "content-type").is_some_and(|kind| kind.contains("json"));
    let Ok(body) = read_body(request).await else {
        return refuse(&Refusal::new(413, "PAYLOAD_TOO_LARGE", "Payload too large."), request_id);
    };
    seen.body_bytes = body.len();
    match recorded::transcribe(request_id, &query, is_json, &body, shared) {
        Ok(transcript) => answer_json(200, &transcript, request_id),
        Err(refusal) => refuse(&refusal, request_id),
    }
}

async fn answer_grant(call: Call, shared: &Shared) -> Response<Body> {
    if let Err(refusal) = check_credential(&call.headers, shared) {
        return refuse(&refusal, call.request_id);
    }
    let body = read_body(call.request).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let seconds = body["ttl_seconds"].as_u64().unwrap_or(30);
    if !(1..=3600).contains(&seconds) {
        let refusal = Refusal::bad_request("ttl_seconds must be between 1 and 3600.");
        return refuse(&refusal, call.request_id);
    }
    let token = shared.grant(Duration::from_secs(seconds));
    let grant = json!({ "access_token": token, "expires_in": seconds });
    answer_json(200, &grant, call.request_id)
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, axum::Error> {
    axum::body::to_bytes(Body::new(request.into_body()), BODY_LIMIT).await
}

/// Checks `Authorization: Token|Bearer …`, or the same words as WebSocket subprotocols.
pub(crate) fn check_credential(
    headers: &[(String, String)],
    shared: &Shared,
) -> Result<(), Refusal> {
    let offered = header_of(headers, "authorization")
        .and_then(|value| value.split_once(' '))
        .or_else(|| header_of(headers, "sec-websocket-protocol")?.split_once(','));
    let admitted = offered.is_some_and(|(scheme, rest)| {
        let credential = rest.split(',').next().unwrap_or_default().trim();
        let known = ["token", "bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        known && shared.admits(credential)
    });
    if admitted { Ok(()) } else { Err(Refusal::of(401)) }
}

pub(crate) fn refuse(refusal: &Refusal, request_id: Uuid) -> Response<Body> {
    let mut answer = Response::builder()
        .status(refusal.status)
        .header(header::CONTENT_TYPE, refusal.content_type())
        .header("dg-error", refusal.message.as_str())
        .header("dg-request-id", request_id.to_string());
    for (name, value) in &refusal.headers {
        answer = answer.header(name, value);
    }
    or_500(answer.body(Body::from(refusal.render(request_id))))
}

pub(crate) fn or_500(answer: Result<Response<Body>, axum::http::Error>) -> Response<Body> {
    answer.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn answer_json(status: u16, body: &Value, request_id: Uuid) -> Response<Body> {
    let answer = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header("dg-request-id", request_id.to_string());
    or_500(answer.body(Body::from(body.to_string())))
}

pub(crate) fn header_of<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn header_pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(pair).collect()
}
