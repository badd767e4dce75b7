//! What services under test say, kept for the search for secrets once the suite is over.

use std::{fs::File, path::PathBuf, sync::Once};

use tracing_subscriber::EnvFilter;

/// The folder that `scripts/test` searches afterwards, if it runs this.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("SUITE_OUTPUT").map(PathBuf::from)
}

/// Collects what services in this process log, in more detail than they ever would in production.
pub fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(folder) = folder() else { return };
        let name = format!("in-process-{}.log", std::process::id());
        let file = File::create(folder.join(name)).expect("SUITE_OUTPUT is a folder");
        let filter = "debug,hyper=info,h2=info,rustls=info,fred=info,sqlx=info,tungstenite=info";
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_ansi(false)
            .with_writer(file)
            .init();
    });
}
