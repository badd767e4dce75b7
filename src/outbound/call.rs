//! One call of a provider: what is sent, how long it may take, and whether it may be sent again.

use std::{path::PathBuf, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use reqwest::multipart;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio_util::io::ReaderStream;

use super::{ErrorClass, ProviderError, retry::Failed};

/// How long a call may take where it does not say.
const USUAL_TOTAL: Duration = Duration::from_secs(60);
/// Bytes of an answer where a call does not say.
const USUAL_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// What is shorter is no secret, and may be part of any word.
const SHORTEST_SECRET: usize = 8;

/// When a call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It may not.
    Never,
    /// Where the provider did nothing: it was not reached, or said so.
    WhereSafe,
    /// Where nobody knows what it did, too.
    Always,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name in metrics and logs.
    pub operation: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) total: Duration,
    pub(super) repeat: Repeat,
    pub(super) most_bytes: usize,
}

/// What is sent; made anew for each attempt.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Empty,
    Bytes(Bytes),
    File(PathBuf),
    Parts(Vec<Part>),
    /// What it was to be made of cannot be written.
    Broken(String),
}

/// A part of a form.
#[derive(Clone, Debug)]
pub enum Part {
    /// A field.
    Text {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A file, read from disk as it is sent.
    File {
        /// The field's name.
        name: String,
        /// Where the file is.
        path: PathBuf,
        /// The name that the provider is told.
        file_name: String,
        /// Its media type.
        media_type: &'static str,
    },
}

impl Part {
    /// A field.
    pub fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Text { name: name.into(), value: value.into() }
    }
}

impl Call {
    /// A call that reads, which may always be made again; the path has its query.
    pub fn get(operation: &'static str, path: impl Into<String>) -> Self {
        Self { method: Method::GET, repeat: Repeat::Always, ..Self::post(operation, path) }
    }

    /// A call that acts.
    pub fn post(operation: &'static str, path: impl Into<String>) -> Self {
        Self {
            operation,
            method: Method::POST,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Body::Empty,
            total: USUAL_TOTAL,
            repeat: Repeat::WhereSafe,
            most_bytes: USUAL_ANSWER_BYTES,
        }
    }

    /// With a header, which is not shown in logs.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(name, value);
            }
            Err(_) => self.body = Body::Broken(format!("{name} cannot be sent")),
        }
        self
    }

    /// With a bearer token.
    pub fn bearer(self, token: &SecretString) -> Self {
        self.header(header::AUTHORIZATION, &format!("Bearer {}", token.expose_secret()))
    }

    /// With a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = match serde_json::to_vec(body) {
            Ok(body) => Body::Bytes(body.into()),
            Err(error) => Body::Broken(error.to_string()),
        };
        self
    }

    /// With the fields of a form, as browsers send it.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.headers.insert(header::CONTENT_TYPE, kind);
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        self.body = Body::Bytes(body.finish().into());
        self
    }

    /// With a file as its body.
    pub fn file(mut self, path: PathBuf) -> Self {
        self.body = Body::File(path);
        self
    }

    /// With the parts of a form.
    pub fn multipart(mut self, parts: Vec<Part>) -> Self {
        self.body = Body::Parts(parts);
        self
    }

    /// How long all attempts together may take.
    pub const fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// When it may be made again.
    pub const fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Most bytes of its answer.
    pub const fn most_bytes(mut self, most_bytes: usize) -> Self {
        self.most_bytes = most_bytes;
        self
    }

    /// The failure without what must not be in a log: an answer may quote what we sent.
    pub(super) fn redacted(&self, mut failed: Failed) -> Failed {
        let secrets = self.headers.values().filter(|value| value.is_sensitive());
        for secret in secrets.filter_map(|value| value.to_str().ok()?.rsplit(' ').next()) {
            if secret.len() >= SHORTEST_SECRET {
                failed.error.detail = failed.error.detail.replace(secret, "[redacted]");
            }
        }
        failed
    }

    /// The request of one attempt.
    pub(super) async fn build(
        &self,
        http: &reqwest::Client,
        base: &str,
    ) -> Result<reqwest::RequestBuilder, ProviderError> {
        let url = format!("{}{}", base.trim_end_matches('/'), self.path);
        let request = http.request(self.method.clone(), url).headers(self.headers.clone());
        Ok(match &self.body {
            Body::Empty => request,
            Body::Bytes(bytes) => request.body(bytes.clone()),
            Body::File(path) => {
                let (body, bytes) = open(path).await?;
                request.header(header::CONTENT_LENGTH, bytes).body(body)
            }
            Body::Parts(parts) => {
                let mut form = multipart::Form::new();
                for part in parts {
                    form = add(form, part).await?;
                }
                request.multipart(form)
            }
            Body::Broken(why) => return Err(broken(why)),
        })
    }
}

async fn add(form: multipart::Form, part: &Part) -> Result<multipart::Form, ProviderError> {
    Ok(match part {
        Part::Text { name, value } => form.text(name.clone(), value.clone()),
        Part::File { name, path, file_name, media_type } => {
            let (body, bytes) = open(path).await?;
            let part =
                multipart::Part::stream_with_length(body, bytes).file_name(file_name.clone());
            let part = part.mime_str(media_type).map_err(|error| broken(&error))?;
            form.part(name.clone(), part)
        }
    })
}

async fn open(path: &PathBuf) -> Result<(reqwest::Body, u64), ProviderError> {
    let file = tokio::fs::File::open(path).await.map_err(|error| broken(&error))?;
    let bytes = file.metadata().await.map_err(|error| broken(&error))?.len();
    Ok((reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, 64 * 1024)), bytes))
}

/// A call that cannot be made at all, which says nothing about the provider.
fn broken(why: &impl std::fmt::Display) -> ProviderError {
    ProviderError::new(ErrorClass::BadRequest, "unsendable", format!("cannot be sent: {why}"))
}
