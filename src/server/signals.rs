//! What the platform tells the process.

use tokio::signal::unix::{SignalKind, signal};

/// Ends at the next SIGTERM or SIGINT.
pub(super) async fn terminate() {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be listened for");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
