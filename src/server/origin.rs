//! Which pages may open a socket: browsers name the page's origin, and nobody else need have one.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    live,
    telemetry::{log_patterns, metrics::label},
};

/// The contract's body, with its quotes.
const REFUSAL: &str = "\"Not an accepted origin.\"";

/// Refuses a socket to a page of another origin that is not on the list.
pub(super) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let Some(origin) = origin.filter(|_| opens_a_socket(&request)) else {
        return next.run(request).await;
    };
    if is_our_own(origin, headers) || app.config.server.socketio_origins.allows(origin) {
        return next.run(request).await;
    }
    log_patterns::origin_refused(origin);
    app.metrics.sockets_refused.add(1, &[label("door", "any"), label("reason", "origin")]);
    (StatusCode::BAD_REQUEST, REFUSAL).into_response()
}

/// A ticket opens one too, and a page that may not is to read why.
fn opens_a_socket(request: &Request) -> bool {
    let path = request.uri().path();
    let listens = path == live::listen::PATH && request.method() == Method::GET;
    let tickets = path == "/auth/stream-ticket";
    path.starts_with("/socket.io") || path == live::PATH || listens || tickets
}

/// Whether the page came from this very host; the scheme may have been ended by a proxy.
fn is_our_own(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|authority| Some(authority) == host)
}
