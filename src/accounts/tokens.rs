//! `POST /auth/refresh` and `POST /auth/logout`, whose refusals are told under the key `msg`.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Accounts, answer};
use crate::{
    auth::{Refusal, TokenKind},
    model::ErrorKind,
    web::error::Failure,
};

/// Gives new tokens for a refresh token.
pub async fn refresh(State(accounts): State<Accounts>, headers: HeaderMap) -> Response {
    let token = match presented(&headers) {
        Ok(token) => token,
        Err((status, text)) => return told(status, text),
    };
    match accounts.auth.local().refresh(token).await {
        Ok(issued) => answer::secret(StatusCode::OK, issued),
        Err(refusal) => refused(refusal),
    }
}

/// Takes back the token that is shown.
pub async fn logout(State(accounts): State<Accounts>, headers: HeaderMap) -> Response {
    let token = match presented(&headers) {
        Ok(token) => token,
        Err((status, text)) => return told(status, text),
    };
    let text = match accounts.auth.local().log_out(token).await {
        Ok(TokenKind::Access) => "Access token revoked successfully",
        Ok(TokenKind::Refresh) => "Refresh token revoked successfully",
        Err(refusal) => return refused(refusal),
    };
    Json(json!({ "msg": text })).into_response()
}

/// The token of the header, or what is wrong with the header.
fn presented(headers: &HeaderMap) -> Result<&str, (StatusCode, &'static str)> {
    let header = headers.get(header::AUTHORIZATION).map(HeaderValue::to_str);
    let words: Vec<&str> = match header {
        None => return Err((StatusCode::UNAUTHORIZED, "Missing Authorization Header")),
        Some(text) => text.unwrap_or_default().split_whitespace().collect(),
    };
    match words[..] {
        [] => Err((StatusCode::UNAUTHORIZED, "Missing Authorization Header")),
        [scheme, token] if scheme.eq_ignore_ascii_case("bearer") => Ok(token),
        [scheme, ..] if scheme.eq_ignore_ascii_case("bearer") => Err((
            StatusCode::UNPROCESSABLE_ENTITY,
            "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'",
        )),
        _ => Err((
            StatusCode::UNAUTHORIZED,
            "Missing 'Bearer' type in 'Authorization' header. Expected 'Authorization: Bearer \
             <JWT>'",
        )),
    }
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Unavailable(error) => Failure(error).into_response(),
        Refusal::Expired | Refusal::Revoked => told(StatusCode::UNAUTHORIZED, refusal.text()),
        Refusal::Foreign(_) | Refusal::Forged | Refusal::Invalid(_) => {
            told(StatusCode::UNPROCESSABLE_ENTITY, refusal.text())
        }
    }
}

/// A refusal: the contract's key, and what every other error has too.
fn told(status: StatusCode, text: &str) -> Response {
    let kind = match status {
        StatusCode::UNAUTHORIZED => ErrorKind::Unauthenticated,
        _ => ErrorKind::InvalidRequest,
    };
    let body = json!({ "msg": text, "code": kind.code(), "retryable": kind.retryable() });
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"api\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
