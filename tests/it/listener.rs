//! Connections that are slow, idle, half done or too many: each is cut in time, the others go on.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use testkit::{
    numbered::NumberedAudio,
    raw_ws::{RawSocket, Received},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, SOON},
};

/// What a head or an empty connection may take, and a little more.
const CUT: Duration = Duration::from_secs(12);

fn address(app: &TestApp) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], app.running.address.port()))
}

/// Writes a byte now and then until the service hangs up; how long that took.
async fn trickle(address: SocketAddr, bytes: &'static [u8], every: Duration) -> Duration {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let mut bytes = bytes.iter().cycle();
    let mut answer = [0; 1024];
    loop {
        match timeout(every, stream.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return started.elapsed(),
            Ok(Ok(_)) => {}
            // Nothing came: time for the next byte.
            Err(_) => {
                let byte = bytes.next().copied().unwrap_or_default();
                if stream.write_all(&[byte]).await.is_err() {
                    return started.elapsed();
                }
            }
        }
        assert!(started.elapsed() < 2 * CUT, "still open");
    }
}

/// Says nothing, or the same once, and waits to be hung up on.
async fn wait_for_the_end(address: SocketAddr, said: &[u8]) -> Duration {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(said).await.expect("sent");
    let mut rest = Vec::new();
    // A reset is an end too; one that does not come in time shows in the time that it took.
    drop(timeout(2 * CUT, stream.read_to_end(&mut rest)).await);
    started.elapsed()
}

async fn connects_at_once(app: &TestApp) {
    let second = Duration::from_secs(1);
    let mut client = timeout(second, app.socketio()).await.expect("Socket.IO at once");
    let mut socket = timeout(second, app.websocket()).await.expect("the raw door at once");
    let health = timeout(second, reqwest::get(format!("{}/health", app.url()))).await;
    assert_eq!(health.expect("health at once").expect("an answer").status(), 200);
    client.socket().close(1000, "").await.expect("closed");
    socket.close(1000, "").await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_hold() {
    oracle::side_by_side([
        ("a body that never comes", a_body_that_never_comes_is_cut().boxed_local()),
        ("abandoned handshakes", abandoned_handshakes_are_forgotten().boxed_local()),
        ("idle connections at the limit", the_limit_cannot_be_sat_on().boxed_local()),
        ("slow and silent connections", slow_and_silent_connections_are_cut().boxed_local()),
    ])
    .await;
}

async fn slow_and_silent_connections_are_cut() {
    let app = TestApp::start().await;
    let at = address(&app);
    let head = b"GET /health HTTP/1.1\r\nhost: x\r\nx-a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    let half = b"GET /audio-stream HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n";
    let body = b"POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n40";
    let mut ends = Vec::new();
    for _ in 0..100 {
        ends.push(("slow", tokio::spawn(trickle(at, head, Duration::from_millis(700)))));
        ends.push(("silent", tokio::spawn(wait_for_the_end(at, b""))));
        ends.push(("half a head", tokio::spawn(wait_for_the_end(at, half))));
    }
    for _ in 0..20 {
        ends.push(("half a body", tokio::spawn(wait_for_the_end(at, body))));
    }
    for _ in 0..3 {
        connects_at_once(&app).await;
    }
    for (what, end) in ends {
        let took = end.await.expect("an end");
        assert!(took < CUT, "{what} was cut after {took:?}");
    }
    connects_at_once(&app).await;
}

/// The rest of a request that has begun is waited for no longer than its head.
async fn a_body_that_never_comes_is_cut() {
    let app = TestApp::start().await;
    let sid = open_polling(&app).await;
    let request = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: x\r\n\
         content-type: text/plain\r\ncontent-length: 100000\r\n\r\n40/audio-stream,"
    );
    let took = wait_for_the_end(address(&app), request.as_bytes()).await;
    assert!(took < CUT, "cut after {took:?}");
}

async fn open_polling(app: &TestApp) -> String {
    let url = format!("{}/socket.io/?EIO=4&transport=polling", app.url());
    let open = reqwest::get(&url).await.expect("an answer").text().await.expect("a body");
    let open: serde_json::Value = serde_json::from_str(&open[1..]).expect("an open packet");
    open["sid"].as_str().expect("a sid").to_owned()
}

/// An Engine.IO session that enters no namespace is forgotten, whatever its transport.
async fn abandoned_handshakes_are_forgotten() {
    let app = TestApp::start().await;
    let mut ends = Vec::new();
    for _ in 0..30 {
        let url = format!("{}/socket.io/?EIO=4&transport=websocket", app.url());
        let mut socket = RawSocket::connect(&url, &[]).await.expect("opened");
        ends.push(tokio::spawn(async move {
            while !matches!(
                socket.receive(CUT).await.expect("an end"),
                Received::Closed(..) | Received::Gone(_)
            ) {}
        }));
        // An upgrade that is begun and left at that.
        let sid = open_polling(&app).await;
        let mut stuck = RawSocket::connect(&format!("{url}&sid={sid}"), &[]).await.expect("begun");
        ends.push(tokio::spawn(async move {
            while !matches!(
                stuck.receive(CUT).await.expect("an end"),
                Received::Closed(..) | Received::Gone(_)
            ) {}
        }));
    }
    let polling = open_polling(&app).await;
    connects_at_once(&app).await;
    for end in ends {
        end.await.expect("an end");
    }
    let url = format!("{}/socket.io/?EIO=4&transport=polling&sid={polling}", app.url());
    let unknown = async || reqwest::get(&url).await.is_ok_and(|answer| answer.status() == 400);
    testkit::wait_until("the polling session to be forgotten", CUT, unknown).await.expect("gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_wait_their_turn() {
    let app = Setup::new().with("MAX_CONNECTIONS", "5").start().await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(app.websocket().await);
    }
    let mut beyond = TcpStream::connect(address(&app)).await.expect("queued by the kernel");
    beyond.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut answer = [0; 15];
    let early = timeout(Duration::from_millis(300), beyond.read_exact(&mut answer)).await;
    assert!(early.is_err(), "served beyond the limit");
    // Upgraded connections hold their place until they end, and free it then.
    sockets.pop().expect("a socket").reset().expect("reset");
    timeout(SOON, beyond.read_exact(&mut answer)).await.expect("in time").expect("answered");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

/// Idle connections that fill the limit are cut, so that nobody is kept out for long.
async fn the_limit_cannot_be_sat_on() {
    let app = Setup::new().with("MAX_CONNECTIONS", "10").start().await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(TcpStream::connect(address(&app)).await.expect("connected"));
    }
    let health = timeout(CUT, reqwest::get(format!("{}/health", app.url())));
    assert_eq!(health.await.expect("in time").expect("an answer").status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_beyond_reason_are_refused() {
    let app = TestApp::start().await;
    let long =
        format!("GET /health HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(200_000));
    let many = format!("GET /health HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: a\r\n".repeat(1000));
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000));
    let line = "GET / HTTP/9.9\r\n\r\n".to_owned();
    for head in [long, many, path, line, "\0\u{1}garbage\r\n\r\n".to_owned()] {
        let mut stream = TcpStream::connect(address(&app)).await.expect("connected");
        // It may be hung up on while it is being written.
        drop(stream.write_all(head.as_bytes()).await);
        let mut answer = Vec::new();
        drop(timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an end"));
        let status = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
        let refused = ["HTTP/1.1 431", "HTTP/1.1 414", "HTTP/1.1 400", "HTTP/1.1 505", ""];
        assert!(refused.contains(&status.as_str()), "{status}");
        connects_at_once(&app).await;
    }
}

/// Clients and balancers that reuse connections must find another replica while this one still drains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_kept_ends_with_the_drain() {
    let setup = Setup::new().with("DRAIN_SECONDS", "20").deepgram(oracle::numbered());
    let app = setup.start().await;
    let mut speaker = app.websocket().await;
    oracle::speak_raw(&mut speaker, NumberedAudio::linear16(1, 1), 0..20).await;
    oracle::listen_raw(&mut speaker, SOON, |it| it["is_final"] == true).await;
    let mut kept = TcpStream::connect(address(&app)).await.expect("connected");
    kept.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let answered = kept.read(&mut [0; 4096]).await.expect("an answer");
    assert!(answered > 0, "the connection is kept");
    let ready = format!("{}/ready", app.url());
    let talk = async {
        let mut rest = Vec::new();
        timeout(SOON, kept.read_to_end(&mut rest)).await.expect("an end").expect("in order");
        assert_eq!(reqwest::get(ready).await.expect("still served").status(), 503);
        oracle::stop_raw(&mut speaker).await;
        oracle::until_stopped_raw(&mut speaker, SOON).await;
    };
    tokio::join!(app.running.stop(), talk);
}
