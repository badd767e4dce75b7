//! The way down: refuse, finish, flush, close, each within a limit.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::{app::App, telemetry::export};

/// How long the last notices may take to leave after the last session.
const NOTICES: Duration = Duration::from_millis(500);
/// How long tasks may take once everything is cut; usage gets its last attempt in it.
const HARD: Duration = Duration::from_secs(3);
/// How long spans may take to leave. With all of this a drain ends within five seconds of its
/// limit, before platforms lose patience.
const SPANS: Duration = Duration::from_millis(1500);

/// Drains a replica: new sessions are refused while the listener still answers, sessions deliver
/// their last words, usage is flushed, then everything is closed.
pub(super) async fn run(app: &App) {
    app.shutdown.drain();
    let sessions = app.config.live.max_sessions as u32;
    let over = app.live.slots.acquire_many(sessions);
    let limit = Instant::now() + app.config.server.drain;
    if timeout_at(limit, over).await.is_err() {
        tracing::warn!("sessions were still running when the drain limit came");
    }
    if !app.live.usage.flush(limit.saturating_duration_since(Instant::now())).await {
        tracing::warn!("usage still waited for the database when the drain limit came");
    }
    if !app.live.transcripts.flush(limit.saturating_duration_since(Instant::now())).await {
        tracing::warn!("transcripts still waited for the database when the drain limit came");
    }
    if !app.relay.wait(limit.saturating_duration_since(Instant::now())).await {
        tracing::warn!("sessions of other replicas were still carried when the drain limit came");
    }
    app.fleet.leave().await;
    tokio::time::sleep(NOTICES).await;
    app.shutdown.abort();
    if timeout(HARD, app.shutdown.wait()).await.is_err() {
        tracing::warn!("tasks were still running at the end");
    }
    let spans = async {
        if let Some(spans) = app.spans.clone() {
            export::stop(spans, SPANS).await;
        }
    };
    tokio::join!(spans, app.database.close());
}
