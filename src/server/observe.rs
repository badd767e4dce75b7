//! Counts requests by the route that answered them.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use crate::telemetry::{Metrics, metrics::label};

/// Counts one request; unknown paths share one label, so that nobody can grow it.
pub(super) async fn requests(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().as_str().to_owned();
    let response = next.run(request).await;
    let status = i64::from(response.status().as_u16());
    let labels = [label("method", method), label("route", route), label("status", status)];
    metrics.http_requests.add(1, &labels);
    response
}
