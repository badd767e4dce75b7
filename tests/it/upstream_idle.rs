//! A stream that is quiet, long, or about to end.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    deepgram::{Action, Config, End, Fault, Record},
    numbered::NumberedAudio,
};

use crate::{
    harness::Setup,
    oracle::{self, SOON, numbered, numbered_app},
};

/// A client that says nothing for longer than Deepgram waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_is_kept_alive_in_text() {
    let config =
        Config { idle_timeout: Duration::from_secs(6), audio_required: true, ..numbered() };
    let app = Setup::new().deepgram(config).start().await;
    let audio = NumberedAudio::linear16(1, 1);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, audio, 0..10).await;
    let kept = |record: &Record| record.count_texts("KeepAlive") >= 2;
    let record = app.deepgram().wait_for_stream(Duration::from_secs(12), kept).await;
    assert_eq!(record.expect("kept alive").end, None);
    oracle::speak(&mut client, audio, 10..20).await;
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 20);
    let record = oracle::ended(&app, 0).await;
    assert_eq!(record.audio, audio.frames(0, 100), "no keep-alive among the audio");
    assert_eq!(app.deepgram().streams().len(), 1);
}

/// Deepgram takes an empty binary message for the end of the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_audio_is_never_forwarded() {
    let app = numbered_app().await;
    let audio = NumberedAudio::linear16(1, 1);
    let mut client = app.socketio().await;
    client.emit_binary("audio_chunk", &[&[]]).await.expect("sent");
    oracle::speak(&mut client, audio, 0..5).await;
    client.emit_binary("audio_chunk", &[&[]]).await.expect("sent");
    client.emit("audio_chunk", &[json!({ "audio_chunk": "" })]).await.expect("sent");
    client.emit("audio_chunk", &[json!({})]).await.expect("sent");
    oracle::speak(&mut client, audio, 5..10).await;
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 10);
    assert_eq!(oracle::ended(&app, 0).await.audio_messages, 10);

    let mut socket = app.websocket().await;
    oracle::speak_raw(&mut socket, audio, 0..5).await;
    socket.send_binary([]).await.expect("sent");
    oracle::speak_raw(&mut socket, audio, 5..10).await;
    oracle::stop_raw(&mut socket).await;
    oracle::assert_whole(&oracle::until_stopped_raw(&mut socket, SOON).await, 10);
    assert_eq!(oracle::ended(&app, 1).await.audio_messages, 10);
}

/// Speech without a pause, of which the provider makes no final by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_final_is_asked_for_after_twenty_seconds() {
    let config = Config { longest_segment: Duration::from_secs(600), ..numbered() };
    let app = Setup::new().deepgram(config).start().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..190).await;
    let hearing = |record: &Record| record.heard >= Duration::from_secs(19);
    let record = app.deepgram().wait_for_stream(SOON, hearing).await.expect("heard");
    assert_eq!(record.count_texts("Finalize"), 0);
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 190..210).await;
    let asked = |record: &Record| record.finals.iter().any(|sent| sent.from_finalize);
    let record = app.deepgram().wait_for_stream(SOON, asked).await.expect("asked");
    assert_eq!(record.count_texts("Finalize"), 1);
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 210);
}

/// Whoever falls silent by sending nothing is heard to the end all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_that_no_audio_follows_becomes_final() {
    let config = Config { longest_segment: Duration::from_secs(600), ..numbered() };
    let app = Setup::new().deepgram(config).start().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..10).await;
    let is_final = |message: &Value| message["is_final"] == true;
    let heard = oracle::listen(&mut client, SOON, is_final).await;
    oracle::assert_whole(&heard, 10);
    oracle::assert_billed(&app, 10).await;
}

/// A session that sends nothing for long keeps no stream of the provider's, and lives on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_let_go_and_opened_again() {
    let app = Setup::new().deepgram(numbered()).with("LIVE_IDLE_SECONDS", "5").start().await;
    let mut client = app.socketio().await;
    let audio = NumberedAudio::linear16(1, 1);
    oracle::speak(&mut client, audio, 0..10).await;
    let record = app.deepgram().wait_for_stream(SOON * 2, |record| record.end.is_some()).await;
    assert_eq!(record.expect("let go").count_texts("CloseStream"), 1);
    oracle::speak(&mut client, audio, 10..30).await;
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 30);
    oracle::assert_billed(&app, 30).await;
    assert_eq!(app.deepgram().streams().len(), 2);
}

/// The connection breaks just as its last words are asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_survive_a_break_at_the_close() {
    for action in [Action::Drop, Action::Close(1000, String::new())] {
        let app = numbered_app().await;
        app.deepgram().plan(vec![Fault::at_close_stream(action)]);
        let mut client = app.socketio().await;
        oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..10).await;
        oracle::stop(&mut client).await;
        oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 10);
        oracle::assert_billed(&app, 10).await;
    }
}

/// `CloseStream` is ignored once: its last words are fetched by another connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_is_not_answered_is_repeated() {
    let app = numbered_app().await;
    app.deepgram().plan(vec![Fault::at_open(Action::IgnoreCloseStream)]);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..10).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, Duration::from_secs(15)).await;
    oracle::assert_whole(&heard, 10);
}

/// `CloseStream` is never answered: what has no transcript is declared within a bound, and nobody
/// waits on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_is_never_answered_ends() {
    let app = numbered_app().await;
    app.deepgram().plan_every(vec![Fault::at_open(Action::IgnoreCloseStream)]);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..10).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, Duration::from_secs(15)).await;
    let gaps: Vec<_> = oracle::named(&heard, "gap").collect();
    assert_eq!((gaps.len(), &gaps[0]["reason"]), (1, &json!("provider_away")));
    assert_eq!((&gaps[0]["from_ms"], &gaps[0]["to_ms"]), (&json!(0), &json!(1000)));
    let report = &heard.last().expect("the end")["report"];
    assert_eq!(report["lost"]["provider_away"], 1000);
    assert_eq!(oracle::named(&heard, "error").count(), 0);
    let gone = async || app.deepgram().open_streams() == 0;
    testkit::wait_until("the end of every stream", SOON, gone).await.expect("nobody waits");
}

/// A client that just goes away: its stream is closed in order, its audio billed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_is_billed_to_its_end() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..15).await;
    let hearing = |record: &Record| record.heard >= Duration::from_millis(1500);
    app.deepgram().wait_for_stream(SOON, hearing).await.expect("heard");
    client.reset().expect("reset");
    let record = oracle::ended(&app, 0).await;
    assert!(matches!(record.end, Some(End::Server { code: 1000, .. })), "{:?}", record.end);
    assert_eq!(record.count_texts("CloseStream"), 1);
    oracle::assert_billed(&app, 15).await;
}
