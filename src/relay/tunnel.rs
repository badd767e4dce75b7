//! An upgraded connection that is carried between a client and the replica of its session.

use std::{future::pending, time::Duration};

use axum::http::Uri;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf, copy, split},
    time::timeout,
};

use super::Relay;
use crate::fleet::Tag;

/// How long either side may take to change over.
const CHANGE: Duration = Duration::from_secs(10);
/// How long the last bytes may take to leave.
const LAST: Duration = Duration::from_secs(5);

type Io = TokioIo<Upgraded>;

impl Relay {
    /// Carries an upgraded connection for its life, or until the hard stop. In a drain its session
    /// is another replica's to finish, which has to be told.
    pub(super) fn carry(&self, to: Tag, uri: Uri, client: OnUpgrade, owner: OnUpgrade) {
        let (relay, ground) = (self.clone(), self.0.ground.clone());
        let carried = self.0.tunnels.track_future(async move {
            tokio::select! {
                () = run(client, owner) => {}
                () = ground.fleet.gone(to) => {}
                () = ground.shutdown.hard().cancelled() => {}
                () = async {
                    ground.shutdown.soft().cancelled().await;
                    relay.take_leave(to, uri).await;
                    pending::<()>().await;
                } => {}
            }
        });
        self.0.ground.shutdown.spawn(carried);
    }

    /// Waits in a drain until nothing is carried any more; false if that took too long.
    pub async fn wait(&self, limit: Duration) -> bool {
        self.0.tunnels.close();
        timeout(limit, self.0.tunnels.wait()).await.is_ok()
    }
}

/// Carries bytes in both directions until either side ends.
async fn run(client: OnUpgrade, owner: OnUpgrade) {
    let changed = timeout(CHANGE, async { tokio::try_join!(client, owner) }).await;
    let Ok(Ok((client, owner))) = changed else {
        tracing::debug!("an upgrade that was handed over came to nothing");
        return;
    };
    let (client_read, client_write) = split(TokioIo::new(client));
    let (owner_read, owner_write) = split(TokioIo::new(owner));
    // Nobody would hear what still came the other way.
    tokio::select! {
        () = carry(client_read, owner_write) => {}
        () = carry(owner_read, client_write) => {}
    }
}

async fn carry(mut from: ReadHalf<Io>, mut to: WriteHalf<Io>) {
    if let Err(error) = copy(&mut from, &mut to).await {
        tracing::debug!("a connection that was handed over broke: {error}");
    }
    // Then the other side learns of it by the connection's end.
    let _late = timeout(LAST, to.shutdown()).await;
}
