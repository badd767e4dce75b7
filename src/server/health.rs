//! Liveness, readiness and the greeting at the root.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};

use crate::app::App;

/// The API's version, which is the contract's and not the build's.
const API_VERSION: &str = "1.0.0";
const NAME: &str = "Audio Transcription API";

/// `GET /health`: the process can answer. Touches nothing.
pub(super) async fn health() -> Json<Value> {
    tracing::debug!("Health check requested");
    Json(json!({
        "service": NAME,
        "status": "healthy",
        "version": API_VERSION,
        "build": {
            "version": env!("CARGO_PKG_VERSION"),
            "commit": env!("GIT_COMMIT"),
        },
    }))
}

/// `GET /ready`: whether new sessions are welcome, and which dependency is away.
pub(super) async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    let refusal = refusal(&app);
    let mut away = Vec::new();
    if let Err(why) = app.database.health().await {
        away.push(json!({ "dependency": "postgres", "cause": why }));
    }
    if let Err(why) = app.redis.health().await {
        away.push(json!({ "dependency": "redis", "cause": why }));
    }
    let (status, word) = match (refusal, away.is_empty()) {
        (Some(why), _) => (StatusCode::SERVICE_UNAVAILABLE, why),
        (None, true) => (StatusCode::OK, "ready"),
        (None, false) => (StatusCode::OK, "degraded"),
    };
    (status, Json(json!({ "status": word, "away": away })))
}

fn refusal(app: &App) -> Option<&'static str> {
    if app.shutdown.soft().is_cancelled() {
        Some("draining")
    } else if !app.database.schema_seen() {
        Some("database schema not seen yet")
    } else if app.live.slots.available_permits() == 0 {
        Some("at the session limit")
    } else if app.live.usage.is_full() {
        Some("too much usage waits for the database")
    } else {
        None
    }
}

/// `GET /`: what is here, as the contract has it.
pub(super) async fn root() -> Json<Value> {
    Json(json!({
        "service": NAME,
        "version": API_VERSION,
        "status": "running",
        "endpoints": {
            "health": "/health",
            "transcription": {
                "deepgram": "/transcriptions/deepgram",
                "whisper": "/transcriptions/whisper",
                "assemblyai": "/transcriptions/assemblyai",
            },
            "translation": {
                "openai": "/translations/openai",
                "google": "/translations/google",
            },
            "postprocessing": {
                "sentiment": "/sentiment",
                "documents": "/documents/{format}",
                "reports": "/reports/{format}",
            },
        },
    }))
}

/// `GET /metrics` on the second port.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    match app.metrics.render() {
        Ok(text) => {
            ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => {
            tracing::error!("metrics cannot be rendered: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
