//! `/mobile-auth/*`: login sessions without a password, in the contract's words; for development.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::Accounts;
use crate::{
    model::{Clock, Error},
    web::{
        body::{JsonObject, Unreadable},
        error::Failure,
    },
};

/// Longer names are nobody's, in characters.
const LONGEST_NAME: usize = 128;

/// A body that is looked at only where sessions are allowed.
type Body = Result<JsonObject, Unreadable>;

/// `POST /mobile-auth/login`: a session for whoever gives a name.
pub async fn login(State(accounts): State<Accounts>, body: Body) -> Result<Response, Failure> {
    let Some(sessions) = accounts.auth.sessions() else {
        let text = "This endpoint is disabled in production. Use Auth0 authentication.";
        let details = "Set ALLOW_INSECURE_SESSION_AUTH=true only in development/testing.";
        let body = json!({ "error": "endpoint_disabled", "message": text, "details": details });
        return Ok((StatusCode::FORBIDDEN, Json(body)).into_response());
    };
    let body = body.map_err(|Unreadable(error)| error)?;
    let (token, session) = sessions.begin(name(&body)?).await?;
    let mut response = Json(json!({
        "auth_token": token.expose_secret(),
        "user_id": session.user_id,
        "expires_at": Clock.format(session.expires_at),
        "message": "Login successful (DEVELOPMENT MODE - NO REAL AUTH)",
        "warning": "This endpoint does not verify credentials. Use Auth0 for production.",
    }))
    .into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `POST /mobile-auth/verify`: whose session that is.
pub async fn verify(State(accounts): State<Accounts>, body: Body) -> Result<Response, Failure> {
    let Some(sessions) = accounts.auth.sessions() else { return Ok(disabled()) };
    let token = token(body)?;
    Ok(match sessions.find(&token).await? {
        Some(session) => Json(json!({
            "valid": true,
            "user_id": session.user_id,
            "username": session.username,
        }))
        .into_response(),
        None => unauthorized(json!({ "valid": false, "message": "Invalid token" })),
    })
}

/// `POST /mobile-auth/logout`: ends a session on every replica, running streams included.
pub async fn logout(State(accounts): State<Accounts>, body: Body) -> Result<Response, Failure> {
    if accounts.auth.sessions().is_none() {
        return Ok(disabled());
    }
    let token = token(body)?;
    Ok(if accounts.auth.end_session(&token).await? {
        Json(json!({ "message": "Logout successful" })).into_response()
    } else {
        unauthorized(json!({ "message": "Invalid or expired token" }))
    })
}

fn name(body: &JsonObject) -> Result<&str, Error> {
    let name = body.text("username").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Error::invalid("Username is required"))?;
    if name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(Error::invalid("Username must be 1 to 128 printable characters"));
    }
    Ok(name)
}

/// The token of the body; an empty one, which is nobody's, if there is none.
fn token(body: Body) -> Result<String, Error> {
    let body = body.map_err(|Unreadable(error)| error)?;
    Ok(body.text("auth_token").unwrap_or_default().to_owned())
}

fn disabled() -> Response {
    let text = "This endpoint is disabled in production.";
    let body = json!({ "error": "endpoint_disabled", "message": text });
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

fn unauthorized(body: Value) -> Response {
    (StatusCode::UNAUTHORIZED, Json(body)).into_response()
}
