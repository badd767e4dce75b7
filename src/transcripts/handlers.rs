//! `GET /sessions`, `GET` and `DELETE /sessions/{id}`, and the files under it: the caller's own.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Format, Session, Transcripts};
use crate::{
    auth::{Authenticator, Principal, digest},
    model::{Error, ErrorKind},
    web::error::Failure,
};

/// Sessions of a page where the caller does not say, and at most.
const USUAL_LIMIT: i64 = 20;
const LARGEST_LIMIT: i64 = 100;

/// What these routes need. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Library {
    /// Who is who.
    pub auth: Authenticator,
    /// What is kept.
    pub transcripts: Transcripts,
}

impl Library {
    async fn session(&self, principal: &Principal, id: &str) -> Result<Session, Error> {
        let id = parse(id)?;
        let user = self.auth.user_id(principal).await?;
        self.transcripts.session(user, id).await?.ok_or_else(unknown)
    }
}

/// The caller's sessions, newest first.
pub async fn list(
    State(library): State<Library>,
    Extension(principal): Extension<Principal>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Failure> {
    let (limit, before) = page(&asked)?;
    let user = library.auth.user_id(&principal).await?;
    // One more than is shown tells whether there is another page.
    let mut sessions = library.transcripts.sessions(user, before, limit + 1).await?;
    let more = sessions.len() as i64 > limit;
    sessions.truncate(limit as usize);
    let next = sessions.last().filter(|_| more).map(|session| session.id);
    Ok(Json(json!({ "sessions": sessions, "next": next })))
}

/// One session of the caller's.
pub async fn session(
    State(library): State<Library>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Session>, Failure> {
    Ok(Json(library.session(&principal, &id).await?))
}

/// Deletes what was said in it. What was billed stays.
pub async fn delete(
    State(library): State<Library>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    let id = parse(&id)?;
    let user = library.auth.user_id(&principal).await?;
    if library.transcripts.delete(user, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown().into())
    }
}

/// What was said in it, in the form that the file's name asks for.
pub async fn file(
    State(library): State<Library>,
    Extension(principal): Extension<Principal>,
    Path((id, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let format = file.strip_prefix("transcript.").and_then(Format::parse);
    let format = format.ok_or_else(|| not_found("Endpoint not found"))?;
    // Whose it is first; then the contents before the rest, so that what is deleted meanwhile is not
    // shown as missing.
    let id = library.session(&principal, &id).await?.id;
    let contents = library.transcripts.contents(id).await?;
    let session = library.session(&principal, &id.to_string()).await?;
    if session.transcript.as_ref().is_none_or(|kept| kept.deleted_at.is_some()) {
        return Err(not_found("no transcript of this session is stored").into());
    }
    let body = format.write(&session, &contents)?;
    Ok(answer(format, id, body, &headers))
}

/// The file, or the word that the caller has it already.
fn answer(format: Format, id: Uuid, body: String, asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", digest::of(&body));
    let known = asked.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.into_iter().any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    });
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
    let mut put = |name, value: &str| {
        // Digits, letters and dashes: always a value.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(header::ETAG, &tag);
    put(header::CACHE_CONTROL, "private, no-cache");
    if !known {
        put(header::CONTENT_TYPE, format.content_type());
        put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        let name = format!("attachment; filename=\"{id}.{}\"", format.ending());
        put(header::CONTENT_DISPOSITION, &name);
    }
    response
}

fn page(asked: &[(String, String)]) -> Result<(i64, Option<Uuid>), Error> {
    let (mut limit, mut before) = (USUAL_LIMIT, None);
    for (name, value) in asked {
        match name.as_str() {
            "limit" => {
                let given = value.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
                limit = given.ok_or_else(|| {
                    Error::invalid(format!("limit must be a number from 1 to {LARGEST_LIMIT}"))
                })?;
            }
            "before" => {
                let given = Uuid::try_parse(value);
                before = Some(given.map_err(|_| Error::invalid("before must be a session's id"))?);
            }
            // What is not known is left to later versions.
            _ => {}
        }
    }
    Ok((limit, before))
}

fn parse(id: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(id).map_err(|_| unknown())
}

fn unknown() -> Error {
    not_found("session not found")
}

fn not_found(text: &str) -> Error {
    Error::new(ErrorKind::NotFound, text)
}
