//! Forms without files, read within bounds.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use futures_util::stream;

use super::{body::MAX_JSON_BYTES, error::Failure};
use crate::model::{Error, ErrorKind};

/// Fields of a form, as the contract has it.
const MOST_FIELDS: usize = 1_000;

/// The fields of a form, in order. What is no form has none: the contract tells those the same.
#[derive(Debug, Default)]
pub struct Form(pub Vec<(String, String)>);

impl Form {
    /// The first field of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let kind = kind(request.headers());
        let request =
            request.map(|body| Body::new(http_body_util::Limited::new(body, MAX_JSON_BYTES)));
        let read = Bytes::from_request(request, state).await;
        let bytes = read.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => malformed(),
        })?;
        if kind.starts_with("application/x-www-form-urlencoded") {
            let fields = form_urlencoded::parse(&bytes).into_owned();
            return bounded(fields.take(MOST_FIELDS + 1).collect()).map_err(Failure);
        }
        match multer::parse_boundary(&kind) {
            Ok(boundary) => parts(bytes, boundary).await.map_err(Failure),
            Err(_) => Ok(Self::default()),
        }
    }
}

fn kind(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.unwrap_or_default().to_owned()
}

async fn parts(bytes: Bytes, boundary: String) -> Result<Form, Error> {
    let whole = stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
    let (mut parts, mut fields) = (multer::Multipart::new(whole, boundary), Vec::new());
    while let Some(part) = parts.next_field().await.map_err(|_| malformed())? {
        // A file is no field.
        if part.file_name().is_some() {
            continue;
        }
        let name = part.name().unwrap_or_default().to_owned();
        let text = part.bytes().await.map_err(|_| malformed())?;
        fields.push((name, String::from_utf8_lossy(&text).into_owned()));
        if fields.len() > MOST_FIELDS {
            break;
        }
    }
    bounded(fields)
}

fn bounded(fields: Vec<(String, String)>) -> Result<Form, Error> {
    if fields.len() > MOST_FIELDS { Err(too_large()) } else { Ok(Form(fields)) }
}

fn too_large() -> Error {
    let text = "The data value transmitted exceeds the capacity limit.";
    Error::new(ErrorKind::PayloadTooLarge, text)
}

fn malformed() -> Error {
    Error::invalid("The browser (or proxy) sent a request that this server could not understand.")
}
