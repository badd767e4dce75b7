//! Where a request cannot be handed over it is refused at once, with what is to be done about it.

use std::time::{Duration, Instant};

use testkit::{process::free_port, raw_ws::Refused};
use tokio::net::{TcpSocket, TcpStream};

use super::{Session, assert_unknown, pair, relayed, setup};
use crate::harness::{SOON, TestApp};

/// What the other replica says of a session that the first one holds, in every way of asking.
async fn assert_told(held: &TestApp, asked: &TestApp, words: &[&str]) {
    let session = Session::open(&held.url()).await;
    let (status, poll) = session.poll(&asked.url()).await;
    assert_eq!(status, 503, "{poll}");
    for word in words.iter().chain(&["sticky", "transports: ['websocket']"]) {
        assert!(poll.contains(word), "{word}: {poll}");
    }
    assert_eq!(session.post(&asked.url(), "3").await.0, 503);
    let error = session.connect(&asked.url()).await.expect_err("no upgrade");
    let refused: &Refused = error.downcast_ref().expect("an answer");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(relayed(asked, "unreachable"), 3);
    // Where it is held it lives.
    session.enter(&held.url(), &held.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_without_the_port_says_so() {
    let [deaf, other] = pair(&[("REPLICA_PORT", "off")]).await;
    assert!(deaf.running.replica_address.is_none());
    assert_told(&deaf, &other, &["REPLICA_PORT"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_without_a_secret_hand_nothing_over() {
    let replicas = setup().with("SECRET_KEY", "").start_many(2).await;
    assert!(replicas.iter().all(|app| app.running.replica_address.is_none()));
    assert_told(&replicas[0], &replicas[1], &["SECRET_KEY"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_nobody_can_connect_to_is_named() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("an address");
    // Once its queue is full, the kernel answers nobody any more.
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    let [mute, other] = pair(&[("REPLICA_ADDRESS", &address.to_string())]).await;
    let began = Instant::now();
    assert_told(&mute, &other, &["REPLICA_ADDRESS"]).await;
    assert!(began.elapsed() < 3 * SOON, "three requests with two seconds each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_lives_and_refuses_is_named_in_the_end() {
    let nowhere = format!("127.0.0.1:{}", free_port().expect("a port"));
    let [elsewhere, other] = pair(&[("REPLICA_ADDRESS", &nowhere)]).await;
    let session = Session::open(&elsewhere.url()).await;
    // It might just have died.
    assert_unknown(&session.poll(&other.url()).await);
    let told = async || session.poll(&other.url()).await.0 == 503;
    let waited = testkit::wait_until("the other to be alive still", 3 * SOON, told).await;
    waited.expect("it says so with every heartbeat");
    let (_, told) = session.poll(&other.url()).await;
    assert!(told.contains("REPLICA_ADDRESS"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_no_replica_gave_out_is_unknown_to_all() {
    let replicas = setup().start_many(2).await;
    let url = replicas[1].url();
    let real = Session::open(&replicas[0].url()).await.sid;
    let (id, tag) = real.split_at(16);
    let stranger = format!("{id}ffffffffffff");
    let wrong = format!("0123456789abcdef{tag}");
    for sid in ["garbage", "", id, tag, &stranger, &format!("{real}0"), "%00", &wrong] {
        let session = Session::of(sid);
        assert_unknown(&session.poll(&url).await);
        assert_unknown(&session.post(&url, "3").await);
        if *sid != *wrong {
            session.connect(&url).await.expect_err("no upgrade to nobody");
        }
    }
    assert_eq!(relayed(&replicas[1], "unknown"), 3 * 7);
    assert_eq!(relayed(&replicas[1], "unreachable") + relayed(&replicas[1], "gone"), 0);
}
