//! `/api/*`: what a caller of the Auth0 tenant is told about themselves.

use axum::{
    Extension, Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Accounts;
use crate::{
    auth::VerifiedToken,
    web::{credential, error, request_id::RequestId},
};

/// Everything that the token says.
pub async fn me(Extension(token): Extension<VerifiedToken>) -> Json<Value> {
    Json(json!({ "user": *token.claims, "user_id": token.sub }))
}

/// Whether a token is good.
pub async fn protected(Extension(token): Extension<VerifiedToken>) -> Json<Value> {
    let message = "Authentication successful";
    Json(json!({ "message": message, "user_id": token.sub, "authenticated": true }))
}

/// What the tenant tells of the user, as it tells it.
pub async fn userinfo(
    State(accounts): State<Accounts>,
    Extension(token): Extension<VerifiedToken>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
) -> Response {
    let text = credential::bearer(&headers).unwrap_or_default();
    match accounts.auth.userinfo(text, &token).await {
        Ok(profile) => Json(&*profile).into_response(),
        Err(refusal) => error::render_named("auth0_error", &refusal, Some(&id)),
    }
}
