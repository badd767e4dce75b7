//! A stream whose token ends: told ahead, closed in time, and everything before kept.

use std::time::Duration;

use testkit::auth0::Auth0;

use super::{Door, Line, assert_closed, now_ms, setup, token};
use crate::{
    harness::{Ledger, TestApp, doors},
    live_slow,
    oracle::{self, CHUNK_MS, SOON},
};

/// How late the machine may make what is due.
const SCHEDULING_MS: u64 = 300;

async fn run_out(app: &TestApp, tenant: &Auth0, door: Door) -> Line {
    let (token, end_ms) = token(tenant, "auth0|ada", 3.0);
    let mut line = Line::open(door, &app.url(), &token).await.expect("admitted");
    line.speak(Duration::from_secs(10)).await;
    line.hear_out(SOON).await;
    let warnings = line.named("token_expiring");
    let [(warning, warned_ms)] = warnings[..] else { panic!("one warning: {:?}", line.heard) };
    let left_ms = warning["expires_in_ms"].as_u64().expect("milliseconds");
    assert!((2000..=3000).contains(&left_ms), "{warning}");
    assert!(warned_ms + 2000 < end_ms, "told at once: {warned_ms}, {end_ms}");
    let expires_at = warning["expires_at"].as_str().expect("a time");
    let expires_at = chrono::DateTime::parse_from_rfc3339(expires_at).expect("ISO 8601");
    assert!((expires_at.timestamp_millis() as u64).abs_diff(end_ms) <= 1, "{warning}");
    let (_, closed_ms) = line.end.clone().expect("an end");
    assert!(
        (end_ms..=end_ms + 1000 + SCHEDULING_MS).contains(&closed_ms),
        "closed {} ms after the end",
        closed_ms as i64 - end_ms as i64
    );
    assert_closed(&line, door, 4003, "token_expired");
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token_and_keeps_what_was_said() {
    for door in Door::BOTH {
        let (setup, tenant) = setup().await;
        let app = setup.start().await;
        let line = run_out(&app, &tenant, door).await;
        // A chunk or two may have been on their way.
        let heard = line.chunks_heard().end;
        assert!(
            heard + 12 >= line.chunks_sent() && heard >= 25,
            "{heard} of {}",
            line.chunks_sent()
        );
        assert!(line.named("error").is_empty(), "{:?}", line.heard);
        assert_eq!(line.named("streaming_stopped").len(), 1, "the last words were waited for");
        let whole_ms = i64::from(heard) * CHUNK_MS as i64;
        Ledger(&app.database_url).wait_for(whole_ms, SOON).await;
        assert_eq!(app.metric("live_sessions", &[]), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_without_a_stream_ends_too() {
    let (setup, tenant) = setup().await;
    let app = setup.start().await;
    for door in Door::BOTH {
        let (token, end_ms) = token(&tenant, "auth0|ada", 1.0);
        let mut line = Line::open(door, &app.url(), &token).await.expect("admitted");
        let (_, closed_ms) = line.hear_out(SOON).await;
        assert!((end_ms..=end_ms + 1000).contains(&closed_ms), "{closed_ms} {end_ms}");
        assert_closed(&line, door, 4003, "token_expired");
        // It is no good any more for coming back either.
        assert!(Line::open(door, &app.url(), &token).await.is_err());
    }
    let gone = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("no socket to be left", SOON, gone).await.expect("gone");
}

/// Who does not read cannot stay for it: a write may take longer than what is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_ends_too() {
    let (setup, tenant) = setup().await;
    let app = setup.deepgram(live_slow::talkative()).start().await;
    let (token, end_ms) = token(&tenant, "auth0|ada", 5.0);
    let (mut socket, _) = doors::websocket(&app.url(), &token).await.expect("admitted");
    live_slow::start_mulaw(&mut socket).await;
    let mut chunks = 0;
    while app.metric("events_dropped_total", &["slow_reader"]) == 0 {
        oracle::speak_raw(&mut socket, live_slow::MULAW, chunks..chunks + 50).await;
        chunks += 50;
        assert!(now_ms() < end_ms, "the writer is not held up in time");
    }
    let gone = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("the socket to be closed", SOON, gone).await.expect("closed");
    let late_ms = now_ms() as i64 - end_ms as i64;
    assert!((0..3000).contains(&late_ms), "closed {late_ms} ms after the end");
}
