//! Every route of the service on one page: method, path, handler and who may call it.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderName, Method, Request, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use tower::{
    Service, ServiceBuilder,
    util::{BoxCloneService, BoxCloneSyncService},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, AllowOrigin, CorsLayer},
};

use super::{
    access::Gate,
    edge::Edge,
    health, observe,
    openapi::{self, Document},
    origin, pages,
    routes::{
        Access::{Any, Counted, Own, Public, Tenant},
        Route, Table,
    },
};
use crate::{
    accounts::{self, keys, mobile, profile, register, tenant, tickets, tokens},
    app::App,
    config::Origins,
    limits::LimitedAction::{Login, Refresh, Registration},
    live::{
        self,
        audience::{rest, sse},
        lines, listen, socketio, websocket,
    },
    model::{Error, ErrorKind},
    relay,
    transcription::{doors, handlers as recorded},
    transcripts::handlers as sessions,
    translation::handlers as translation,
    web::{
        Dialect::{Deepgram, OpenAi},
        client_address,
        client_address::Proxies,
        error, request_id,
        request_id::RequestId,
    },
};

/// Routes with Socket.IO beside them. There is one: each new one would have sessions of its own.
pub(super) type Engine = BoxCloneSyncService<Request<Body>, Response, Infallible>;

/// Makes it.
pub(super) fn engine(app: &Arc<App>) -> Engine {
    let (socketio, lines) = socketio::layer(app.live.clone());
    let gate = Gate { auth: app.auth.clone(), limits: app.limits.clone() };
    let document = Document::default();
    let (routes, listed) = page(app, Table::new(gate), document.clone()).finish();
    document.tell(&listed);
    let routes = routes
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(app.metrics.clone(), observe::requests));
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(lines, lines::note))
        .map_response(IntoResponse::into_response)
        .layer(socketio)
        .service(routes);
    BoxCloneSyncService::new(layers)
}

/// The service for other replicas: what they hand over, and nothing else.
pub(super) fn replicas(
    app: &Arc<App>,
    engine: Engine,
) -> impl Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(request_id::assign))
        .map_response(IntoResponse::into_response)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.relay.clone(), relay::admit))
        .service(engine);
    BoxCloneService::new(layers)
}

/// The public service: the engine and the routes, with CORS, the edge and the relay around both.
pub(super) fn service(
    app: &Arc<App>,
    edge: Edge,
    engine: Engine,
) -> impl Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let proxies = Proxies::new(app.config.server.trusted_proxies, app.config.is_production());
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(request_id::assign))
        .layer(middleware::from_fn_with_state(proxies, client_address::assign))
        .layer(CatchPanicLayer::custom(panicked))
        // Outside the edge, so that a browser may read what the edge refuses with.
        .layer(cors(app.config.server.cors_origins.clone()))
        .layer(edge)
        .layer(middleware::from_fn_with_state(app.clone(), origin::check))
        .layer(middleware::from_fn_with_state(app.relay.clone(), relay::hand_over))
        .service(engine);
    BoxCloneService::new(layers)
}

/// Every route. What is not `Public` here asks for a credential.
fn page(app: &Arc<App>, table: Table, document: Document) -> Table {
    let (app, live, accounts) = (app.clone(), app.live.clone(), app.accounts.clone());
    let (library, recordings) = (app.library.clone(), app.recordings.clone());
    let translations = app.translations.clone();
    table
        .get("/", Public, health::root, ())
        .get("/health", Public, health::health, ())
        .get("/ready", Public, health::ready, app)
        .get("/docs", Public, pages::reference, ())
        .get("/openapi.json", Public, openapi::serve, document)
        .get("/app", Public, pages::redirect, ())
        .get("/app/", Public, pages::index, ())
        .get("/app/{*path}", Public, pages::file, ())
        .post("/auth/register", Counted(Registration), register::register, accounts.clone())
        .post("/auth/login", Counted(Login), accounts::login::login, accounts.clone())
        .post("/auth/refresh", Own(Some(Refresh)), tokens::refresh, accounts.clone())
        .post("/auth/logout", Own(Some(Refresh)), tokens::logout, accounts.clone())
        .get("/auth/profile", Any, profile::profile, accounts.clone())
        .post("/auth/api-keys", Any, keys::create, accounts.clone())
        .delete("/auth/api-keys/{id}", Any, keys::delete, accounts.clone())
        .get("/api/me", Tenant, tenant::me, ())
        .get("/api/userinfo", Tenant, tenant::userinfo, accounts.clone())
        .get("/api/protected/test", Tenant, tenant::protected, ())
        .get(live::PATH, Own(None), websocket::upgrade, live.clone())
        .get("/v1/listen", Own(None), listen::upgrade, live.clone())
        .get("/rooms/{id}", Any, rest::room, live.clone())
        .get("/rooms/{id}/events", Own(None), sse::events, live.clone())
        .post("/rooms/{id}/shares", Any, rest::share, live.clone())
        .delete("/rooms/{id}/shares/{share}", Any, rest::unshare, live)
        .get("/sessions", Any, sessions::list, library.clone())
        .get("/sessions/{id}", Any, sessions::session, library.clone())
        .delete("/sessions/{id}", Any, sessions::delete, library.clone())
        .get("/sessions/{id}/{file}", Any, sessions::file, library)
        .post("/transcriptions/deepgram", Any, recorded::deepgram, recordings.clone())
        .post("/transcriptions/whisper", Any, recorded::whisper, recordings.clone())
        .post("/transcriptions/assemblyai", Any, recorded::assemblyai, recordings.clone())
        .post("/transcriptions/local", Any, recorded::local, recordings.clone())
        .post("/transcriptions/auto", Any, recorded::auto, recordings.clone())
        .post(
            "/transcriptions/transcribe-and-translate",
            Any,
            recorded::translated,
            recordings.clone(),
        )
        .door("/v1/audio/transcriptions", OpenAi, doors::transcriptions, recordings.clone())
        .door("/v1/listen", Deepgram, doors::listen, recordings)
        .post("/translations/openai", Any, translation::openai, translations.clone())
        .post("/translations/google", Any, translation::google, translations.clone())
        .post("/translations/deepseek", Any, translation::deepseek, translations)
        .post("/auth/stream-ticket", Any, tickets::issue, accounts.clone())
        .post("/mobile-auth/login", Counted(Login), mobile::login, accounts.clone())
        .post("/mobile-auth/logout", Public, mobile::logout, accounts.clone())
        .post("/mobile-auth/verify", Public, mobile::verify, accounts)
}

/// Every route of a replica with its method and who may call it.
pub(super) fn list(app: &Arc<App>) -> Vec<Route> {
    let gate = Gate { auth: app.auth.clone(), limits: app.limits.clone() };
    page(app, Table::new(gate), Document::default()).finish().1
}

/// The operators' service on the second port.
pub(super) fn metrics(app: &Arc<App>) -> Router {
    Router::new().route("/metrics", get(health::metrics)).with_state(app.clone())
}

fn cors(origins: Origins) -> CorsLayer {
    let allowed = AllowOrigin::predicate(move |origin, _| {
        origin.to_str().is_ok_and(|origin| origins.allows(origin))
    });
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_credentials(true)
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::CONTENT_DISPOSITION,
            header::ETAG,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            HeaderName::from_static("x-ratelimit-limit"),
            HeaderName::from_static("x-ratelimit-remaining"),
            HeaderName::from_static("x-ratelimit-reset"),
            HeaderName::from_static("x-request-id"),
        ])
        .allow_methods([
            Method::DELETE,
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::PATCH,
            Method::POST,
            Method::PUT,
        ])
}

async fn not_found(id: Option<Extension<RequestId>>) -> Response {
    let error = Error::new(ErrorKind::NotFound, "Endpoint not found");
    error::render(&error, id.as_deref())
}

async fn method_not_allowed(id: Option<Extension<RequestId>>) -> Response {
    let error = Error::invalid("The method is not allowed for the requested URL.");
    let mut response = error::render(&error, id.as_deref());
    *response.status_mut() = axum::http::StatusCode::METHOD_NOT_ALLOWED;
    response
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    error::render(&Error::new(ErrorKind::Internal, "Internal server error"), None)
}
