//! `GET /rooms/{id}`, `POST /rooms/{id}/shares` and `DELETE /rooms/{id}/shares/{share}`: the caller's
//! own rooms.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    auth::Principal,
    live::LiveService,
    model::{Clock, Error, ErrorKind},
    rooms::RoomName,
    web::{body::JsonObject, error::Failure},
};

/// How long a share token lasts where the caller does not say, and how long it may, in seconds.
const USUAL_LIFE: u64 = 24 * 60 * 60;
const LIVES: std::ops::RangeInclusive<u64> = 60..=30 * 24 * 60 * 60;

/// A room as it is now.
pub async fn room(
    State(service): State<LiveService>,
    Extension(principal): Extension<Principal>,
    Path(room): Path<String>,
) -> Result<Json<Value>, Failure> {
    let room: RoomName = room.parse()?;
    let look = service.rooms.look(&room, &principal.names()).await?;
    let look = look.ok_or_else(|| not_found("room not found"))?;
    Ok(Json(json!({
        "room": room.as_str(),
        "epoch": look.position.epoch,
        "offset": look.position.offset,
        "viewers": look.viewers,
        "live": look.live,
    })))
}

/// Gives out a share token. For a room that is nobody's yet it will open what this account says there.
pub async fn share(
    State(service): State<LiveService>,
    Extension(principal): Extension<Principal>,
    Path(room): Path<String>,
    body: Option<JsonObject>,
) -> Result<Response, Failure> {
    let room: RoomName = room.parse()?;
    let life = life(body.as_ref())?;
    let account = principal.names();
    service.rooms.is_owned(&room, &account).await?;
    let (token, share) = service.rooms.shares().issue(&room, &account, life).await?;
    let answer = Json(json!({
        "id": share.id,
        "token": token.expose_secret(),
        "expires_at": Clock.format(share.expires_at),
    }));
    let mut response = (StatusCode::CREATED, answer).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Takes a share token back, on every replica at once.
pub async fn unshare(
    State(service): State<LiveService>,
    Extension(principal): Extension<Principal>,
    Path((room, share)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    let room: RoomName = room.parse()?;
    let unknown = || not_found("share not found");
    let share = Uuid::try_parse(&share).map_err(|_| unknown())?;
    if service.rooms.shares().revoke(&room, &principal.names(), share).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown().into())
    }
}

fn life(body: Option<&JsonObject>) -> Result<Duration, Error> {
    let given = body.and_then(|body| body.0.get("expires_in")).filter(|value| !value.is_null());
    let seconds = given.map_or(Some(USUAL_LIFE), Value::as_u64);
    let seconds = seconds.filter(|seconds| LIVES.contains(seconds)).ok_or_else(|| {
        let (least, most) = (LIVES.start(), LIVES.end());
        Error::invalid(format!("expires_in must be a number of seconds from {least} to {most}"))
    })?;
    Ok(Duration::from_secs(seconds))
}

fn not_found(text: &str) -> Error {
    Error::new(ErrorKind::NotFound, text)
}
