//! Multipart uploads: files to disk as they come, fields into memory, all within bounds.

mod body;
mod file;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderMap, header},
};
use futures_util::StreamExt;
use multer::{Field, Multipart};
use tokio::time::{Instant, timeout, timeout_at};

use self::body::{Claim, Paced};
pub use self::file::{Saved, Saving};
use super::scratch::Folder;
use crate::model::{Error, ErrorKind};

/// Bytes of a field that is text, as the contract has it.
const MOST_TEXT_BYTES: usize = 500_000;
/// Parts of a form, as the contract has it.
const MOST_PARTS: usize = 1_000;
/// How long an upload may stand still.
const STILL: Duration = Duration::from_secs(30);
/// What the contract says of whatever is too large.
pub const TOO_LARGE: &str =
    "File too large. Note: Whisper endpoint automatically handles large files with chunking.";

/// What one request brought.
#[derive(Debug, Default)]
pub struct Form {
    /// Fields that are text, in order.
    pub fields: Vec<(String, String)>,
    /// The file of the field that was looked for.
    pub file: Option<Saved>,
    /// Whether that field was there as a file without a name: nothing was chosen.
    pub unnamed: bool,
}

/// Bounds of an upload.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes of the file.
    pub file_bytes: u64,
    /// How long all of it may take.
    pub total: Duration,
    /// Whether the file's content is told apart from others.
    pub digest: bool,
}

impl Form {
    /// The last field of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
    }

    /// Every field of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, text)| text.as_str())
    }
}

/// Reads a form whose file is in a field of that name into the folder. What is no form is an empty
/// one: the contract tells those the same.
pub async fn receive(
    request: Request,
    name: &str,
    bounds: Bounds,
    folder: &mut Folder,
) -> Result<Form, Error> {
    let (parts, body) = request.into_parts();
    let Some(boundary) = boundary(&parts.headers) else { return Ok(Form::default()) };
    // A file of the largest size is larger by the form around it.
    let announced = http_length(&parts.headers).unwrap_or_default();
    let around = (MOST_TEXT_BYTES * 2) as u64;
    if announced > bounds.file_bytes.saturating_add(around) {
        return Err(too_large());
    }
    let claim = Claim::default();
    let mut body = Paced::new(body, &claim);
    let mut reading = Reading { form: Form::default(), name, bounds, folder, claim };
    let deadline = Instant::now() + bounds.total;
    let read = timeout_at(deadline, reading.read(Multipart::new(&mut body, boundary))).await;
    match read.unwrap_or_else(|_| Err(too_slow())) {
        Ok(()) => Ok(reading.form),
        Err(error) => {
            body.linger().await;
            Err(error)
        }
    }
}

/// Reads a body that is a file into the folder.
pub async fn receive_bare(
    request: Request,
    bounds: Bounds,
    folder: &mut Folder,
) -> Result<Saved, Error> {
    if http_length(request.headers()).unwrap_or_default() > bounds.file_bytes {
        return Err(too_large());
    }
    let claim = Claim::default();
    let mut body = Paced::new(request.into_body(), &claim);
    let read =
        timeout_at(Instant::now() + bounds.total, bare(&mut body, bounds, folder, &claim)).await;
    match read.unwrap_or_else(|_| Err(too_slow())) {
        Ok(saved) => Ok(saved),
        Err(error) => {
            body.linger().await;
            Err(error)
        }
    }
}

async fn bare(
    body: &mut Paced,
    bounds: Bounds,
    folder: &mut Folder,
    claim: &Claim,
) -> Result<Saved, Error> {
    let mut saving = file::Saving::create(folder.path(), bounds.digest).await?;
    loop {
        let piece = timeout(STILL, body.next()).await.map_err(|_| too_slow())?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|error| {
            if stood_still(&error) { too_slow() } else { malformed().because(error) }
        })?;
        claim.all();
        if saving.bytes() + piece.len() as u64 > bounds.file_bytes {
            return Err(too_large());
        }
        folder.grow(piece.len() as u64)?;
        saving.write(&piece).await?;
    }
    if saving.bytes() == 0 {
        return Err(Error::invalid("No audio file provided"));
    }
    saving.finish().await
}

/// A form while it is read.
struct Reading<'a> {
    form: Form,
    name: &'a str,
    bounds: Bounds,
    folder: &'a mut Folder,
    claim: Claim,
}

impl Reading<'_> {
    async fn read(&mut self, mut parts: Multipart<'_>) -> Result<(), Error> {
        let mut count = 0;
        while let Some(part) = timely(parts.next_field()).await? {
            self.claim.all();
            count += 1;
            if count > MOST_PARTS {
                return Err(too_large());
            }
            self.take(part).await?;
        }
        Ok(())
    }

    async fn take(&mut self, part: Field<'_>) -> Result<(), Error> {
        let name = part.name().unwrap_or_default().to_owned();
        match part.file_name().map(str::to_owned) {
            None => {
                let text = self.text(part).await?;
                self.form.fields.push((name, text));
                Ok(())
            }
            Some(file_name) if name == self.name && self.form.file.is_none() => {
                self.form.unnamed = file_name.is_empty();
                let saved = self.file(part).await?;
                self.form.file = (!file_name.is_empty()).then_some(saved);
                Ok(())
            }
            // Nobody asked for it: its bytes are counted, and not kept.
            Some(_) => self.skip(part).await,
        }
    }

    async fn text(&self, mut part: Field<'_>) -> Result<String, Error> {
        let mut text = Vec::new();
        while let Some(piece) = timely(part.chunk()).await? {
            self.claim.all();
            text.extend_from_slice(&piece);
            if text.len() > MOST_TEXT_BYTES {
                return Err(too_large());
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    async fn file(&mut self, mut part: Field<'_>) -> Result<Saved, Error> {
        let mut saving = file::Saving::create(self.folder.path(), self.bounds.digest).await?;
        while let Some(piece) = timely(part.chunk()).await? {
            self.claim.all();
            if saving.bytes() + piece.len() as u64 > self.bounds.file_bytes {
                return Err(too_large());
            }
            self.folder.grow(piece.len() as u64)?;
            saving.write(&piece).await?;
        }
        saving.finish().await
    }

    async fn skip(&self, mut part: Field<'_>) -> Result<(), Error> {
        let mut bytes = 0;
        while let Some(piece) = timely(part.chunk()).await? {
            self.claim.all();
            bytes += piece.len() as u64;
            if bytes > self.bounds.file_bytes {
                return Err(too_large());
            }
        }
        Ok(())
    }
}

async fn timely<T>(read: impl Future<Output = multer::Result<T>>) -> Result<T, Error> {
    match timeout(STILL, read).await {
        Ok(read) => read.map_err(broken),
        Err(_) => Err(too_slow()),
    }
}

fn broken(error: multer::Error) -> Error {
    if stood_still(&error) {
        return too_slow();
    }
    malformed().because(error)
}

fn malformed() -> Error {
    Error::invalid("The browser (or proxy) sent a request that this server could not understand.")
}

/// Whether the listener gave up waiting for the next piece.
fn stood_still(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<tower_http::timeout::TimeoutError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Of a form; other bodies have none.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    multer::parse_boundary(kind).ok()
}

fn http_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// More than a bound allows.
pub fn too_large() -> Error {
    Error::new(ErrorKind::PayloadTooLarge, TOO_LARGE)
}

fn too_slow() -> Error {
    Error::new(ErrorKind::RequestTimeout, "the upload took too long")
}
