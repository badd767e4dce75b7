//! The pages, compiled in: one look at the binary is all that serving them takes.

use axum::{
    Extension,
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    model::{Error, ErrorKind},
    web::{error, request_id::RequestId},
};

/// A file of `page/`: its path below `/app/`, its type and its bytes.
struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($path:literal => $type:literal),* $(,)?) => {
        &[$(File {
            path: $path,
            content_type: $type,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/page/", $path)),
        }),*]
    };
}

const FILES: &[File] = files![
    "app.js" => "text/javascript; charset=utf-8",
    "audience.js" => "text/javascript; charset=utf-8",
    "client/backlog.js" => "text/javascript; charset=utf-8",
    "client/backoff.js" => "text/javascript; charset=utf-8",
    "client/credential.js" => "text/javascript; charset=utf-8",
    "client/door.js" => "text/javascript; charset=utf-8",
    "client/finals.js" => "text/javascript; charset=utf-8",
    "client/link.js" => "text/javascript; charset=utf-8",
    "client/migration.js" => "text/javascript; charset=utf-8",
    "client/outlet.js" => "text/javascript; charset=utf-8",
    "client/room.js" => "text/javascript; charset=utf-8",
    "client/stream.js" => "text/javascript; charset=utf-8",
    "client/time.js" => "text/javascript; charset=utf-8",
    "client/told.js" => "text/javascript; charset=utf-8",
    "client/transcriber.js" => "text/javascript; charset=utf-8",
    "client/wire.js" => "text/javascript; charset=utf-8",
    "clock.js" => "text/javascript; charset=utf-8",
    "dock.css" => "text/css; charset=utf-8",
    "export.js" => "text/javascript; charset=utf-8",
    "facts.js" => "text/javascript; charset=utf-8",
    "icon.svg" => "image/svg+xml",
    "index.html" => "text/html; charset=utf-8",
    "languages.js" => "text/javascript; charset=utf-8",
    "latency.js" => "text/javascript; charset=utf-8",
    "layout.css" => "text/css; charset=utf-8",
    "level.js" => "text/javascript; charset=utf-8",
    "messages.js" => "text/javascript; charset=utf-8",
    "microphone.js" => "text/javascript; charset=utf-8",
    "notices.js" => "text/javascript; charset=utf-8",
    "options.js" => "text/javascript; charset=utf-8",
    "palette.css" => "text/css; charset=utf-8",
    "paper.css" => "text/css; charset=utf-8",
    "paper.js" => "text/javascript; charset=utf-8",
    "problem.js" => "text/javascript; charset=utf-8",
    "recording.js" => "text/javascript; charset=utf-8",
    "reference.css" => "text/css; charset=utf-8",
    "reference.html" => "text/html; charset=utf-8",
    "reference.js" => "text/javascript; charset=utf-8",
    "resampler.js" => "text/javascript; charset=utf-8",
    "sample.js" => "text/javascript; charset=utf-8",
    "sample.wav" => "audio/wav",
    "status.js" => "text/javascript; charset=utf-8",
    "studio.js" => "text/javascript; charset=utf-8",
    "token.js" => "text/javascript; charset=utf-8",
    "transcript.js" => "text/javascript; charset=utf-8",
    "waveform.js" => "text/javascript; charset=utf-8",
    "worklet.js" => "text/javascript; charset=utf-8",
];

/// Nothing but our own files and our own sockets; `data:` for the icon.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /app`: relative links need the slash. Browsers keep the fragment.
pub(super) async fn redirect() -> Redirect {
    Redirect::permanent("/app/")
}

/// `GET /app/`.
pub(super) async fn index(id: Option<Extension<RequestId>>) -> Response {
    serve("index.html", id.as_deref())
}

/// `GET /app/{path}`.
pub(super) async fn file(Path(path): Path<String>, id: Option<Extension<RequestId>>) -> Response {
    serve(&path, id.as_deref())
}

/// `GET /docs`: every route, as people read it.
pub(super) async fn reference(id: Option<Extension<RequestId>>) -> Response {
    serve("reference.html", id.as_deref())
}

fn serve(path: &str, id: Option<&RequestId>) -> Response {
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        return error::render(&Error::new(ErrorKind::NotFound, "Endpoint not found"), id);
    };
    let mut response = file.bytes.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, file.content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
