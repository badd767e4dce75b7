//! The listener, the page of routes, health, and the way down.

mod access;
mod drain;
mod edge;
mod health;
mod listener;
mod observe;
pub mod openapi;
mod origin;
mod pages;
mod router;
mod routes;
mod signals;
mod tenant;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};

use crate::{
    app::App, config::Config, lifecycle::Shutdown, model::Clock, postgres::Fatal, relay,
    telemetry::logs,
};
pub use routes::{Access, Route};
use signals::Signals;

/// Connections that may wait to be accepted. With the usual 128 a herd that comes back at once
/// overflows the queue: its connects take seconds, and some are never seen.
const BACKLOG: u32 = 4096;

/// A replica that listens.
pub struct Running {
    /// Where it serves.
    pub address: SocketAddr,
    /// Where it tells its metrics.
    pub metrics_address: Option<SocketAddr>,
    /// Where it serves other replicas.
    pub replica_address: Option<SocketAddr>,
    /// Its components.
    pub app: Arc<App>,
    migrator: JoinHandle<Result<(), Fatal>>,
}

impl Running {
    /// Builds a replica and listens at once; the database may come later.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let shutdown = Shutdown::default();
        let port = config.server.port;
        let socket = bind("PORT", port)?;
        let metrics_socket = match config.server.metrics_port {
            Some(port) => Some(bind("METRICS_PORT", port)?),
            None => None,
        };
        let replica_socket = replica_socket(&config)?;
        let replica_address = replica_socket.as_ref().map(TcpListener::local_addr).transpose()?;
        let reached = replica_address.map(|listening| {
            relay::own_address(config.server.replica_address.as_ref(), listening.port())
        });
        let app = Arc::new(Box::pin(App::build(config, reached, shutdown.clone())).await?);
        let address = socket.local_addr()?;
        let metrics_address = metrics_socket.as_ref().map(TcpListener::local_addr).transpose()?;
        let limit = app.config.server.max_connections;
        let engine = router::engine(&app);
        let service = router::service(&app, edge::Edge::new(&app)?, engine.clone());
        listener::spawn(socket, service, &shutdown, limit);
        if let Some(socket) = replica_socket {
            listener::spawn(socket, router::replicas(&app, engine), &shutdown, limit);
        }
        if let Some(socket) = metrics_socket {
            listener::spawn(socket, router::metrics(&app), &shutdown, limit);
        }
        app.live.watch_lapses();
        let migrator = app.database.spawn_migrator(&shutdown);
        Ok(Self { address, metrics_address, replica_address, app, migrator })
    }

    /// Every route that it serves.
    pub fn routes(&self) -> Vec<Route> {
        router::list(&self.app)
    }

    /// Waits for a signal, or for a fault that this replica cannot live with; then drains.
    ///
    /// Fails with that fault, or when a second signal cuts the drain short.
    async fn run(mut self, signals: &mut Signals) -> anyhow::Result<()> {
        let fatal = tokio::select! {
            () = signals.next() => None,
            fatal = fatal(&mut self.migrator) => Some(fatal),
        };
        tracing::info!("draining for at most {:?}", self.app.config.server.drain);
        tokio::select! {
            () = drain::run(&self.app) => {}
            () = signals.next() => {
                self.app.shutdown.abort();
                anyhow::bail!("a second signal stopped the drain before its end");
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    /// Drains and stops.
    pub async fn stop(self) {
        drain::run(&self.app).await;
    }
}

/// Runs a replica until it is told to stop.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    logs::start(&config.telemetry);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for warning in config.providers.warnings(Clock.now().date_naive()) {
        tracing::warn!("{warning}");
    }
    let running = tokio::select! {
        running = Running::start(config) => running?,
        // Nothing has begun that would have to be handed over.
        () = signals.next() => return Ok(()),
    };
    tracing::info!("listening on {}", running.address);
    if let Some(token) = running.app.auth.development_token() {
        announce(running.address.port(), token);
    }
    running.run(&mut signals).await
}

/// The one line for people: where the page is. The fragment is never sent to a server.
#[expect(clippy::print_stdout, reason = "the address is for the person who started the process")]
fn announce(port: u16, token: &str) {
    println!("\n  Open http://127.0.0.1:{port}/app/#token={token}\n");
}

/// The socket for other replicas; none where they would have nothing to prove themselves with.
fn replica_socket(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let port = config.server.replica_port.filter(|_| config.auth.secret_key.is_some());
    port.map(|port| bind("REPLICA_PORT", port)).transpose()
}

/// Listens on a port, which the variable of that name chose.
fn bind(name: &str, port: u16) -> anyhow::Result<TcpListener> {
    listen(port).with_context(|| format!("{name} {port} cannot be listened on"))
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A restart must not wait for connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([0, 0, 0, 0], port)))?;
    socket.listen(BACKLOG)
}

/// Ends only with a fault that waiting does not mend, such as a migration that failed.
async fn fatal(migrator: &mut JoinHandle<Result<(), Fatal>>) -> anyhow::Error {
    match migrator.await {
        Ok(Err(fatal)) => fatal.into(),
        Ok(Ok(())) => std::future::pending().await,
        Err(error) => anyhow::anyhow!("the migrator died: {error}"),
    }
}
