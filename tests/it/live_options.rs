//! What a client may choose, what it is told when it cannot, and what Deepgram gets of it.

use serde_json::{Value, json};
use testkit::{deepgram::Record, raw_ws::RawSocket, socketio};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, SOON},
};

const LANGUAGES: &str = "en es fr it de pt nl hi ja ko zh sv no da fi pl ru tr ar el he cs uk ro hu \
                         id ms th vi";

/// Starts a session through the raw door and gives it its first audio.
async fn start(app: &TestApp, mut options: Value) -> RawSocket {
    options["type"] = "start_streaming".into();
    let mut socket = app.websocket().await;
    socket.send_json(&options).await.expect("sent");
    socket.send_binary(vec![0; 3200]).await.expect("sent");
    socket
}

/// The query of the only stream of that language.
async fn query(app: &TestApp, language: &str) -> Record {
    let of = |record: &Record| record.query.get("language") == Some(language);
    app.deepgram().wait_for_stream(SOON, of).await.expect("a stream")
}

/// Asks for each language at connect; those that nova-2 lacks are heard by nova-3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_language_opens_a_stream() {
    let app = TestApp::start().await;
    let mut clients = Vec::new();
    for language in LANGUAGES.split_whitespace() {
        let options = socketio::Options {
            namespace: "/audio-stream".into(),
            auth: json!({ "token": app.token() }),
            query: vec![("lang".into(), language.into())],
            ..Default::default()
        };
        let mut client = socketio::Client::connect(&app.url(), options).await.expect("admitted");
        client.emit_binary("audio_chunk", &[&[0; 3200]]).await.expect("sent");
        let started = client.receive_event("session_started", SOON).await.expect("started");
        assert_eq!(started.json()["language"], language);
        let model = if matches!(language, "ar" | "he") { "nova-3" } else { "nova-2" };
        assert_eq!(query(&app, language).await.query.get("model"), Some(model), "{language}");
        clients.push(client);
    }
    assert_eq!(app.deepgram().open_streams(), 29);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_option_reaches_deepgram() {
    let app = TestApp::start().await;
    let _socket = start(
        &app,
        json!({
            "lang": "es", "model": "nova-3", "encoding": "linear16", "sample_rate": 8000,
            "channels": 2, "interim_results": true, "punctuate": false, "smart_format": false,
            "diarize": true, "multichannel": true, "numerals": true, "profanity_filter": true,
            "vad_events": true, "keyterm": ["Zürich", "a b&c=d"], "endpointing": 300,
            "utterance_end_ms": 1500,
        }),
    )
    .await;
    let mut pairs = query(&app, "es").await.query.pairs().to_vec();
    pairs.sort();
    let expected = [
        ("channels", "2"),
        ("diarize", "true"),
        ("encoding", "linear16"),
        ("endpointing", "300"),
        ("interim_results", "true"),
        ("keyterm", "Zürich"),
        ("keyterm", "a b&c=d"),
        ("language", "es"),
        ("model", "nova-3"),
        ("multichannel", "true"),
        ("numerals", "true"),
        ("profanity_filter", "true"),
        ("punctuate", "false"),
        ("sample_rate", "8000"),
        ("smart_format", "false"),
        ("utterance_end_ms", "1500"),
        ("vad_events", "true"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, expected);
}

/// Without options Deepgram is asked for what it was always asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_chosen_is_the_contract() {
    let app = TestApp::start().await;
    let _socket = start(&app, json!({})).await;
    let mut pairs = query(&app, "en").await.query.pairs().to_vec();
    pairs.sort();
    let expected = [
        ("channels", "1"),
        ("encoding", "linear16"),
        ("interim_results", "true"),
        ("language", "en"),
        ("model", "nova-2"),
        ("punctuate", "true"),
        ("sample_rate", "16000"),
        ("smart_format", "true"),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_are_named_as_the_model_takes_them() {
    let app = TestApp::start().await;
    for (lang, model, name) in [
        ("fr", json!("nova-2"), "keywords"),
        ("de", json!(null), "keywords"),
        ("it", json!("nova-3"), "keyterm"),
        ("he", json!(null), "keyterm"),
    ] {
        let options = json!({ "lang": lang, "model": model, "keyterm": ["uno", "due"] });
        let _socket = start(&app, options).await;
        let record = query(&app, lang).await;
        let terms = |name| record.query.all(name).collect::<Vec<_>>();
        let other = if name == "keyterm" { "keywords" } else { "keyterm" };
        assert_eq!((terms(name), terms(other)), (vec!["uno", "due"], vec![]), "{lang}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpointing_can_be_switched_off() {
    let app = TestApp::start().await;
    let _socket = start(&app, json!({ "endpointing": false, "interim_results": "false" })).await;
    let record = query(&app, "en").await;
    assert_eq!(record.query.get("endpointing"), Some("false"));
    assert_eq!(record.query.get("interim_results"), Some("false"));
}

/// Each raw encoding arrives under its own name, each compressed one too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_encoding_reaches_deepgram() {
    let app = TestApp::start().await;
    let names = [
        "linear16", "linear32", "mulaw", "alaw", "flac", "opus", "ogg-opus", "amr-nb", "amr-wb",
        "speex", "g729",
    ];
    let mut sockets = Vec::new();
    for name in names {
        sockets.push(start(&app, json!({ "encoding": name, "sample_rate": 8000 })).await);
        let of = |record: &Record| record.query.get("encoding") == Some(name);
        let record = app.deepgram().wait_for_stream(SOON, of).await.expect("a stream");
        assert_eq!(record.query.get("sample_rate"), Some("8000"), "{name}");
    }
}

/// Only a language falls back; anything else that cannot be is refused, with what can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_option_is_named() {
    let app = TestApp::start().await;
    let cases = [
        ("encoding", json!("mp5")),
        ("encoding", json!(16)),
        ("sample_rate", json!(7999)),
        ("sample_rate", json!(48_001)),
        ("sample_rate", json!("loud")),
        ("channels", json!(0)),
        ("channels", json!(21)),
        ("model", json!("nova-9")),
        ("model", json!(["nova-2"])),
        ("interim_results", json!("maybe")),
        ("punctuate", json!(1)),
        ("smart_format", json!([])),
        ("diarize", json!("yes")),
        ("multichannel", json!({})),
        ("numerals", json!(0)),
        ("profanity_filter", json!("off")),
        ("vad_events", json!(2)),
        ("keyterm", json!([1])),
        ("keyterm", json!("")),
        ("keyterm", json!(vec!["term"; 101])),
        ("keyterm", json!("x".repeat(101))),
        ("endpointing", json!(-1)),
        ("endpointing", json!(9)),
        ("utterance_end_ms", json!(999)),
        ("utterance_end_ms", json!(5001)),
    ];
    for (option, value) in cases {
        let mut client = app.socketio().await;
        client.emit("start_streaming", &[json!({ option: value })]).await.expect("sent");
        let error = client.receive_event("error", SOON).await.expect("refused").json();
        assert_eq!(error["code"], "invalid_request", "{option}={value}: {error}");
        assert_eq!((&error["option"], &error["retryable"]), (&json!(option), &json!(false)));
        assert!(error["allowed"].is_array() || error["allowed"].is_object(), "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(option)), "{error}");
        // Audio that was meant for those options starts nothing else.
        client.emit_binary("audio_chunk", &[&[0; 3200]]).await.expect("sent");
        let late = client.receive_event("error", SOON).await.expect("refused").json();
        assert_eq!(late["message"], "Transcription service not ready");
    }
    assert!(app.deepgram().requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_option_is_refused_with_the_known_ones() {
    let app = TestApp::start().await;
    let mut client = app.socketio().await;
    client.emit("start_streaming", &[json!({ "volume": 11 })]).await.expect("sent");
    let error = client.receive_event("error", SOON).await.expect("refused").json();
    assert_eq!(error["code"], "invalid_request");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("volume")));
    assert!(error["allowed"].as_array().is_some_and(|all| all.contains(&json!("encoding"))));
    // The same socket goes on with options that are right.
    client.emit("start_streaming", &[json!({ "lang": "xx" })]).await.expect("sent");
    let started = client.receive_event("session_started", SOON).await.expect("started").json();
    assert_eq!(started["language"], "en", "a language falls back");
}

/// A model that was named and does not know the language is refused rather than exchanged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_model_is_not_exchanged() {
    let app = TestApp::start().await;
    let mut socket = start(&app, json!({ "lang": "he", "model": "nova-2" })).await;
    let error = socket.receive_json(SOON).await.expect("refused");
    assert_eq!(
        (&error["code"], &error["option"]),
        (&json!("unsupported_language"), &json!("lang"))
    );
    assert!(app.deepgram().requests().is_empty());
}

/// The default of the operator yields to the language; what was chosen is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_model_is_the_default() {
    let app = Setup::new().with("DEEPGRAM_MODEL", "nova-3").start().await;
    for (lang, model) in [("en", "nova-3"), ("he", "nova-3"), ("th", "nova-2")] {
        let mut socket = start(&app, json!({ "lang": lang })).await;
        let started = socket.receive_json(SOON).await.expect("started");
        assert_eq!(
            (&started["type"], &started["model"]),
            (&json!("session_started"), &json!(model))
        );
        assert_eq!(query(&app, lang).await.query.get("model"), Some(model));
        oracle::stop_raw(&mut socket).await;
    }
}
