//! Live `/v1/listen`, as Deepgram documents it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    deepgram::{Action, Door, Fault, Refusal},
    numbered::{FRAME_MS, Mark, NumberedAudio},
    raw_ws::{RawSocket, Received, Refused},
    speech::sha256_hex,
};

use crate::{
    harness::{LONG, SOON, Setup, TestApp},
    oracle::{
        self, CHUNK_MS, FRAMES_PER_CHUNK, assert_billed, chunk, ended, numbered, numbered_app,
    },
};

const CHUNKS: u32 = 60;
const RAW: &str = "encoding=linear16&sample_rate=16000";

fn audio() -> NumberedAudio {
    NumberedAudio::linear16(1, 1)
}

async fn connect(app: &TestApp, token: &str, query: &str) -> anyhow::Result<RawSocket> {
    let authorization = format!("Token {token}");
    let url = format!("{}/v1/listen?{query}", app.url());
    RawSocket::connect(&url, &[("authorization", &authorization)]).await
}

async fn open(app: &TestApp, query: &str) -> RawSocket {
    connect(app, &app.token(), query).await.expect("admitted")
}

async fn refused(app: &TestApp, token: &str, query: &str) -> Refused {
    let error = connect(app, token, query).await.expect_err("refused");
    error.downcast::<Refused>().expect("an answer")
}

async fn speak(socket: &mut RawSocket, chunks: std::ops::Range<u32>) {
    for number in chunks {
        socket.send_binary(chunk(audio(), number)).await.expect("sent");
    }
}

async fn say(socket: &mut RawSocket, kind: &str) {
    socket.send_json(&json!({ "type": kind })).await.expect("sent");
}

/// Everything to the end, which has to be a close with that code.
async fn to_the_end(socket: &mut RawSocket, code: u16) -> Vec<Value> {
    let (heard, end) = socket.drain(LONG).await.expect("an end");
    assert!(matches!(&end, Received::Closed(with, _) if *with == code), "{end:?}: {heard:#?}");
    heard
}

fn finals(heard: &[Value]) -> impl Iterator<Item = &Value> {
    heard.iter().filter(|message| message["type"] == "Results" && message["is_final"] == true)
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().expect("seconds")
}

/// Every frame once, in order, where it was spoken.
fn assert_whole(heard: &[Value], chunks: u32) {
    let words = finals(heard).flat_map(|text| {
        let heard = &text["channel"]["alternatives"][0];
        heard["words"].as_array().expect("words")
    });
    let mut numbers = Vec::new();
    for word in words {
        let mark = Mark::parse(word["word"].as_str().expect("a word")).expect("a mark");
        let begins = f64::from(mark.number) * FRAME_MS as f64 / 1000.0;
        assert!((seconds(&word["start"]) - begins).abs() < 0.002, "{word}");
        numbers.push(mark.number);
    }
    assert_eq!(numbers, (0..chunks * FRAMES_PER_CHUNK).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_messages_are_deepgrams() {
    let app = numbered_app().await;
    let query = format!("model=nova-3&language=en-US&{RAW}&interim_results=true&keyterm=a+b");
    let mut socket = open(&app, &query).await;
    let id = socket.header("dg-request-id").expect("an id").to_owned();
    speak(&mut socket, 0..15).await;
    let interim = socket.receive_until(SOON, |message| message["is_final"] == false).await;
    assert!(interim.expect("interims were asked for")["channel"]["alternatives"].is_array());
    speak(&mut socket, 15..CHUNKS).await;
    say(&mut socket, "KeepAlive").await;
    say(&mut socket, "CloseStream").await;
    let heard = to_the_end(&mut socket, 1000).await;
    assert_whole(&heard, CHUNKS);
    for result in finals(&heard) {
        assert_eq!(result["channel_index"], json!([0, 1]));
        assert_eq!(result["metadata"]["request_id"], id.as_str());
        assert_eq!(result["metadata"]["model_info"]["name"], "nova-3");
        assert!(result["start"].is_number() && result["duration"].is_number(), "{result}");
    }
    let summary = heard.last().expect("a summary");
    let sent: Vec<u8> = (0..CHUNKS).flat_map(|number| chunk(audio(), number)).collect();
    let digest = sha256_hex(&sent);
    assert_eq!((&summary["type"], &summary["sha256"]), (&"Metadata".into(), &digest.into()));
    assert_eq!((&summary["request_id"], &summary["channels"]), (&id.as_str().into(), &1.into()));
    assert_eq!(summary["duration"], json!((u64::from(CHUNKS) * CHUNK_MS) as f64 / 1000.0));
    let record = ended(&app, 0).await;
    assert_eq!(record.audio, sent, "the provider heard what was sent");
    for (name, value) in
        [("model", "nova-3"), ("keyterm", "a b"), ("language", "en"), ("punctuate", "false")]
    {
        assert_eq!(record.query.get(name), Some(value), "{name}");
    }
    assert_billed(&app, CHUNKS).await;
    let told: String = app
        .sql("SELECT DISTINCT concat_ws(' ', session_id, endpoint, model) FROM usage_logs")
        .await;
    assert_eq!(told, format!("{id} /v1/listen nova-3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told_as_deepgram_tells() {
    let app =
        Setup::new().deepgram(numbered()).with("LIMIT_SOCKET_OPENS", "unlimited").start().await;
    let token = app.token();
    let unknown_model = format!("model=nova-9&{RAW}");
    for (token, query, status, code) in [
        ("wrong", RAW, 401, "INVALID_AUTH"),
        ("", RAW, 401, "INVALID_AUTH"),
        (&token, &unknown_model, 400, "Bad Request"),
        (&token, "language=multi", 400, "UNSUPPORTED_LANGUAGE"),
        (&token, "callback=http%3A%2F%2F127.0.0.1", 400, "Bad Request"),
        (&token, "redact=pci", 400, "Bad Request"),
        (&token, "sample_rate=1", 400, "Bad Request"),
        (&token, "utterance_end_ms=1000", 400, "Bad Request"),
    ] {
        let refused = refused(&app, token, query).await;
        let body: Value = serde_json::from_str(&refused.body).expect("JSON");
        assert_eq!((refused.status, &body["err_code"]), (status, &code.into()), "{query}: {body}");
        assert_eq!(refused.header("dg-error"), body["err_msg"].as_str(), "{query}");
        assert!(refused.header("dg-request-id").is_some(), "{query}");
    }
    assert_eq!(app.deepgram().streams().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_puts_its_key_where_it_can() {
    let app = numbered_app().await;
    let token = app.token();
    let url = format!("{}/v1/listen?{RAW}", app.url());
    for offered in [format!("token, {token}"), format!("bearer,{token}, x-deepgram-session-id, 1")]
    {
        let headers = [("sec-websocket-protocol", offered.as_str())];
        let mut socket = RawSocket::connect(&url, &headers).await.expect("admitted");
        let chosen = socket.header("sec-websocket-protocol");
        assert!(chosen.is_some_and(|name| offered.starts_with(name)), "{chosen:?}");
        say(&mut socket, "CloseStream").await;
        let heard = to_the_end(&mut socket, 1000).await;
        let [summary] = &heard[..] else { panic!("{heard:#?}") };
        assert_eq!((&summary["duration"], &summary["channels"]), (&json!(0.0), &json!(0)));
    }
    let elsewhere = [("authorization", &*format!("Token {token}")), ("origin", "http://evil.test")];
    let refused = RawSocket::connect(&url, &elsewhere).await.expect_err("another site");
    assert_eq!(refused.downcast::<Refused>().expect("an answer").status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finals_come_when_they_are_asked_for() {
    let app = numbered_app().await;
    let mut socket = open(&app, RAW).await;
    speak(&mut socket, 0..5).await;
    say(&mut socket, "Finalize").await;
    let answers = |message: &Value| message["from_finalize"] == true;
    let told = socket.receive_until(SOON, answers).await.expect("finals");
    let words = told["channel"]["alternatives"][0]["words"].as_array().expect("words");
    assert_eq!((words.len() as u32, &told["is_final"]), (5 * FRAMES_PER_CHUNK, &true.into()));
    // Nothing is left to be said, and that is an answer too.
    say(&mut socket, "Finalize").await;
    let told = socket.receive_until(SOON, answers).await.expect("an answer");
    assert_eq!(
        (&told["channel"]["alternatives"][0]["transcript"], &told["start"]),
        (&"".into(), &0.5.into())
    );
    // How streams were ended before there was `CloseStream`.
    socket.send_binary(Vec::new()).await.expect("sent");
    let heard = to_the_end(&mut socket, 1000).await;
    assert_eq!(heard.last().expect("a summary")["duration"], 0.5);
    assert_billed(&app, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_is_told_and_nothing_else_happens() {
    let app = numbered_app().await;
    let mut socket = open(&app, RAW).await;
    for text in ["nonsense", "{}", r#"{"type":"Unknown"}"#, r#"{"type":"Configure"}"#, "[[["] {
        socket.send_text(text).await.expect("sent");
        let told = socket.receive_json(SOON).await.expect("a complaint");
        assert_eq!((&told["type"], &told["variant"]), (&"Error".into(), &"invalid_request".into()));
        assert!(told["description"].is_string() && told["message"].is_string(), "{told}");
    }
    speak(&mut socket, 0..5).await;
    say(&mut socket, "CloseStream").await;
    assert_whole(&to_the_end(&mut socket, 1000).await, 5);
}

/// Its clients know nothing of resuming: they need not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_breaks_is_nothing_that_a_client_notices() {
    let app = numbered_app().await;
    app.deepgram().plan(vec![Fault::at_audio(Duration::from_secs(2), Action::Reset)]);
    let mut socket = open(&app, RAW).await;
    speak(&mut socket, 0..CHUNKS).await;
    say(&mut socket, "CloseStream").await;
    let heard = to_the_end(&mut socket, 1000).await;
    assert_whole(&heard, CHUNKS);
    assert!(heard.iter().all(|message| message["type"] != "Error"), "{heard:#?}");
    assert!(app.deepgram().streams().len() > 1, "it did break");
    assert_billed(&app, CHUNKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_gone_is_heard_to_its_end_and_billed_for_it() {
    let app = numbered_app().await;
    let mut socket = open(&app, RAW).await;
    speak(&mut socket, 0..CHUNKS).await;
    // The last chunk was taken in once its finals were asked for.
    say(&mut socket, "Finalize").await;
    socket.receive_until(SOON, |told| told["from_finalize"] == true).await.expect("finals");
    speak(&mut socket, CHUNKS..CHUNKS + 5).await;
    drop(socket);
    assert_billed(&app, CHUNKS + 5).await;
    let ended = async || {
        let rows = app.sql::<i64>("SELECT count(*) FROM live_sessions WHERE ended_at IS NOT NULL");
        rows.await == 1
    };
    testkit::wait_until("its end", SOON, ended).await.expect("nobody is waited for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_go_on_says_why() {
    let app = numbered_app().await;
    app.deepgram().refuse(Door::Live, 100, Refusal::of(401));
    let mut socket = open(&app, RAW).await;
    speak(&mut socket, 0..5).await;
    let (heard, end) = socket.drain(LONG).await.expect("an end");
    let [.., told] = &heard[..] else { panic!("{heard:#?}") };
    assert_eq!(
        (&told["type"], &told["variant"]),
        (&"Error".into(), &"provider_unavailable".into())
    );
    let why = |reason: &str| reason.starts_with("provider_unavailable: ");
    assert!(matches!(&end, Received::Closed(1011, reason) if why(reason)), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_doors_may_ask_for_finals_too() {
    let app = numbered_app().await;
    let (mut raw, mut client) = (app.websocket().await, app.socketio().await);
    speak(&mut raw, 0..5).await;
    say(&mut raw, "finalize").await;
    let heard = oracle::listen_raw(&mut raw, SOON, |told| told["type"] == "finalized").await;
    assert_eq!(oracle::numbers(&oracle::finals(&heard)), (0..25).collect::<Vec<_>>());
    assert_eq!(heard.last().expect("told")["until_ms"], 500);
    oracle::speak(&mut client, audio(), 0..5).await;
    client.emit("finalize", &[]).await.expect("sent");
    let heard = oracle::listen(&mut client, SOON, |told| told["type"] == "finalized").await;
    assert_eq!(oracle::numbers(&oracle::finals(&heard)), (0..25).collect::<Vec<_>>());
}

/// Its models mean nothing to the embedded engine, which transcribes all the same.
#[cfg(feature = "local-speech")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_transcribes_behind_it_speaks_its_protocol() {
    let app = Setup::new().local().start().await;
    let query = format!("model=nova-3&smart_format=true&interim_results=true&{RAW}");
    let mut socket = open(&app, &query).await;
    for chunk in crate::recorded::clip(crate::recorded::CLIP).pcm.chunks(3200) {
        socket.send_binary(chunk).await.expect("sent");
    }
    say(&mut socket, "Finalize").await;
    say(&mut socket, "CloseStream").await;
    let heard = to_the_end(&mut socket, 1000).await;
    let text: Vec<_> = finals(&heard)
        .map(|told| told["channel"]["alternatives"][0]["transcript"].as_str().expect("text"))
        .collect();
    let text = text.join(" ").to_lowercase();
    assert!(text.contains("country"), "{heard:#?}");
    assert!(heard.iter().any(|told| told["from_finalize"] == true), "{heard:#?}");
    assert_eq!(heard.last().expect("a summary")["duration"], 11.0);
}
