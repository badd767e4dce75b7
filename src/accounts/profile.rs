//! `GET /auth/profile`: who the caller is, and their keys.

use axum::{Extension, Json, extract::State};
use serde_json::{Value, json};

use super::Accounts;
use crate::{
    auth::Principal,
    model::{Error, ErrorKind},
    web::error::Failure,
};

/// Shows the caller to themselves, however they proved who they are.
pub async fn profile(
    State(accounts): State<Accounts>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Value>, Failure> {
    let auth = &accounts.auth;
    let id = auth.user_id(&principal).await?;
    let user = auth.people().find(id).await?.ok_or_else(unknown)?;
    let keys = auth.keys().list(id).await?;
    Ok(Json(json!({ "user": user, "api_keys": keys })))
}

/// The caller's row is gone.
pub(super) fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "User not found")
}
