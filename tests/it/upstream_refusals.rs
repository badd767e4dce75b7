//! A provider that does not let us in: what is fatal is tried once, what may pass is tried again.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::Value;
use testkit::{
    deepgram::{Body, Door, Refusal},
    numbered::NumberedAudio,
    socketio,
};

use crate::{
    harness::{ServiceProcess, Setup, TestApp},
    oracle::{self, SOON, numbered, numbered_app},
};

const KEY: &str = "test-deepgram-key";
const CHUNKS: u32 = 20;

/// Everything that a client is told until the error, the error last.
async fn until_error(client: &mut socketio::Client) -> Vec<Value> {
    oracle::listen(client, SOON, |message| message["type"] == "error").await
}

/// A refusal that even quotes our key.
fn indiscreet(status: u16, body: Body) -> Refusal {
    let Refusal { code, message, .. } = Refusal::of(status);
    Refusal::new(status, &code, &format!("{message} Token {KEY}")).with_body(body)
}

async fn refused_for_good(status: u16, body: Body, code: &str) {
    let app = numbered_app().await;
    app.deepgram().refuse(Door::Live, 100, indiscreet(status, body));
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..3).await;
    let heard = until_error(&mut client).await;
    let error = heard.last().expect("the error");
    assert_eq!(
        (&error["code"], &error["message"]),
        (&code.into(), &"Transcription service error".into())
    );
    assert!(heard.iter().all(|event| !event.to_string().contains(KEY)), "{heard:?}");
    // What comes later opens nothing.
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 3..4).await;
    let late = client.receive_event("error", SOON).await.expect("an answer").json();
    assert_eq!(late["message"], "Transcription service not ready");
    assert_eq!(app.deepgram().requests().len(), 1, "one attempt");
    assert_eq!(app.metric("live_sessions_ended_total", &[code]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_request_is_not_repeated() {
    refused_for_good(400, Body::Legacy, "provider_rejected").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_not_repeated() {
    refused_for_good(401, Body::Legacy, "provider_unavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_account_is_not_asked_again() {
    refused_for_good(402, Body::Modern, "provider_unavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_model_is_not_asked_for_again() {
    refused_for_good(403, Body::Text, "provider_unavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_key_is_in_no_log() {
    let setup = Setup::new().with("LOG_LEVEL", "DEBUG").deepgram(numbered());
    let (variables, deepgram) = setup.variables().await;
    let deepgram = deepgram.expect("a simulator");
    deepgram.refuse(Door::Live, 1, indiscreet(503, Body::Legacy));
    deepgram.refuse(Door::Live, 1, indiscreet(401, Body::Text));
    let service = ServiceProcess::start(&variables).await;
    let mut client = socketio::Client::connect(&service.url(), audio_stream(service.token()))
        .await
        .expect("admitted");
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..1).await;
    until_error(&mut client).await;
    let logged = async || service.log().contains("Deepgram error: provider_unavailable");
    testkit::wait_until("the refusal in the log", SOON, logged).await.expect("logged");
    assert!(!service.log().contains(KEY), "{}", service.log());
}

fn audio_stream(token: String) -> socketio::Options {
    socketio::Options {
        namespace: "/audio-stream".into(),
        auth: serde_json::json!({ "token": token }),
        ..Default::default()
    }
}

/// Speaks while the provider is not to be had; everything that was said meanwhile is kept.
async fn speak_until_let_in(app: &TestApp) {
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..CHUNKS).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, Duration::from_secs(20)).await;
    oracle::assert_whole(&heard, CHUNKS);
    assert_eq!(app.deepgram().streams().len(), 1);
}

async fn wait_out(status: u16) {
    let app = numbered_app().await;
    app.deepgram().refuse(Door::Live, 2, Refusal::of(status));
    speak_until_let_in(&app).await;
    assert_eq!(app.deepgram().requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passing_refusals_are_waited_out() {
    let cases = [("429", 429), ("500", 500), ("502", 502), ("503", 503), ("504", 504)];
    oracle::side_by_side(cases.map(|(what, status)| (what, wait_out(status).boxed_local()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_handshakes_are_repeated() {
    let app = numbered_app().await;
    app.deepgram().cut(Door::Live, 3);
    speak_until_let_in(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_without_an_answer_is_given_up() {
    let app = numbered_app().await;
    app.deepgram().hang(Door::Live, 1);
    speak_until_let_in(&app).await;
    assert_eq!(app.metric("upstream_connects_total", &["timeout"]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_is_honoured() {
    let app = numbered_app().await;
    let busy = Refusal::of(429).with_header("retry-after", "2");
    app.deepgram().refuse(Door::Live, 1, busy);
    let asked = app.deepgram().wait_for_requests(SOON, |requests| !requests.is_empty());
    let (refused_at, ()) = tokio::join!(
        async {
            asked.await.expect("asked");
            Instant::now()
        },
        speak_until_let_in(&app)
    );
    let waited = app.deepgram().streams()[0].opened_at - refused_at;
    assert!(waited > Duration::from_millis(1900), "{waited:?}");
}

/// Clients that were refused together do not come back together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_are_spread() {
    const CLIENTS: usize = 12;
    let app = numbered_app().await;
    app.deepgram().refuse(Door::Live, 6, Refusal::of(503));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = app.socketio().await;
        oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..1).await;
        clients.push(client);
    }
    let streams = app.deepgram().wait_for(SOON, |streams| streams.len() == CLIENTS).await;
    let mut opened: Vec<_> = streams.expect("let in").iter().map(|s| s.opened_at).collect();
    opened.sort();
    let spread = opened[CLIENTS - 1] - opened[0];
    assert!(spread > Duration::from_millis(150), "all came back within {spread:?}");
}
