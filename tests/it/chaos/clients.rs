//! Faults of clients and of the ways to them.

use std::time::Duration;

use anyhow::ensure;
use testkit::{
    history::{Spoken, What},
    proxy::Mode,
    raw_ws::{RawSocket, Received},
};
use tokio_tungstenite::tungstenite::Message;

use super::scene::{Scene, lasts, one_session_each, summary, talking};
use crate::harness::{LONG, SOON, Shape, doors};

const OFFLINE: Duration = Duration::from_secs(10);

/// F38: no way to any replica for ten seconds, first with resets, then without a sign.
pub async fn offline(seed: u64) -> anyhow::Result<String> {
    let scene = talking(Shape::new(2, seed), 3).await?;
    for mode in [Mode::refusing(), Mode::blackhole()] {
        for replica in &scene.cluster.replicas {
            replica.door.set(mode);
            if mode.refuses {
                replica.door.cut_all();
            }
        }
        lasts(OFFLINE).await;
        for replica in &scene.cluster.replicas {
            replica.door.pass();
        }
        // Ten seconds of audio come faster than they were spoken.
        scene.until_words(500, LONG).await?;
    }
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(summary(&evidence))
}

/// F40: everybody comes back at once.
pub async fn storm(seed: u64) -> anyhow::Result<String> {
    const CROWD: u16 = 24;
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    for number in 0..CROWD {
        let plan = scene.cluster.plan(number % 4 + 1, number).at(usize::from(number % 2));
        scene.begin_alone(plan).await;
    }
    scene.until_acked(1_000).await?;
    let fetched = scene.cluster.tenant.jwks_fetches();
    let cut = scene.moment();
    let count: usize = scene.cluster.replicas.iter().map(|replica| replica.door.cut_all()).sum();
    ensure!(count >= usize::from(CROWD), "only {count} were cut");
    scene.until_words(50, LONG).await?;
    let silence = scene.silence_since(&cut, Duration::from_secs(10))?;
    let fetched = scene.cluster.tenant.jwks_fetches() - fetched;
    ensure!(fetched <= 1, "the keys were fetched {fetched} times");
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(format!("{CROWD} back, silent for {silence:.1?}; {}", summary(&evidence)))
}

/// Whoever talks beside the bad ones hears everything, in one session.
pub async fn unharmed(scene: Scene) -> anyhow::Result<String> {
    scene.until_words(50, SOON * 2).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    let lost = |what: &What| matches!(what, What::Lost(_) | What::Silence);
    let harmed = evidence.spoken.iter().find(|one| one.events.iter().any(|e| lost(&e.what)));
    // The last loss is the end.
    ensure!(harmed.is_none_or(|one| one.returns() == 0), "somebody was cut");
    Ok(summary(&evidence))
}

async fn socket(scene: &Scene) -> anyhow::Result<RawSocket> {
    let url = scene.cluster.replicas[0].process.url();
    Ok(doors::websocket(&url, &scene.cluster.token(8)).await?.0)
}

/// F45: bytes that are no WebSocket.
pub async fn malformed(seed: u64) -> anyhow::Result<String> {
    let scene = talking(Shape::new(1, seed), 2).await?;
    let frames: [&[u8]; 7] = [
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x82, 1, b'x'],
        &[0xC2, 0x81, 0, 0, 0, 0, b'x'],
        &[0x81, 0x82, 0, 0, 0, 0, 0xFF, 0xFE],
        &[0x80, 0x81, 0, 0, 0, 0, b'x'],
        &[0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0],
        &[0x09, 0x80, 0, 0, 0, 0],
    ];
    for bytes in frames.iter().cycle().take(21) {
        let mut socket = socket(&scene).await?;
        socket.send_raw_bytes(bytes).await?;
        let (_, end) = socket.drain(SOON).await?;
        let fault = matches!(end, Received::Closed(1002 | 1007 | 1009, _) | Received::Gone(_));
        ensure!(fault, "{bytes:?} ended with {end:?}");
    }
    unharmed(scene).await
}

/// F46: a message beyond the limit, fragments without end, thousands of pings.
pub async fn oversized(seed: u64) -> anyhow::Result<String> {
    let scene = talking(Shape::new(1, seed), 2).await?;
    let mut flood = socket(&scene).await?;
    for _ in 0..5_000 {
        flood.send(Message::Ping(b"x".as_slice().into())).await?;
    }
    let mut large = socket(&scene).await?;
    // It may be cut before it has sent everything.
    let _ = large.send_binary(vec![0; 2_000_000]).await;
    let mut endless = socket(&scene).await?;
    let piece = [vec![0x00, 0xFE, 0xEA, 0x60, 0, 0, 0, 0], vec![1; 60_000]].concat();
    let first = [vec![0x02, 0xFE, 0xEA, 0x60, 0, 0, 0, 0], vec![1; 60_000]].concat();
    endless.send_raw_bytes(&first).await?;
    for _ in 0..100 {
        if endless.send_raw_bytes(&piece).await.is_err() {
            break;
        }
    }
    for mut socket in [large, endless] {
        let (_, end) = socket.drain(SOON).await?;
        let fault = matches!(end, Received::Closed(1009, _) | Received::Gone(_));
        ensure!(fault, "it ended with {end:?}");
    }
    unharmed(scene).await
}

/// F53: the credential ends in mid-stream; the client comes back with a new one.
pub async fn token_ends(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    for tenant in 1..=2 {
        let mut plan = scene.cluster.plan(tenant, 1);
        plan.token = scene.cluster.short_token(tenant, 6.0);
        scene.begin(plan).await;
        let caller = scene.callers.last().expect("a speaker");
        let open = |spoken: &Spoken| !spoken.sessions.is_empty();
        caller.wait("a session", SOON, open).await?;
        caller.renew(&scene.cluster.token(tenant)).await;
    }
    let returned = |spoken: &Spoken| spoken.returns() >= 1;
    scene.until_all("a return", SOON * 2, returned).await?;
    scene.until_words(75, SOON).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    for spoken in &evidence.spoken {
        let told = |what: &What| matches!(what, What::Told(told) if told["code"] == 4003);
        let heard = spoken.events.iter().any(|event| told(&event.what));
        ensure!(heard, "4003 was not heard: {}", spoken.story());
    }
    Ok(format!("closed with 4003; {}", summary(&evidence)))
}
