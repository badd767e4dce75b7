//! AssemblyAI as the live provider: every word once and in its place, whatever it says of silence.

mod breaks;
mod refusals;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{
    assemblyai::{Config, End, Record, Simulator},
    numbered::NumberedAudio,
    raw_ws::RawSocket,
    script::{Script, Word},
};

use crate::{
    harness::{ASSEMBLYAI_KEY, Setup, TestApp},
    oracle::{self, SOON},
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(1, 1);

/// Says the marks that it finds in the audio, in turns of a second.
fn brisk() -> Config {
    let longest_turn = Duration::from_secs(1);
    Config { longest_turn, ..Config::speaking(Script::numbered_audio()) }
}

fn hello() -> Script {
    Script::words(vec![Word::new("hello", 0.2, 0.6).written("Hello.")])
}

/// A replica that has AssemblyAI only.
async fn start(config: Config) -> (TestApp, Simulator) {
    let keys = Some(vec![ASSEMBLYAI_KEY.to_owned()]);
    let simulator = Simulator::start(Config { keys, ..config }).await.expect("it starts");
    let setup = Setup::new().with("LIVE_PROVIDER", "assemblyai").assemblyai(&simulator);
    (setup.start().await, simulator)
}

async fn until_acked(socket: &mut RawSocket, ms: u64) -> Vec<Value> {
    let acked = |message: &Value| message["acked_ms"].as_u64().is_some_and(|acked| acked >= ms);
    oracle::listen_raw(socket, Duration::from_secs(20), acked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_word_comes_once_in_its_place() {
    let (app, simulator) = start(brisk()).await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..50).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, SOON).await;
    oracle::assert_whole(&heard, 50);
    oracle::assert_billed(&app, 50).await;
    let started = oracle::named(&heard, "session_started").next().expect("it started");
    let (provider, model) = (&started["provider"], &started["model"]);
    assert_eq!((provider, model), (&json!("assemblyai"), &json!("universal-streaming-english")));
    assert!(oracle::finals(&heard).iter().all(|text| text["provider"] == "assemblyai"));
    let cost: i64 = app.sql("SELECT sum(cost_micros)::bigint FROM usage_logs").await;
    assert_eq!(cost, 5 * 2_500 / 60, "five seconds at 0.15 dollars an hour");
    let ended = |record: &Record| record.end.is_some();
    let record = simulator.wait_for_session(SOON, ended).await.expect("one session");
    assert_eq!(record.header("authorization"), Some(ASSEMBLYAI_KEY));
    assert_eq!(record.count_texts("Terminate"), 1);
    assert_eq!(record.end, Some(End::Server { code: 1000, reason: String::new() }));
    assert_eq!(simulator.sessions().len(), 1);
}

/// It refuses messages of less than 50 ms and more than a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_of_any_length_are_joined_and_cut() {
    let (app, simulator) = start(brisk()).await;
    let mut socket = app.websocket().await;
    let audio = AUDIO.frames(0, 200);
    let (tiny, huge) = audio.split_at(AUDIO.frame_bytes() * 25);
    for piece in tiny.chunks(333) {
        socket.send_binary(piece.to_vec()).await.expect("sent");
    }
    socket.send_binary(huge.to_vec()).await.expect("sent");
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    oracle::assert_whole(&heard, 40);
    oracle::assert_billed(&app, 40).await;
    let sessions = simulator.sessions();
    assert_eq!(sessions.len(), 1);
    assert!((4..=15).contains(&sessions[0].audio_messages), "{}", sessions[0].audio_messages);
}

/// A turn that does not end by itself is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_that_no_audio_follows_becomes_final() {
    let (app, simulator) = start(Config::speaking(Script::numbered_audio())).await;
    let mut socket = app.websocket().await;
    oracle::speak_raw(&mut socket, AUDIO, 0..20).await;
    let is_final = |message: &Value| message["is_final"] == true;
    let mut heard = oracle::listen_raw(&mut socket, SOON, is_final).await;
    assert_eq!(heard.last().expect("a final")["speech_final"], false);
    assert!(oracle::named(&heard, "transcription").any(|text| text["is_final"] == false));
    oracle::speak_raw(&mut socket, AUDIO, 20..40).await;
    oracle::stop_raw(&mut socket).await;
    heard.extend(oracle::until_stopped_raw(&mut socket, SOON).await);
    oracle::assert_whole(&heard, 40);
    oracle::assert_billed(&app, 40).await;
    let sessions = simulator.sessions();
    assert_eq!((sessions.len(), sessions[0].count_texts("ForceEndpoint")), (1, 1));
}

/// Nobody pays for a session without audio; ending it proves that it heard the silence at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_on_the_wire_ends_the_session() {
    let (app, simulator) = start(Config::speaking(hello())).await;
    let mut socket = app.websocket().await;
    socket.send_binary(vec![0; 64_000]).await.expect("sent");
    let mut heard = until_acked(&mut socket, 2_000).await;
    let record = simulator.wait_for_session(SOON, |record| record.end.is_some()).await;
    let record = record.expect("it was ended");
    assert_eq!((record.count_texts("ForceEndpoint"), record.count_texts("Terminate")), (1, 1));
    assert_eq!(record.end, Some(End::Server { code: 1000, reason: String::new() }));
    // Each session of the simulator says its script anew.
    socket.send_binary(vec![0; 32_000]).await.expect("sent");
    oracle::stop_raw(&mut socket).await;
    heard.extend(oracle::until_stopped_raw(&mut socket, SOON).await);
    let starts: Vec<_> =
        oracle::finals(&heard).iter().map(|text| text["start_ms"].as_u64()).collect();
    assert_eq!(starts, [Some(200), Some(2_200)]);
    oracle::assert_billed(&app, 30).await;
    assert_eq!(simulator.sessions().len(), 2);
    assert_eq!(app.metric("upstream_connects_total", &[]), 1, "one stream to the session");
    assert_eq!(app.metric("upstream_failures_total", &[]), 0);
}

/// AssemblyAI says nothing of silence: that it was heard is proved by ending its session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_silence_is_covered_and_breaks_nothing() {
    let (app, simulator) = start(Config::speaking(Script::silence())).await;
    let mut socket = app.websocket().await;
    for _ in 0..21 {
        socket.send_binary(vec![0; 32_000]).await.expect("sent");
    }
    // Silence that goes on, so that it is no pause on the wire.
    let goes_on = async {
        loop {
            socket.send_binary(vec![0; 3_200]).await.expect("sent");
            let message = socket.receive_json(Duration::from_millis(100)).await;
            if message.is_ok_and(|message| message["acked_ms"].as_u64() >= Some(21_000)) {
                return;
            }
        }
    };
    tokio::time::timeout(2 * SOON, goes_on).await.expect("the silence is durable");
    let first = simulator.sessions().into_iter().next().expect("a session");
    assert_eq!((first.count_texts("ForceEndpoint"), first.count_texts("Terminate")), (1, 1));
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    assert_eq!(oracle::named(&heard, "error").count(), 0, "{heard:?}");
    assert_eq!(app.metric("upstream_failures_total", &[]), 0);
}

/// Audio that comes in pieces, with pauses between them, leaves no heap of silence behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_before_a_pause_is_covered_when_audio_goes_on() {
    let (app, simulator) = start(Config::speaking(Script::silence())).await;
    let mut socket = app.websocket().await;
    for _ in 0..12 {
        socket.send_binary(vec![0; 32_000]).await.expect("sent");
    }
    let asked = |record: &Record| record.count_texts("ForceEndpoint") == 1;
    simulator.wait_for_session(SOON, asked).await.expect("an end was asked for");
    let later = Instant::now() + Duration::from_millis(1_200);
    let passed = |_: &Value| Instant::now() > later;
    oracle::listen_raw(&mut socket, SOON, passed).await;
    socket.send_binary(vec![0; 32_000]).await.expect("sent");
    let second = |record: &Record| record.index == 1 && record.heard == Duration::from_secs(1);
    simulator.wait_for_session(SOON, second).await.expect("another session");
    assert_eq!(simulator.sessions()[0].heard, Duration::from_secs(12));
    until_acked(&mut socket, 12_000).await;
    assert_eq!(app.metric("upstream_failures_total", &[]), 0);
}

/// Without a pause on the wire nothing is asked for: what was said in turns that ended is durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_ends_by_itself_and_is_written() {
    let (app, simulator) = start(Config::speaking(hello())).await;
    let mut socket = app.websocket().await;
    socket.send_binary(vec![0; 64_000]).await.expect("sent");
    let heard = until_acked(&mut socket, 600).await;
    let finals = oracle::finals(&heard);
    let [text] = &finals[..] else { panic!("{finals:?}") };
    assert_eq!((&text["transcript"], &text["speech_final"]), (&json!("Hello."), &json!(true)));
    assert_eq!(text["words"][0]["word"], "hello");
    assert_eq!((&text["start_ms"], &text["end_ms"]), (&json!(200), &json!(600)));
    assert_eq!(simulator.sessions()[0].turns.len(), 1);
}
