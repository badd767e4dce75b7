//! Bytes below the messages: frames that break the protocol, sizes beyond the limit, packets that
//! never become whole. The socket is closed with the right code; nothing else is touched.

use std::time::Duration;

use serde_json::json;
use testkit::{
    deepgram::Record,
    numbered::NumberedAudio,
    raw_ws::{RawSocket, Received},
    socketio::{self, Heard},
};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::{
    harness::TestApp,
    oracle::{self, SOON, numbered_app},
};

const LIMIT: usize = 1_000_000;

/// How the raw door ends after these bytes; other sockets go on.
async fn ends_with(app: &TestApp, bytes: &[u8]) -> Received {
    let mut socket = app.websocket().await;
    socket.send_raw_bytes(bytes).await.expect("sent");
    socket.drain(SOON).await.expect("an end").1
}

/// A client frame with a mask of zeroes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            frame.push(0x80 | 0x7E);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 0x7F);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_frames_are_protocol_faults() {
    let app = numbered_app().await;
    let mut bystander = app.websocket().await;
    oracle::speak_raw(&mut bystander, NumberedAudio::linear16(1, 1), 0..5).await;
    let interleaved = [frame(0x02, b"begun"), frame(0x82, b"another")].concat();
    for (what, bytes, code) in [
        ("reserved bit", frame(0xC2, b"x"), 1002),
        ("reserved opcode", frame(0x83, b""), 1002),
        ("reserved control opcode", frame(0x8B, b""), 1002),
        ("unmasked", vec![0x82, 1, b'x'], 1002),
        ("long ping", frame(0x89, &[0; 126]), 1002),
        ("fragmented ping", frame(0x09, b""), 1002),
        ("continuation of nothing", frame(0x80, b"x"), 1002),
        ("data among fragments", interleaved, 1002),
        ("bad utf-8", frame(0x81, &[0xff, 0xfe]), 1007),
        ("half a character", frame(0x81, &[0xc3]), 1007),
        ("close code 999", frame(0x88, &999_u16.to_be_bytes()), 1002),
    ] {
        let end = ends_with(&app, &bytes).await;
        assert!(matches!(end, Received::Closed(is, _) if is == code), "{what}: {end:?}");
    }
    oracle::stop_raw(&mut bystander).await;
    oracle::assert_whole(&oracle::until_stopped_raw(&mut bystander, SOON).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_raw_door_takes_a_million_bytes_and_no_more() {
    let app = TestApp::start().await;
    let mut socket = app.websocket().await;
    socket.send_binary(vec![1; LIMIT]).await.expect("sent");
    let whole = |record: &Record| record.audio_bytes == LIMIT as u64;
    app.deepgram().wait_for_stream(SOON, whole).await.expect("forwarded");
    let end = ends_with(&app, &frame(0x82, &vec![1; LIMIT + 1])).await;
    assert!(matches!(end, Received::Closed(1009, _)), "{end:?}");
    // The length alone decides: nobody waits for what was announced.
    let mut announced = vec![0x82, 0xFF];
    announced.extend((1_u64 << 40).to_be_bytes());
    announced.extend([0; 4]);
    let end = ends_with(&app, &announced).await;
    assert!(matches!(end, Received::Closed(1009, _)), "{end:?}");
    let piece = vec![1; 60_000];
    let fragments = [frame(0x02, &piece), frame(0x00, &piece).repeat(20)].concat();
    let end = ends_with(&app, &fragments).await;
    assert!(matches!(end, Received::Closed(1009, _)), "{end:?}");
}

/// A thousand pings are answered, or coalesced; audio goes on between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_answered_while_audio_flows() {
    let app = numbered_app().await;
    let mut socket = app.websocket().await;
    for number in 0..10 {
        for _ in 0..100 {
            socket.send(Message::Ping(b"x".as_slice().into())).await.expect("sent");
        }
        oracle::speak_raw(&mut socket, NumberedAudio::linear16(1, 1), number..number + 1).await;
    }
    oracle::stop_raw(&mut socket).await;
    oracle::assert_whole(&oracle::until_stopped_raw(&mut socket, SOON).await, 10);
}

async fn socketio_ends(client: &mut socketio::Client) {
    match client.drain(SOON).await {
        Ok((_, end)) => assert!(matches!(end, Heard::Closed(..)), "{end:?}"),
        // Cut while the client answered a ping.
        Err(error) => assert!(error.downcast_ref::<WsError>().is_some(), "{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socketio_takes_a_million_bytes_and_not_much_more() {
    let app = TestApp::start().await;
    let mut client = app.socketio().await;
    client.emit_binary("audio_chunk", &[&vec![1; LIMIT]]).await.expect("sent");
    let whole = |record: &Record| record.audio_bytes == LIMIT as u64;
    app.deepgram().wait_for_stream(SOON, whole).await.expect("forwarded");
    client.emit_binary("audio_chunk", &[&vec![1; LIMIT + 2048]]).await.expect("sent");
    socketio_ends(&mut client).await;
    let mut client = app.socketio().await;
    let base64 = "A".repeat(LIMIT + 2048);
    // The transport may be cut while this is being written.
    drop(client.emit("audio_chunk", &[json!({ "audio_chunk": base64 })]).await);
    socketio_ends(&mut client).await;
}

/// Packets that cannot be read close the transport, which a stock client opens again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_packets_close_the_transport() {
    let app = TestApp::start().await;
    let bomb = r#"4510000000-/audio-stream,["audio_chunk",{"_placeholder":true,"num":0}]"#;
    let two = r#"452-/audio-stream,["audio_chunk",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let huge = format!("4518446744073709551616-/audio-stream,[{}]", "0");
    for text in [
        bomb,
        two,
        &huge,
        "45-/audio-stream,[]",
        "4x",
        "4",
        "49/audio-stream,",
        "7",
        "x",
        "é",
        "4\u{1F600}",
        "42/audio-stream",
        "44/audio-stream,{}",
    ] {
        let mut client = app.socketio().await;
        client.send_frame(text).await.expect("sent");
        // Some of it is ignored instead; then the socket still answers.
        let _cut = client.emit("stop_streaming", &[]).await;
        match client.receive(SOON).await {
            Ok(Heard::Closed(..)) => {}
            Ok(Heard::Event(event)) => assert_eq!(event.name, "streaming_stopped", "{text}"),
            // What the server had not read when it closed makes the end a reset.
            Err(error) if error.downcast_ref::<WsError>().is_some() => {}
            other => panic!("{text}: {other:?}"),
        }
    }
}

/// An event whose attachment never comes holds nobody; what follows instead ends the transport.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attachment_that_never_comes() {
    let app = TestApp::start().await;
    let head = r#"451-/audio-stream,["audio_chunk",{"_placeholder":true,"num":0}]"#;
    let mut client = app.socketio().await;
    client.send_frame(head).await.expect("sent");
    client.emit("stop_streaming", &[]).await.expect("sent");
    socketio_ends(&mut client).await;
    // Bytes that nothing announced.
    let mut client = app.socketio().await;
    client.socket().send_binary(vec![1; 100]).await.expect("sent");
    socketio_ends(&mut client).await;
    // One that comes after the ten seconds that it may take.
    let mut client = app.socketio().await;
    client.send_frame(head).await.expect("sent");
    client.stop_reading(Duration::from_millis(10_100)).await;
    client.socket().send_binary(vec![1; 3200]).await.expect("sent");
    socketio_ends(&mut client).await;
    assert!(app.deepgram().requests().is_empty());
}

/// Frames that break the protocol end Socket.IO's transport too; nothing is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_frames_end_a_socketio_transport() {
    let app = TestApp::start().await;
    for bytes in [frame(0xC2, b"x"), vec![0x82, 1, b'x'], frame(0x81, &[0xff]), frame(0x83, b"")] {
        let mut client = app.socketio().await;
        client.socket().send_raw_bytes(&bytes).await.expect("sent");
        socketio_ends(&mut client).await;
    }
    let left = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("every socket to be forgotten", SOON, left).await.expect("forgotten");
}

/// A handshake that is none is refused in HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_without_an_upgrade() {
    let app = TestApp::start().await;
    let url = format!("{}/audio-stream", app.url());
    let answer = reqwest::get(&url).await.expect("an answer");
    assert_eq!(answer.status(), 426);
    let bearer = format!("Bearer {}", app.token());
    let headers = [("authorization", bearer.as_str()), ("sec-websocket-extensions", "x; y=z")];
    let socket = RawSocket::connect(&url, &headers).await.expect("unknown extensions are declined");
    assert_eq!(socket.header("sec-websocket-extensions"), None);
}
