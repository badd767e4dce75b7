//! Clients that read too slowly and send too fast: bounded, told, counted, and alone in it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    deepgram::{Action, Config, Fault, Record},
    numbered::NumberedAudio,
    raw_ws::{RawSocket, Received},
    socketio,
};

use crate::{
    harness::{LONG, Setup, TestApp},
    oracle::{self, SOON, numbered, numbered_app},
};

/// Small, so that hours of speech are few bytes.
pub const MULAW: NumberedAudio = NumberedAudio { tenant: 1, session: 1, bytes_per_second: 8000 };

/// A final every 100 ms of audio: many events for little audio.
pub fn talkative() -> Config {
    Config { longest_segment: Duration::from_millis(100), ..numbered() }
}

fn mulaw() -> Value {
    json!({ "encoding": "mulaw", "sample_rate": 8000, "interim_results": false })
}

pub async fn start_mulaw(socket: &mut RawSocket) {
    let mut start = mulaw();
    start["type"] = "start_streaming".into();
    socket.send_json(&start).await.expect("sent");
}

fn dropped(app: &TestApp) -> i64 {
    app.metric("events_dropped_total", &["kind=\"transcription\""])
}

/// Another client on the same replica gets its words as if nothing were wrong.
async fn assert_others_go_on(app: &TestApp) {
    let mut other = app.socketio().await;
    oracle::speak(&mut other, NumberedAudio::linear16(2, 2), 0..20).await;
    oracle::stop(&mut other).await;
    oracle::assert_whole(&oracle::until_stopped(&mut other, SOON).await, 20);
}

/// Every final either came or was counted.
fn assert_accounted(app: &TestApp, heard: &[Value]) {
    let came = oracle::finals(heard);
    let ns: Vec<_> = came.iter().map(|text| text["n"].as_u64().expect("n")).collect();
    assert_eq!(ns, (1..=ns.len() as u64).collect::<Vec<_>>(), "a prefix, without holes");
    let said = app.metric("transcripts_total", &["final"]);
    // What the transport had taken already is lost with it, and a client that resumes asks again.
    assert!(dropped(app) > 0 && dropped(app) + ns.len() as i64 <= said + 1, "{said} were said");
}

fn slow_readers(app: &TestApp) -> i64 {
    app.metric("events_dropped_total", &["slow_reader"])
}

/// What waited for a client that left without reading it, of any kind.
fn left_behind(app: &TestApp) -> i64 {
    app.metric("events_dropped_total", &["gone"])
}

/// Speaks without reading until the service hangs up, and no faster than it is heard: Socket.IO
/// refuses what comes too fast, and nobody has anything to say to what was refused.
async fn ignore_everything(app: &TestApp, client: &mut socketio::Client) {
    let mut number = 0;
    while slow_readers(app) == 0 {
        assert!(number < 3000, "five minutes of speech, and nobody minds");
        for _ in 0..100 {
            let _cut = client.emit_binary("audio_chunk", &[&oracle::chunk(MULAW, number)]).await;
            number += 1;
        }
        let said = || app.metric("transcripts_total", &["final"]);
        let heard = async || said() + 5 >= i64::from(number) || slow_readers(app) > 0;
        testkit::wait_until("the finals", SOON, heard).await.expect("heard");
    }
    let more = oracle::chunk(MULAW, number);
    let cut = async || client.emit_binary("audio_chunk", &[&more]).await.is_err();
    testkit::wait_until("the service to hang up", SOON, cut).await.expect("cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socketio_client_that_reads_nothing_is_cut() {
    let app = Setup::new().deepgram(talkative()).start().await;
    let mut client = app.socketio().await;
    client.emit("start_streaming", &[mulaw()]).await.expect("sent");
    let ((), ()) = tokio::join!(ignore_everything(&app, &mut client), assert_others_go_on(&app));
    // A stock client reconnects after a transport that just ended.
    drop(client);
    let gone = async || app.metric("sockets", &[]) == 0 && app.metric("live_sessions", &[]) == 0;
    testkit::wait_until("it to be forgotten", SOON, gone).await.expect("forgotten");
    assert!(left_behind(&app) >= 256, "what waited is counted: {}", left_behind(&app));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_client_that_reads_too_late_is_closed_with_4001() {
    let app = Setup::new().deepgram(talkative()).start().await;
    let mut socket = app.websocket().await;
    start_mulaw(&mut socket).await;
    let mut number = 0;
    while slow_readers(&app) == 0 {
        oracle::speak_raw(&mut socket, MULAW, number..number + 50).await;
        number += 50;
        assert!(number < 20_000, "half an hour of speech, and nobody minds");
    }
    assert_others_go_on(&app).await;
    let (messages, end) = socket.drain(SOON).await.expect("an end");
    let notice = messages.last().expect("a notice");
    assert_eq!((&notice["type"], &notice["code"]), (&json!("closing"), &json!(4001)));
    assert_eq!(notice["reconnect"], true);
    assert!(matches!(end, Received::Closed(4001, _)), "{end:?}");
    // Until it has ended its session says more, which is counted as dropped.
    let ended = async || app.metric("live_sessions", &[]) == 0;
    testkit::wait_until("the session to end", SOON, ended).await.expect("ended");
    assert_accounted(&app, &messages);
}

/// One that never reads again: its place is free after the time that a write may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_client_that_reads_nothing_is_cut() {
    let app = Setup::new().deepgram(talkative()).start().await;
    let mut socket = app.websocket().await;
    start_mulaw(&mut socket).await;
    for number in 0..20_000 {
        if socket.send_binary(oracle::chunk(MULAW, number)).await.is_err() {
            break;
        }
        if slow_readers(&app) > 0 {
            break;
        }
    }
    let gone = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("it to be cut", Duration::from_secs(25), gone).await.expect("cut");
    assert!(left_behind(&app) >= 256, "what waited is counted: {}", left_behind(&app));
}

/// As much as an inbox holds, so that nothing is refused however late the session is.
const HALF_A_MINUTE: u32 = 300;

/// Reads only when everything was said: interims were left out, no final was.
fn assert_coalesced(app: &TestApp, heard: &[Value], chunks: u32) {
    let interims = oracle::named(heard, "transcription").filter(|t| t["is_final"] == false);
    let said = app.metric("transcripts_total", &["interim"]);
    let came = interims.count() as i64;
    let superseded = app.metric("events_dropped_total", &["kind=\"transcription\"", "superseded"]);
    assert!(superseded > 0 && came + superseded <= said, "{came} and {superseded} of {said}");
    oracle::assert_whole(heard, chunks);
    let mut last_final = 0;
    for text in oracle::named(heard, "transcription") {
        let n = text["n"].as_u64().expect("n");
        assert_eq!(n, last_final + 1, "an interim is of the final that comes next");
        if text["is_final"] == true {
            last_final = n;
        }
    }
}

/// Interims grow to a hundred words and more, ten times a second: a megabyte in half a minute.
fn verbose() -> Config {
    let interim_every = Duration::from_millis(100);
    Config { interim_every, longest_segment: Duration::from_secs(3), ..numbered() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interims_are_coalesced_for_a_late_reader() {
    let app = Setup::new().deepgram(verbose()).start().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..HALF_A_MINUTE).await;
    oracle::stop(&mut client).await;
    app.deepgram().wait_for_stream(LONG, |record| record.end.is_some()).await.expect("said");
    let heard = oracle::until_stopped(&mut client, LONG).await;
    assert_coalesced(&app, &heard, HALF_A_MINUTE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interims_are_coalesced_at_the_raw_door() {
    let app = Setup::new().deepgram(verbose()).start().await;
    let mut socket = app.websocket().await;
    oracle::speak_raw(&mut socket, NumberedAudio::linear16(1, 1), 0..HALF_A_MINUTE).await;
    oracle::stop_raw(&mut socket).await;
    app.deepgram().wait_for_stream(LONG, |record| record.end.is_some()).await.expect("said");
    let heard = oracle::until_stopped_raw(&mut socket, LONG).await;
    assert_coalesced(&app, &heard, HALF_A_MINUTE);
}

/// Socket.IO cannot be held back: what does not fit is refused, and the client is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_is_too_fast_is_told() {
    let config = Config { receive_buffer_bytes: Some(16 * 1024), ..numbered() };
    let app = Setup::new().deepgram(config).start().await;
    app.deepgram().plan_every(vec![Fault::at_open(Action::StopReading)]);
    let mut client = app.socketio().await;
    let audio = NumberedAudio::linear16(1, 1);
    // Upstream connections that are given up and opened anew take a little each, so that some of
    // what follows may be taken.
    let mut number = 0;
    while app.metric("audio_dropped_total", &["overloaded"]) < 500 {
        oracle::speak(&mut client, audio, number..number + 100).await;
        number += 100;
        assert!(number < 10_000, "nobody minds");
    }
    assert_others_are_admitted(&app).await;
    let told = oracle::listen(&mut client, SOON, |event| event["type"] == "error").await;
    let error = told.last().expect("an error");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("overloaded"), &json!(true)));
    // Refusals in a row are one piece of news, not hundreds.
    let later = oracle::listen(&mut client, SOON, |event| event["type"] == "audio_ack").await;
    let errors = oracle::named(&later, "error").count();
    assert!(errors < 20, "{errors} errors for 500 refusals");
}

async fn assert_others_are_admitted(app: &TestApp) {
    let mut other = app.websocket().await;
    other.close(1000, "").await.expect("closed");
}

/// The raw door is held back by TCP and loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_sender_that_is_too_fast_is_held_back() {
    const CHUNKS: u32 = 2000;
    let config = Config { receive_buffer_bytes: Some(16 * 1024), ..numbered() };
    let app = Setup::new().deepgram(config).start().await;
    app.deepgram().plan(vec![Fault::at_open(Action::StopReading)]);
    let mut socket = app.websocket().await;
    let speaking = async {
        oracle::speak_raw(&mut socket, NumberedAudio::linear16(1, 1), 0..CHUNKS).await;
        oracle::stop_raw(&mut socket).await;
        oracle::until_stopped_raw(&mut socket, Duration::from_secs(30)).await
    };
    let freeing = async {
        // The ring and the inbox are full: thirty seconds each.
        let full = async || app.metric("audio_bytes_total", &[]) >= 1_900_000;
        testkit::wait_until("the bounds to be reached", SOON, full).await.expect("full");
        app.deepgram().inject(None, &Action::Heal);
    };
    let (heard, ()) = tokio::join!(speaking, freeing);
    oracle::assert_whole(&heard, CHUNKS);
    assert_eq!(app.metric("audio_dropped_total", &[]), 0);
}

/// A provider that reads slowly: the sender waits for it, byte by byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_reads_slowly_sets_the_pace() {
    const CHUNKS: u32 = 1200;
    let config = Config { receive_buffer_bytes: Some(16 * 1024), ..numbered() };
    let app = Setup::new().deepgram(config).start().await;
    app.deepgram().plan(vec![Fault::at_open(Action::ReadSlowly(1_000_000))]);
    let mut socket: RawSocket = app.websocket().await;
    oracle::speak_raw(&mut socket, NumberedAudio::linear16(1, 1), 0..CHUNKS).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, LONG).await;
    oracle::assert_whole(&heard, CHUNKS);
    assert_eq!(app.deepgram().streams().len(), 1, "slow is not dead");
}

/// After many clients that came and went, streams of their size need no more memory than before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_left_of_many() {
    let app = numbered_app().await;
    for round in 0..5_usize {
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = app.socketio().await;
            oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..3).await;
            clients.push(client);
        }
        let hearing = |streams: &[Record]| streams.len() == 20 * (round + 1);
        app.deepgram().wait_for(SOON, hearing).await.expect("heard");
        drop(clients);
        let gone = async || {
            app.metric("sockets", &[]) == 0
                && app.metric("live_sessions", &[]) == 0
                && app.deepgram().open_streams() == 0
        };
        testkit::wait_until("everyone to be gone", SOON, gone).await.expect("gone");
    }
}
