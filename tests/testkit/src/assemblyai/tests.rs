//! The simulator, driven by a bare WebSocket.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Action, At, Config, End, Fault, Refusal, Simulator};
use crate::raw_ws::{RawSocket, Received, Refused};

const SOON: Duration = Duration::from_secs(5);
const QUERY: &str = "sample_rate=8000&encoding=pcm_mulaw&format_turns=true";

async fn connect(simulator: &Simulator, query: &str) -> anyhow::Result<RawSocket> {
    let url = format!("{}/v3/ws?{query}", simulator.base_url());
    RawSocket::connect(&url, &[("authorization", "key")]).await
}

async fn begun(simulator: &Simulator) -> RawSocket {
    let mut socket = connect(simulator, QUERY).await.unwrap();
    let begin = socket.receive_json(SOON).await.unwrap();
    assert_eq!(begin["type"], "Begin");
    socket
}

/// Sends that many milliseconds of audio in one message.
async fn audio(socket: &mut RawSocket, ms: usize) {
    socket.send_binary(vec![0; ms * 8]).await.unwrap();
}

async fn command(socket: &mut RawSocket, kind: &str) {
    socket.send_json(&json!({ "type": kind })).await.unwrap();
}

fn transcript(message: &Value) -> &str {
    message["transcript"].as_str().unwrap()
}

#[tokio::test]
async fn turns_go_on_and_end_in_both_forms() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let mut socket = begun(&simulator).await;
    audio(&mut socket, 600).await;
    let partial = socket.receive_json(SOON).await.unwrap();
    assert_eq!((&partial["end_of_turn"], transcript(&partial)), (&json!(false), ""));
    assert_eq!(partial["words"][0]["word_is_final"], false);
    let partial = socket.receive_json(SOON).await.unwrap();
    assert_eq!((&partial["turn_order"], transcript(&partial)), (&json!(0), "w0001"));
    command(&mut socket, "ForceEndpoint").await;
    for written in [false, true] {
        let ended = socket.receive_json(SOON).await.unwrap();
        assert_eq!(ended["turn_is_formatted"], written);
        assert_eq!((&ended["end_of_turn"], transcript(&ended)), (&json!(true), "w0001 w0002"));
        assert_eq!(ended["words"][1]["end"], 500);
    }
    audio(&mut socket, 250).await;
    command(&mut socket, "Terminate").await;
    let (messages, end) = socket.drain(SOON).await.unwrap();
    assert_eq!(end, Received::Closed(1000, String::new()));
    let kinds: Vec<_> = messages.iter().map(|message| message["type"].clone()).collect();
    assert_eq!(kinds.last().unwrap(), "Termination");
    assert_eq!(messages.last().unwrap()["audio_duration_seconds"], 0);
    assert!(messages.iter().any(|turn| turn["turn_order"] == 1 && turn["end_of_turn"] == true));
    let record = simulator.wait_for_session(SOON, |record| record.end.is_some()).await.unwrap();
    let words: Vec<_> = record.turns.iter().map(|turn| turn.words.join(" ")).collect();
    assert_eq!(words, ["w0001 w0002", "w0003"]);
    assert_eq!(record.heard, Duration::from_millis(850));
}

#[tokio::test]
async fn silence_is_not_answered() {
    let config = Config::speaking(crate::script::Script::silence());
    let simulator = Simulator::start(config).await.unwrap();
    let mut socket = begun(&simulator).await;
    audio(&mut socket, 1000).await;
    command(&mut socket, "ForceEndpoint").await;
    command(&mut socket, "Terminate").await;
    let next = socket.receive_json(SOON).await.unwrap();
    assert_eq!(
        (&next["type"], &next["audio_duration_seconds"]),
        (&json!("Termination"), &json!(1))
    );
}

#[tokio::test]
async fn what_the_real_service_does_not_take_ends_the_session() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    for (ms, text, code) in [(49, None, 3007), (1001, None, 3007), (50, Some("Hello"), 3006)] {
        let mut socket = begun(&simulator).await;
        audio(&mut socket, ms).await;
        if let Some(kind) = text {
            command(&mut socket, kind).await;
        }
        let (messages, end) = socket.drain(SOON).await.unwrap();
        assert!(matches!(end, Received::Closed(got, _) if got == code), "{end:?}");
        let error = messages.last().unwrap();
        assert_eq!((&error["type"], &error["error_code"]), (&json!("Error"), &json!(code)));
    }
    for query in
        ["", "sample_rate=0", "sample_rate=8000&encoding=opus", "sample_rate=8000&speech_model=x"]
    {
        let refused = connect(&simulator, query).await.unwrap_err();
        assert_eq!(refused.downcast::<Refused>().unwrap().status, 400, "{query}");
    }
}

#[tokio::test]
async fn clients_are_turned_away() {
    let keys = Some(vec!["another".to_owned()]);
    let simulator = Simulator::start(Config { keys, ..Config::default() }).await.unwrap();
    let mut socket = connect(&simulator, QUERY).await.unwrap();
    let (_, end) = socket.drain(SOON).await.unwrap();
    assert!(matches!(end, Received::Closed(1008, _)), "{end:?}");
    simulator.refuse(1, &Refusal::Status(429, "later".into()));
    let refused = connect(&simulator, QUERY).await.unwrap_err();
    assert_eq!(refused.downcast::<Refused>().unwrap().status, 429);
    simulator.refuse(1, &Refusal::Close(3009, "Too many".into()));
    let mut socket = connect(&simulator, QUERY).await.unwrap();
    let (_, end) = socket.drain(SOON).await.unwrap();
    assert_eq!(end, Received::Closed(3009, "Too many".into()));
    assert_eq!((simulator.refused(), simulator.sessions().len()), (3, 0));
}

#[tokio::test]
async fn faults_strike_in_their_moment() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let action = Action::Close(3005, "Server error".into());
    simulator.plan(vec![Fault { at: At::Audio(Duration::from_millis(300)), action }]);
    let mut socket = begun(&simulator).await;
    audio(&mut socket, 600).await;
    let (messages, end) = socket.drain(SOON).await.unwrap();
    assert_eq!(end, Received::Closed(3005, "Server error".into()));
    assert_eq!(messages.len(), 2, "a turn and an error: {messages:?}");
    let record = simulator.wait_for_session(SOON, |record| record.end.is_some()).await.unwrap();
    assert_eq!(record.end, Some(End::Server { code: 3005, reason: "Server error".into() }));
    let mut socket = begun(&simulator).await;
    assert_eq!(simulator.inject(None, &Action::StopAnswering), 1);
    audio(&mut socket, 600).await;
    command(&mut socket, "Terminate").await;
    assert!(socket.receive_json(Duration::from_millis(300)).await.is_err());
}
