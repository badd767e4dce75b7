//! Every event of a client with every kind of credential: before a good one was shown, none is
//! heard, and none reaches a provider or a bill.

use serde_json::{Value, json};
use testkit::raw_ws::{RawSocket, Received};

use crate::{
    access_matrix::{GOOD_KEY, REVOKED_KEY, start},
    harness::{SOON, TestApp, doors},
    tidy::{markdown, source},
};

/// The names of the events, as the documents have them and the code is held to.
fn events() -> Vec<String> {
    let events =
        markdown::first_column(&source::read("docs/PROTOCOL.md"), "Events from the client");
    assert!(events.len() >= 5, "{events:?}");
    events
}

/// What a client would send with an event, had it been let in.
fn payload(event: &str) -> Value {
    match event {
        "audio_chunk" => json!({ "audio_chunk": "AAAA".repeat(8_000) }),
        "audio_data" => json!("AAAA".repeat(8_000)),
        "authenticate" => json!({ "token": GOOD_KEY }),
        _ => json!({}),
    }
}

/// A connection to `/socket.io/` that has shown nothing yet.
async fn open(app: &TestApp) -> RawSocket {
    let url = format!("{}/socket.io/?EIO=4&transport=websocket", app.url());
    let mut socket = RawSocket::connect(&url, &[]).await.expect("anybody gets a transport");
    let hello = socket.receive(SOON).await.expect("a greeting");
    assert!(matches!(&hello, Received::Text(text) if text.starts_with('0')), "{hello:?}");
    socket
}

/// Everything that is said until the transport ends or nothing more comes.
async fn said(socket: &mut RawSocket) -> Vec<String> {
    let mut said = Vec::new();
    while let Ok(received) = socket.receive(std::time::Duration::from_millis(300)).await {
        match received {
            Received::Text(text) => said.push(text),
            _ => break,
        }
    }
    said
}

/// An event that comes with a refused CONNECT, behind it, or without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_heard_of_whoever_was_not_let_in() {
    let (app, tenant) = start().await;
    let expired = tenant.claims("auth0|eve", crate::access_matrix::AUDIENCE);
    let expired = expired.expired_for(std::time::Duration::from_secs(1));
    let expired = tenant.mint(&expired).expect("a token");
    let shown = [
        None,
        Some(Value::Null),
        Some(json!({})),
        Some(json!({ "token": "garbage" })),
        Some(json!({ "token": expired })),
        Some(json!({ "token": REVOKED_KEY })),
        Some(json!({ "token": [GOOD_KEY] })),
        Some(json!({ "ticket": GOOD_KEY })),
    ];
    for event in events() {
        for auth in &shown {
            let mut socket = open(&app).await;
            if let Some(auth) = auth {
                let connect = match auth {
                    Value::Null => "40/audio-stream,".to_owned(),
                    auth => format!("40/audio-stream,{auth}"),
                };
                socket.send_text(&connect).await.expect("sent");
            }
            let packet = format!("42/audio-stream,{}", json!([event, payload(&event)]));
            // The service may have hung up already.
            drop(socket.send_text(&packet).await);
            // Packets of Engine.IO itself: a ping, or the end.
            for packet in said(&mut socket).await {
                let refusal =
                    packet.starts_with("44/audio-stream,") || packet == "1" || packet == "2";
                assert!(refusal, "{event} after {auth:?} was answered {packet}");
            }
        }
    }
    assert!(app.deepgram().requests().is_empty(), "no stream was opened for strangers");
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM live_sessions").await, 0);
    assert_eq!(app.metric("audio_chunks_total", &[]), 0);
}

/// The root namespace has no handlers, and refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_namespace_refuses_even_a_good_credential() {
    let (app, _tenant) = start().await;
    let mut socket = open(&app).await;
    socket.send_text(&format!("40{}", json!({ "token": GOOD_KEY }))).await.expect("sent");
    let said = said(&mut socket).await;
    assert!(said.iter().all(|packet| !packet.starts_with("40")), "{said:?}");
}

/// Whoever was let in is heard, at both doors: no event says that nobody is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_heard_of_whoever_was_let_in() {
    let (app, _tenant) = start().await;
    for event in events() {
        let (mut client, _) = doors::socketio(&app.url(), GOOD_KEY).await.expect("admitted");
        client.emit(&event, &[payload(&event)]).await.expect("sent");
        client.emit("stop_streaming", &[]).await.expect("sent");
        let stopped = client.receive_event("streaming_stopped", SOON).await;
        stopped.unwrap_or_else(|error| panic!("after {event}: {error}"));
    }
    assert!(app.metric("audio_chunks_total", &[]) >= 2);
}

/// On an open socket the next credential must be as good as the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_credential_renews_nothing() {
    let (app, tenant) = start().await;
    let stranger = tenant.token("auth0|eve", crate::access_matrix::AUDIENCE).expect("a token");
    for (token, code) in [
        (json!(REVOKED_KEY), "unauthenticated"),
        (json!("garbage"), "unauthenticated"),
        (json!(""), "unauthenticated"),
        (json!(7), "unauthenticated"),
        (json!(stranger), "principal_mismatch"),
    ] {
        let (mut socket, _) = doors::websocket(&app.url(), GOOD_KEY).await.expect("admitted");
        let message = json!({ "type": "authenticate", "token": token });
        socket.send_json(&message).await.expect("sent");
        let told = socket.receive_json(SOON).await.expect("an answer");
        assert_eq!((&told["type"], &told["code"]), (&json!("error"), &json!(code)), "{told}");
        socket.send_json(&json!({ "type": "stop_streaming" })).await.expect("it lives on");
        let told = socket.receive_json(SOON).await.expect("an answer");
        assert_eq!(told["type"], "streaming_stopped", "{told}");
    }
}
