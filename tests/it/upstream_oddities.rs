//! A provider that says strange things: a session goes on, and what clients hear stays in shape.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;
use testkit::{
    deepgram::{Action, Config, Fault, Script, Word},
    numbered::NumberedAudio,
};

use crate::{
    harness::Setup,
    oracle::{self, SOON, numbered},
};

const CHUNKS: u32 = 30;

/// Speaks to a provider that does so in the middle; every word must still come once.
async fn shrug_off(actions: Vec<Action>, connections: usize) {
    let config = Config { longest_segment: Duration::from_secs(1), ..numbered() };
    let app = Setup::new().deepgram(config).start().await;
    let at = |action| Fault::at_audio(Duration::from_millis(1490), action);
    app.deepgram().plan(actions.into_iter().map(at).collect());
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..CHUNKS).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, Duration::from_secs(20)).await;
    oracle::assert_whole(&heard, CHUNKS);
    oracle::assert_billed(&app, CHUNKS).await;
    assert_eq!(app.deepgram().streams().len(), connections);
}

fn says(text: impl ToString) -> Action {
    Action::SendText(text.to_string())
}

fn no_messages() -> Vec<Action> {
    let unknown = json!({ "type": "Novelty", "channel": [] });
    let empty = json!({ "type": "Results", "start": 0.5, "duration": 0.1, "channel": {} });
    vec![
        says("<html>bad gateway</html>"),
        says(""),
        says("[".repeat(100_000)),
        says(r#"{"type":"Results","start":NaN,"duration":1,"channel":{}}"#),
        says(r#"{"type":"Results","start":"soon"}"#),
        says(unknown),
        says(empty),
        says(json!({ "type": "Error", "description": "what?" })),
    ]
}

fn impossible_times() -> Vec<Action> {
    let result = |start: f64, duration: f64| {
        says(json!({
            "type": "Results", "channel_index": [0, 1], "start": start, "duration": duration,
            "is_final": true, "speech_final": true,
            "channel": { "alternatives": [{ "transcript": "nonsense", "confidence": 1.0,
                "words": [] }] },
        }))
    };
    let lone = |kind: &str, field: &str| says(json!({ "type": kind, field: 1e300 }));
    vec![
        result(-7.0, 1.0),
        result(1e300, 1.0),
        result(0.0, 1e300),
        result(3600.0, 1.0),
        lone("SpeechStarted", "timestamp"),
        lone("UtteranceEnd", "last_word_end"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_shrugged_off() {
    let binary = vec![Action::SendBinary(vec![0; 1000]), Action::SendBinary(vec![])];
    let oddities = [
        ("text that is no message", no_messages(), 1),
        ("times that cannot be", impossible_times(), 1),
        ("binary messages", binary, 1),
        ("finals that come twice", vec![Action::DuplicateFinals], 1),
        ("a message of twenty megabytes", vec![Action::SendHugeText(20 * 1024 * 1024)], 2),
        ("a frame that breaks the protocol", vec![Action::SendRaw(vec![0xFF; 4])], 2),
    ];
    let cases =
        oddities.map(|(what, actions, streams)| (what, shrug_off(actions, streams).boxed_local()));
    oracle::side_by_side(cases).await;
}

/// A transcript is text: markup arrives as it was said, in JSON that parses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn markup_in_a_transcript() {
    let said = "<script>alert(\"\u{2028}\u{0}\")</script>";
    let script = Script::words(vec![Word::new(said, 0.1, 0.5)]);
    let app = Setup::new().deepgram(Config::speaking(script)).start().await;
    let mut socket = app.websocket().await;
    socket.send_binary(vec![0; 32_000]).await.expect("sent");
    oracle::stop_raw(&mut socket).await;
    let finals = oracle::finals(&oracle::until_stopped_raw(&mut socket, SOON).await);
    assert_eq!(finals[0]["words"][0]["word"], said);
}
