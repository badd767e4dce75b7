//! An upgraded connection that is carried between a client and the replica of its session.

use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf, copy, split},
    time::timeout,
};

/// How long either side may take to change over.
const CHANGE: Duration = Duration::from_secs(10);
/// How long the last bytes may take to leave.
const LAST: Duration = Duration::from_secs(5);

type Io = TokioIo<Upgraded>;

/// Carries bytes in both directions until either side ends.
pub(super) async fn run(client: OnUpgrade, owner: OnUpgrade) {
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
