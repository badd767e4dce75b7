//! The edge: each client address may make only so many requests, before anything else is looked at.
//!
//! It keeps a flood off this one replica, coarsely; what users may do is counted in `limits`.

use std::{
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    body::Body,
    http::Request,
    response::{IntoResponse, Response},
};
use futures_util::future::Either;
use tower::{Layer, Service};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{Governor, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use crate::{
    app::App,
    model::{Error, ErrorKind},
    telemetry::{Metrics, metrics::label},
    web::{client_address::ClientAddress, error::Failure},
};

/// Paths that are never refused: platforms restart what does not answer them, and they cost nothing.
const EXEMPT: [&str; 2] = ["/health", "/ready"];
/// How often addresses are forgotten whose whole burst is there again.
const SWEEP: Duration = Duration::from_secs(10);

type Middleware = governor::middleware::NoOpMiddleware;

/// Counts by the client's network, as trusted proxies tell it; never by what else a header says.
#[derive(Clone, Debug)]
pub(super) struct ByNetwork;

impl KeyExtractor for ByNetwork {
    type Key = IpAddr;

    fn extract<T>(&self, request: &Request<T>) -> Result<IpAddr, GovernorError> {
        let client = request.extensions().get::<ClientAddress>();
        client.map(ClientAddress::network).ok_or(GovernorError::UnableToExtractKey)
    }
}

/// The guard of one replica, as a layer.
#[derive(Clone)]
pub(super) struct Edge(GovernorLayer<ByNetwork, Middleware, Body>);

impl Edge {
    /// A guard with the configured rate; fails if that is none.
    pub(super) fn new(app: &App) -> anyhow::Result<Self> {
        let server = &app.config.server;
        let config = GovernorConfigBuilder::default()
            .key_extractor(ByNetwork)
            .period(Duration::from_secs(1) / server.edge_rate)
            .burst_size(server.edge_burst)
            .finish()
            .context("EDGE_RATE and EDGE_BURST are no rate")?;
        let (limiter, stop) = (config.limiter().clone(), app.shutdown.hard().clone());
        app.shutdown.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
                limiter.retain_recent();
            }
        });
        let metrics = app.metrics.clone();
        Ok(Self(GovernorLayer::new(config).error_handler(move |error| refuse(&metrics, &error))))
    }
}

fn refuse(metrics: &Metrics, error: &GovernorError) -> Response {
    let (reason, error) = match error {
        GovernorError::TooManyRequests { wait_time, .. } => {
            let text = "too many requests from this address: slow down";
            // It is given in whole seconds, rounded down.
            let wait = Duration::from_secs(wait_time + 1);
            ("rate", Error::new(ErrorKind::RateLimited, text).after(wait))
        }
        _ => ("no_address", Error::new(ErrorKind::Internal, "Internal server error")),
    };
    metrics.edge_refused.add(1, &[label("reason", reason)]);
    Failure(error).into_response()
}

impl<S: Clone> Layer<S> for Edge {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { limited: self.0.layer(inner.clone()), open: inner }
    }
}

/// A service behind the edge.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    limited: Governor<ByNetwork, Middleware, S, Body>,
    open: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, tower_governor::ResponseFuture<S::Future, Body>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self.open.poll_ready(context) {
            Poll::Ready(Ok(())) => self.limited.poll_ready(context),
            other => other,
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if EXEMPT.contains(&request.uri().path()) {
            Either::Left(self.open.call(request))
        } else {
            Either::Right(self.limited.call(request))
        }
    }
}
