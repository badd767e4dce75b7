//! `POST /auth/stream-ticket`: a ticket for one socket, or the reason why none would open.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::Accounts;
use crate::{
    auth::{Principal, Ticket},
    limits::{LimitedAction, Verdict},
    model::{Clock, Error},
    web::error::Failure,
};

/// Refuses for what a door would refuse, and counts the socket that is to be opened.
pub async fn issue(
    State(accounts): State<Accounts>,
    Extension(principal): Extension<Principal>,
) -> Response {
    let (account, plan) = (principal.account(), principal.plan);
    if let Err(closed) = (accounts.door.0)() {
        return Failure(closed).into_response();
    }
    let verdict = accounts.limits.check(LimitedAction::SocketOpen, &account, plan).await;
    let counted = verdict.map_or(Ok(()), |verdict| verdict.into_result().map(drop));
    let issued = match counted {
        Ok(()) => accounts.auth.issue_ticket(&principal).await,
        Err(refusal) => Err(refusal),
    };
    answer(issued, verdict)
}

fn answer(issued: Result<Ticket, Error>, verdict: Option<Verdict>) -> Response {
    let mut response = issued.map(|ticket| told(&ticket)).map_err(Failure).into_response();
    if let Some(verdict) = verdict {
        verdict.tell(response.headers_mut());
    }
    response
}

fn told(ticket: &Ticket) -> Response {
    let left = (ticket.expires_at - Clock.now()).num_milliseconds().max(0);
    let body = json!({
        "ticket": ticket.text.expose_secret(),
        // Rounded: a ticket of 30 s must not read as one of 29.
        "expires_in": (left + 500) / 1000,
        "expires_at": Clock.format(ticket.expires_at),
    });
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
