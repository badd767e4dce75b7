//! The port for replicas lets in replicas only, each request once.

use std::sync::{Arc, Mutex};

use testkit::process::free_port;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{KEY, Session, pair, setup};
use crate::harness::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_turned_away_whatever_they_ask() {
    let replicas = setup().start_many(1).await;
    let app = &replicas[0];
    let address = app.running.replica_address.expect("a port for replicas");
    let door = format!("http://127.0.0.1:{}", address.port());
    let session = Session::open(&app.url()).await;
    let engine = format!("/socket.io/?EIO=4&transport=polling&sid={}", session.sid);
    let paths =
        ["/", "/health", "/metrics", "/app/", "/socket.io/?EIO=4&transport=polling", &engine];
    let http = reqwest::Client::new();
    let forged = format!("{}.{{\"to\":\"x\",\"at_ms\":0,\"nonce\":\"x\"}}", "0".repeat(64));
    for path in paths {
        for seal in [None, Some(""), Some("garbage"), Some(&*forged)] {
            let request = http.get(format!("{door}{path}"));
            let request = seal
                .into_iter()
                .fold(request, |request, seal| request.header("x-replica-seal", seal));
            let status = request.send().await.expect("an answer").status();
            assert_eq!(status, 401, "{path} {seal:?}");
        }
    }
    session.connect(&door).await.expect_err("no upgrade for strangers");
    session.enter(&app.url(), &app.url()).await;
    assert_eq!(app.metric("relay_refused_total", &["reason=\"forged\""]), 3 * 6);
    assert_eq!(app.metric("relay_refused_total", &["reason=\"unsealed\""]), 6 + 1);
}

/// Stands before a port and keeps what clients say to it.
async fn recorder(port: u16) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let own = listener.local_addr().expect("an address").port();
    let said: Arc<Mutex<Vec<u8>>> = Arc::default();
    let keeping = said.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
            let (mut from, mut to) = client.into_split();
            let (mut back, mut forth) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut back, &mut to).await });
            let keeping = keeping.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = from.read(&mut bytes).await {
                    keeping.lock().expect("kept").extend(&bytes[..length]);
                    forth.write_all(&bytes[..length]).await.expect("sent");
                }
            });
        }
    });
    (own, said)
}

/// The status that these very bytes are answered with.
async fn status(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    stream.write_all(request).await.expect("sent");
    let mut head = [0; 12];
    timeout(SOON, stream.read_exact(&mut head)).await.expect("in time").expect("an answer");
    String::from_utf8_lossy(&head[9..]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_heard_on_the_way_is_worth_nothing() {
    let port = free_port().expect("a port");
    let (before, said) = recorder(port).await;
    let variables =
        [("REPLICA_PORT", port.to_string()), ("REPLICA_ADDRESS", format!("127.0.0.1:{before}"))];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    let [owner, other] = pair(&variables).await;
    let session = Session::open(&owner.url()).await;
    let connect = format!("40/audio-stream,{{\"token\":\"{KEY}\"}}");
    assert_eq!(session.post(&other.url(), &connect).await.0, 200);
    let request = said.lock().expect("kept").clone();
    let text = String::from_utf8(request.clone()).expect("text");
    assert!(text.starts_with("POST /socket.io/?") && text.contains("x-replica-seal: "), "{text}");
    assert_eq!(status(port, &request).await, "401");
    for (was, is) in [("POST", "GET"), ("EIO=4", "EIO=3"), ("x-request-id: ", "x-request-id: 1")] {
        let changed = text.replacen(was, is, 1);
        assert_ne!(changed, text);
        assert_eq!(status(port, changed.as_bytes()).await, "401", "{is}");
    }
    let refused =
        |reason: &str| owner.metric("relay_refused_total", &[&format!("reason=\"{reason}\"")]);
    assert_eq!((refused("replayed"), refused("forged")), (1, 3));
}
