//! A viewer that does not read is closed, and loses nothing by that.

use testkit::{raw_ws::Received, socketio::Heard};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::*;

const SMALL: Option<u32> = Some(4096);
/// Finals that no queue on the way holds, of so many characters.
const MANY: u64 = 1500;
const LENGTH: usize = 4000;

/// A stream of events on a connection that takes little unread.
async fn narrow_stream(app: &TestApp, room: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(app.running.address).await.expect("connected");
    let request = format!(
        "GET /rooms/{room}/events HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\n\r\n",
        app.token()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_read_ends_with_a_notice() {
    let app = TestApp::start().await;
    let mut voice = Voice::begin(&app, "flood", DEVELOPMENT).await;
    let mut stream = narrow_stream(&app, "flood").await;
    voice.say_long(MANY, LENGTH).await;
    let ended = |reason| app.metric("room_viewers_ended_total", &[reason]);
    let over = async || ended("reason=\"behind\"") + ended("reason=\"slow\"") == 1;
    testkit::wait_until("the slow one to be ended", LONG, over).await.expect("ended");
    let mut rest = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut rest));
    // Chunks end with an empty one; the connection is free for another request then.
    drop(tokio::time::timeout(SOON, read).await);
    let said = String::from_utf8_lossy(&rest);
    let notice = said
        .split("event: closing")
        .nth(1)
        .unwrap_or_else(|| panic!("no notice in {} bytes", rest.len()));
    assert!(notice.contains("\"code\":4001") && notice.contains("0\r\n\r\n"), "{notice}");
    assert!(said.matches("event: transcription").count() < MANY as usize);
    let gone = async || app.metric("sockets", &["door=\"sse\""]) == 0;
    testkit::wait_until("the stream to be over", SOON, gone).await.expect("over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_closed_and_goes_on_without_a_hole() {
    let apps = Setup::new().start_many(2).await;
    let mut voice = Voice::begin(&apps[0], "flood", DEVELOPMENT).await;
    let bearer = format!("Bearer {}", apps[1].token());
    let headers = [("authorization", bearer.as_str())];
    let url = format!("{}/audio-stream", apps[1].url());
    let mut raw = RawSocket::connect_narrow(&url, &headers, SMALL).await.expect("in");
    join(&mut raw, "flood", json!({})).await;
    let options = socketio::Options {
        namespace: "/audio-stream".into(),
        auth: json!({ "token": apps[1].token() }),
        receive_buffer_bytes: SMALL,
        ..Default::default()
    };
    let mut client = socketio::Client::connect(&apps[1].url(), options).await.expect("in");
    ask(&mut client, "flood", json!({})).await;
    let (mut quick, _) = viewer(&apps[1], "flood", json!({})).await;
    let seen = tokio::spawn(async move { hear(&mut quick, MANY).await });
    voice.say_long(MANY, LENGTH).await;
    let seen = seen.await.expect("heard");
    assert_eq!(seen, upwards(1..=MANY), "one that reads feels nothing of it");
    let ended = |reason| apps[1].metric("room_viewers_ended_total", &[reason]);
    let both = async || ended("reason=\"behind\"") + ended("reason=\"slow\"") == 2;
    testkit::wait_until("the slow ones to be closed", LONG, both).await.expect("closed");

    let (mut heard, end) = raw.drain(LONG).await.expect("an end");
    assert!(matches!(end, Received::Closed(4001, _)), "{end:?}");
    let closing = heard.last().expect("a notice");
    assert_eq!((&closing["code"], &closing["reconnect"]), (&json!(4001), &json!(true)));
    heard.retain(|it| it["is_final"] == true);
    let (events, end) = client.drain(LONG).await.expect("an end");
    assert!(matches!(end, Heard::Closed(..)), "reconnectable: {end:?}");
    let events: Vec<Value> = events.iter().map(socketio::Event::json).collect();
    let events: Vec<Value> = events.into_iter().filter(|it| it["is_final"] == true).collect();
    for mut seen in [heard, events] {
        let count = seen.len() as u64;
        assert!(count < MANY, "it was too slow for all");
        let n = |it: &Value| it["n"].as_u64().expect("n");
        assert_eq!(seen.iter().map(n).collect::<Vec<_>>(), upwards(1..=count));
        let wanted =
            seen.last().map_or_else(|| json!({"resume": {"epoch": 0, "offset": 0}}), resume);
        let (mut again, joined) = viewer(&apps[0], "flood", wanted).await;
        assert_eq!(joined["recovered"], true, "{joined}");
        seen.extend(oracle::listen_raw(&mut again, LONG, is_final(MANY)).await);
        seen.retain(|it| it["is_final"] == true);
        assert_eq!(seen.iter().map(n).collect::<Vec<_>>(), upwards(1..=MANY));
    }
}
