//! The simulator over the wire.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::numbered::{Mark, NumberedAudio};
use crate::raw_ws::{RawSocket, Received, Refused};
use crate::speech::{Wav, sha256_hex};

const PATIENCE: Duration = Duration::from_secs(5);
const LINEAR: &str = "model=nova-3&encoding=linear16&sample_rate=16000";
const SECOND_BYTES: usize = 32_000;

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn start(config: Config) -> Simulator {
    Simulator::start(config).await.unwrap()
}

async fn open(simulator: &Simulator, query: &str) -> RawSocket {
    try_open(simulator, query, &[("authorization", "Token key")]).await.unwrap()
}

async fn try_open(
    simulator: &Simulator,
    query: &str,
    headers: Headers<'_>,
) -> anyhow::Result<RawSocket> {
    RawSocket::connect(&format!("{}/v1/listen?{query}", simulator.base_url()), headers).await
}

async fn close_stream(socket: &mut RawSocket) -> (Vec<Value>, Received) {
    socket.send_json(&json!({"type": "CloseStream"})).await.unwrap();
    socket.drain(PATIENCE).await.unwrap()
}

fn words(messages: &[Value]) -> Vec<String> {
    let finals = messages.iter().filter(|message| message["is_final"] == true);
    let words = finals.flat_map(|message| {
        message["channel"]["alternatives"][0]["words"].as_array().cloned().unwrap_or_default()
    });
    words.map(|word| word["word"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_stream_from_first_word_to_metadata() {
    let simulator = start(Config::default()).await;
    let mut socket = open(&simulator, &format!("{LINEAR}&interim_results=true")).await;
    let request_id = socket.header("dg-request-id").unwrap().to_owned();
    let audio = vec![0; 5 * SECOND_BYTES + 16_000];
    for chunk in audio.chunks(3200) {
        socket.send_binary(chunk).await.unwrap();
    }
    let started = Instant::now();
    let (messages, end) = close_stream(&mut socket).await;
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!(end, Received::Closed(1000, String::new()));
    let expected: Vec<_> = (1..=22).map(|number| format!("w{number:04}")).collect();
    assert_eq!(words(&messages), expected);
    let durations: Vec<_> = messages
        .iter()
        .filter(|message| message["is_final"] == false)
        .map(|message| (message["start"].as_f64().unwrap(), message["duration"].as_f64().unwrap()))
        .collect();
    assert_eq!(durations, [(0.0, 1.0), (0.0, 2.0), (0.0, 3.0), (4.0, 1.0)]);
    let summary = messages.last().unwrap();
    assert_eq!(summary["type"], "Metadata");
    assert_eq!(summary["request_id"], request_id.as_str());
    assert_eq!(summary["sha256"], sha256_hex(&audio).as_str());
    assert_eq!((&summary["duration"], &summary["channels"]), (&json!(5.5), &json!(1)));
    let record = simulator.wait_for_stream(PATIENCE, |seen| seen.end.is_some()).await.unwrap();
    assert_eq!(record.final_words(), expected);
    assert_eq!((record.audio.len(), record.audio_messages), (audio.len(), 55));
    assert_eq!(record.audio_sha256, Some(sha256_hex(&audio)));
}

#[tokio::test]
async fn results_carry_what_was_asked_for_only() {
    let simulator = start(Config::speaking(Script::fixture("jfk.wav").unwrap())).await;
    for (query, has) in [("", false), ("&punctuate=True&diarize=true&extra=a:b", true)] {
        let mut socket = open(&simulator, &format!("{LINEAR}{query}")).await;
        socket.send_binary(vec![0; 2 * SECOND_BYTES]).await.unwrap();
        let (messages, _) = close_stream(&mut socket).await;
        let word = &messages[0]["channel"]["alternatives"][0]["words"][0];
        assert_eq!(word["word"], "and");
        assert_eq!(word.get("punctuated_word").is_some(), has);
        assert_eq!(word.get("speaker").is_some(), has);
        assert_eq!(messages[0]["metadata"].get("extra").is_some(), has);
        let transcript = messages[0]["channel"]["alternatives"][0]["transcript"].as_str().unwrap();
        assert!(
            transcript.starts_with(if has { "And so, my" } else { "and so my" }),
            "{transcript}"
        );
        assert_eq!(messages[0]["metadata"]["model_info"]["arch"], "nova-3");
        assert_eq!(messages[0]["from_finalize"], false);
    }
}

#[tokio::test]
async fn finalize_answers_and_the_next_segment_begins_there() {
    let simulator = start(Config::default()).await;
    let mut socket = open(&simulator, LINEAR).await;
    socket.send_binary(vec![0; SECOND_BYTES]).await.unwrap();
    socket.send_json(&json!({"type": "Finalize"})).await.unwrap();
    let first = socket.receive_json(PATIENCE).await.unwrap();
    assert_eq!(first["from_finalize"], true);
    assert_eq!((&first["start"], &first["duration"]), (&json!(0.0), &json!(1.0)));
    socket.send_binary(vec![0; SECOND_BYTES]).await.unwrap();
    let (messages, _) = close_stream(&mut socket).await;
    assert_eq!(messages[0]["start"], json!(1.0));
    assert_eq!(words(&messages), ["w0005", "w0006", "w0007", "w0008"]);
}

#[tokio::test]
async fn odd_messages_leave_the_stream_open() {
    let simulator = start(Config::default()).await;
    let mut socket = open(&simulator, LINEAR).await;
    for text in ["hello", r#"{"type":"Nonsense"}"#] {
        socket.send_text(text).await.unwrap();
        let error = socket.receive_json(PATIENCE).await.unwrap();
        assert_eq!((&error["type"], &error["message"]), (&json!("Error"), &json!(text)));
    }
    socket.send_json(&json!({"type": "Configure", "keyterms": ["a"]})).await.unwrap();
    assert_eq!(socket.receive_json(PATIENCE).await.unwrap()["type"], "ConfigureSuccess");
    socket.send_json(&json!({"type": "KeepAlive"})).await.unwrap();
    socket.send_binary(Vec::new()).await.unwrap();
    let (messages, end) = socket.drain(PATIENCE).await.unwrap();
    assert_eq!(messages[0]["type"], "Metadata");
    assert_eq!(messages[0]["duration"], json!(0.0));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(messages[0]["sha256"], empty);
    assert_eq!(end, Received::Closed(1000, String::new()));
}

#[tokio::test]
async fn idle_streams_are_closed_and_keep_alive_saves_them() {
    let idle_timeout = Duration::from_millis(600);
    let simulator = start(Config { idle_timeout, ..Config::default() }).await;
    let mut socket = open(&simulator, LINEAR).await;
    let started = Instant::now();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        socket.send_json(&json!({"type": "KeepAlive"})).await.unwrap();
    }
    let end = socket.receive(PATIENCE).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(1400));
    let Received::Closed(1011, reason) = end else { panic!("{end:?}") };
    assert!(reason.ends_with("See https://dpgr.am/net0001"), "{reason}");
}

#[tokio::test]
async fn multichannel_tells_channels_apart() {
    let script = Script::fixture("multi/stereo_diarization.wav").unwrap();
    let simulator = start(Config::speaking(script)).await;
    let bytes = std::fs::read(crate::speech::fixture_path("multi/stereo_diarization.wav")).unwrap();
    let mut socket = open(&simulator, "model=nova-3&multichannel=true").await;
    for chunk in bytes.chunks(4000) {
        socket.send_binary(chunk).await.unwrap();
    }
    let (messages, _) = close_stream(&mut socket).await;
    let on = |channel: u32| {
        let same = |message: &&Value| message["channel_index"] == json!([channel, 2]);
        words(&messages.iter().filter(same).cloned().collect::<Vec<_>>())
    };
    assert_eq!(on(0)[..3], ["he", "began", "a"]);
    assert_eq!(on(1)[..3], ["the", "horizon", "seems"]);
    assert_eq!(messages.last().unwrap()["channels"], 2);
}

#[tokio::test]
async fn numbered_audio_speaks_for_itself() {
    let simulator = start(Config::speaking(Script::numbered_audio())).await;
    let mut socket = open(&simulator, LINEAR).await;
    let audio = NumberedAudio::linear16(1, 2);
    // Out of step with the frames, with a hole of one frame.
    let mut bytes = audio.frames(100, 40);
    bytes.extend(audio.frames(141, 60));
    for chunk in bytes.chunks(1000) {
        socket.send_binary(chunk).await.unwrap();
    }
    let (messages, _) = close_stream(&mut socket).await;
    let numbers: Vec<_> =
        words(&messages).iter().map(|word| Mark::parse(word).unwrap().number).collect();
    assert_eq!(numbers, (100..140).chain(141..201).collect::<Vec<_>>());
    let second = &messages[0]["channel"]["alternatives"][0]["words"][1];
    assert_eq!((&second["start"], &second["end"]), (&json!(0.02), &json!(0.04)));
}

#[tokio::test]
async fn the_door_refuses_as_the_real_one() {
    let config = Config { keys: Some(vec!["good".to_owned()]), ..Config::default() };
    let simulator = start(config).await;
    let good = ("authorization", "Token good");
    let cases: [(&str, Headers, u16); 7] = [
        (LINEAR, &[("authorization", "Token bad")], 401),
        (LINEAR, &[("authorization", "good")], 401),
        (LINEAR, &[], 401),
        ("model=nova-2&language=he", &[good], 400),
        (LINEAR, &[("authorization", "bearer good")], 101),
        (LINEAR, &[("sec-websocket-protocol", "token, good")], 101),
        (LINEAR, &[("sec-websocket-protocol", "token,good,x-deepgram-session-id,1")], 101),
    ];
    for (query, headers, status) in cases {
        match try_open(&simulator, query, headers).await {
            Ok(socket) => {
                assert_eq!(status, 101, "{headers:?}");
                let offered = headers[0].0 == "sec-websocket-protocol";
                let chosen = socket.header("sec-websocket-protocol");
                assert_eq!(chosen, offered.then_some("token"));
            }
            Err(error) => {
                let refused = error.downcast_ref::<Refused>().unwrap();
                assert_eq!(refused.status, status, "{headers:?}");
                assert!(refused.header("dg-request-id").is_some());
                assert!(refused.header("dg-error").is_some());
                assert!(refused.body.contains("err_code"), "{}", refused.body);
            }
        }
    }
}

#[tokio::test]
async fn planned_refusals_come_first_and_run_out() {
    let simulator = start(Config::default()).await;
    let refusal = Refusal::of(429).with_body(Body::Modern).with_header("retry-after", "1");
    simulator.refuse(Door::Live, 2, refusal);
    for _ in 0..2 {
        let error =
            try_open(&simulator, LINEAR, &[("authorization", "Token k")]).await.unwrap_err();
        let refused = error.downcast_ref::<Refused>().unwrap();
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
        assert!(refused.body.contains("category"));
    }
    open(&simulator, LINEAR).await;
    let statuses: Vec<_> = simulator.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [429, 429, 101]);
}

#[tokio::test]
async fn streams_end_where_the_plan_says() {
    let simulator = start(Config::default()).await;
    let at = Duration::from_millis(4500);
    simulator.plan(vec![Fault::at_audio(at, Action::Close(1011, "NET-0000".to_owned()))]);
    simulator.plan(vec![Fault::at_audio(at, Action::Drop)]);
    simulator.plan(vec![Fault::at_audio(at, Action::Reset)]);
    for _ in 0..3 {
        let mut socket = open(&simulator, LINEAR).await;
        socket.send_binary(vec![0; 6 * SECOND_BYTES]).await.unwrap();
        let (messages, end) = socket.drain(PATIENCE).await.unwrap();
        assert_eq!(words(&messages).len(), 16, "the cut at 4 s came before the end");
        if simulator.streams().len() == 1 {
            assert_eq!(end, Received::Closed(1011, "NET-0000".to_owned()));
        } else {
            assert!(matches!(end, Received::Gone(_)), "{end:?}");
        }
    }
    let mut socket = open(&simulator, LINEAR).await;
    socket.send_binary(vec![0; 6 * SECOND_BYTES]).await.unwrap();
    assert_eq!(words(&close_stream(&mut socket).await.0).len(), 24);
}

#[tokio::test]
async fn streams_misbehave_as_asked() {
    let simulator = start(Config::default()).await;
    simulator.plan(vec![
        Fault::at_open(Action::DuplicateFinals),
        Fault::at_open(Action::Delay(Duration::from_millis(200))),
        Fault::at_audio(Duration::from_secs(1), Action::SendText("{garbage".to_owned())),
        Fault::at_audio(Duration::from_secs(2), Action::SendHugeText(20)),
        Fault::at_audio(Duration::from_secs(3), Action::SendBinary(vec![1, 2, 3])),
        Fault::at_close_stream(Action::IgnoreCloseStream),
    ]);
    let mut socket = open(&simulator, LINEAR).await;
    let started = Instant::now();
    socket.send_binary(vec![0; 4 * SECOND_BYTES]).await.unwrap();
    let next = async |socket: &mut RawSocket| socket.receive(PATIENCE).await.unwrap();
    assert_eq!(next(&mut socket).await, Received::Text("{garbage".to_owned()));
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(next(&mut socket).await, Received::Text("x".repeat(20)));
    assert_eq!(next(&mut socket).await, Received::Binary(vec![1, 2, 3]));
    let (first, second) = (next(&mut socket).await, next(&mut socket).await);
    assert_eq!(first, second, "a doubled final");
    socket.send_json(&json!({"type": "CloseStream"})).await.unwrap();
    assert!(socket.receive(Duration::from_millis(300)).await.is_err(), "nothing is answered");
    assert_eq!(simulator.inject(None, &Action::Close(1008, "out".to_owned())), 1);
    assert_eq!(next(&mut socket).await, Received::Closed(1008, "out".to_owned()));
}

#[tokio::test]
async fn a_silent_stream_still_hears_until_it_is_healed() {
    let simulator = start(Config::default()).await;
    simulator.plan(vec![Fault::at_audio(Duration::from_secs(1), Action::StopAnswering)]);
    let mut socket = open(&simulator, LINEAR).await;
    socket.send_binary(vec![0; 9 * SECOND_BYTES]).await.unwrap();
    let all = |record: &Record| record.heard == Duration::from_secs(9);
    simulator.wait_for_stream(PATIENCE, all).await.unwrap();
    assert!(socket.receive(Duration::from_millis(50)).await.is_err());
    simulator.inject(Some(0), &Action::Heal);
    assert_eq!(words(&[socket.receive_json(PATIENCE).await.unwrap()]).len(), 16);
}

#[tokio::test]
async fn a_simulator_goes_down_and_comes_back() {
    let simulator = start(Config { max_streams: Some(1), ..Config::default() }).await;
    let mut socket = open(&simulator, LINEAR).await;
    let refused = try_open(&simulator, LINEAR, &[("authorization", "Token k")]).await.unwrap_err();
    assert_eq!(refused.downcast_ref::<Refused>().unwrap().status, 429);
    simulator.go_down();
    assert!(matches!(socket.receive(PATIENCE).await.unwrap(), Received::Gone(_)));
    simulator.come_back().await.unwrap();
    crate::wait_until("room", PATIENCE, async || simulator.open_streams() == 0).await.unwrap();
    open(&simulator, LINEAR).await;
}

#[tokio::test]
async fn noise_in_place_of_a_container_is_refused() {
    let simulator = start(Config::default()).await;
    let mut socket = open(&simulator, "model=nova-3").await;
    socket.send_binary(vec![42; 4000]).await.unwrap();
    let end = socket.receive(PATIENCE).await.unwrap();
    assert!(
        matches!(&end, Received::Closed(1008, reason) if reason.contains("data0000")),
        "{end:?}"
    );
}

#[tokio::test]
async fn audio_is_recorded_byte_for_byte() {
    let wav = Wav::fixture("cmu_goforward.wav").unwrap();
    let simulator = start(Config::default()).await;
    let mut socket = open(&simulator, LINEAR).await;
    for chunk in wav.chunks(Duration::from_millis(20)) {
        socket.send_binary(chunk).await.unwrap();
    }
    close_stream(&mut socket).await;
    let record = simulator.wait_for_stream(PATIENCE, |seen| seen.end.is_some()).await.unwrap();
    assert!(record.audio == wav.pcm);
}

/// Posts a body; the status line and the answer's JSON.
async fn post(simulator: &Simulator, query: &str, kind: &str, body: &[u8]) -> (String, Value) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(simulator.address()).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST /v1/listen?{query} HTTP/1.1\r\nhost: x\r\nauthorization: Token k\r\n\
         content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap_or_default().to_owned();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn recordings_are_known_by_their_bytes() {
    let transcripts = crate::speech::fixture_path("transcripts.json");
    let simulator = start(Config::default().with_recordings(&transcripts).unwrap()).await;
    let clip = |name| std::fs::read(crate::speech::fixture_path(name)).unwrap();
    let query = "model=nova-3&punctuate=true&utterances=true&paragraphs=true&diarize=true";
    let (status, json) = post(&simulator, query, "audio/wav", &clip("jfk.wav")).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let best = &json["results"]["channels"][0]["alternatives"][0];
    assert!(best["transcript"].as_str().unwrap().starts_with("And so, my fellow Americans, ask"));
    assert_eq!(best["paragraphs"]["paragraphs"][0]["num_words"], 22);
    assert_eq!(json["results"]["utterances"][0]["start"], json!(0.29));
    assert_eq!(json["metadata"]["duration"], json!(11.0));
    assert_eq!(json["metadata"]["sha256"], sha256_hex(&clip("jfk.wav")).as_str());
    let stereo = clip("multi/stereo_diarization.wav");
    let (_, json) = post(&simulator, "model=nova-3&multichannel=true", "audio/wav", &stereo).await;
    assert_eq!(json["results"]["channels"].as_array().unwrap().len(), 2);
    let url = br#"{"url":"https://example.com/a.wav"}"#;
    let (_, json) = post(&simulator, "model=nova-3", "application/json", url).await;
    let best = &json["results"]["channels"][0]["alternatives"][0];
    assert_eq!(best["words"].as_array().unwrap().len(), 40, "ten seconds of counting");
    let (status, json) = post(&simulator, "model=nova-3", "audio/wav", &[7; 500]).await;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    assert!(json["err_msg"].as_str().unwrap().contains("corrupt or unsupported data"));
}
