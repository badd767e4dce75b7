//! Each misdeed of the proxy, seen from both ends.

use std::io::ErrorKind;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::wait_until;

const PATIENCE: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(200);

/// A server that says every line back, after its own name.
async fn echo(name: &'static str, tasks: &Tasks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, spawner) = (listener.local_addr().unwrap(), tasks.spawner());
    let inner = tasks.spawner();
    spawner.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            inner.spawn(async move {
                let mut bytes = vec![0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                    let said = [name.as_bytes(), &bytes[..length]].concat();
                    if stream.write_all(&said).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

struct World {
    proxy: Proxy,
    tasks: Tasks,
}

async fn world() -> World {
    let tasks = Tasks::new();
    let target = echo("a:", &tasks).await;
    World { proxy: Proxy::seeded(target, 1).await.unwrap(), tasks }
}

impl World {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }
}

async fn ask(stream: &mut TcpStream, word: &str) -> String {
    stream.write_all(word.as_bytes()).await.unwrap();
    hear(stream).await
}

async fn hear(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

async fn is_reset(stream: &mut TcpStream) -> bool {
    let read = timeout(PATIENCE, stream.read(&mut [0; 64])).await.unwrap();
    read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let world = world().await;
    let mut stream = world.connect().await;
    assert_eq!(ask(&mut stream, "one").await, "a:one");
    stream.shutdown().await.unwrap();
    assert_eq!(hear(&mut stream).await, "", "the end passes too");
    let closed = async || world.proxy.counts().open == 0;
    wait_until("the end", PATIENCE, closed).await.unwrap();
    let counts = world.proxy.counts();
    let expected = Counts { accepted: 1, up_bytes: 3, down_bytes: 5, ..Counts::default() };
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn a_target_is_changed_for_new_connections() {
    let world = world().await;
    let mut first = world.connect().await;
    assert_eq!(ask(&mut first, "x").await, "a:x");
    world.proxy.set_target(echo("b:", &world.tasks).await);
    assert_eq!(ask(&mut world.connect().await, "x").await, "b:x");
    assert_eq!(ask(&mut first, "y").await, "a:y");
}

#[tokio::test]
async fn each_way_has_its_delay() {
    let world = world().await;
    let mut stream = world.connect().await;
    ask(&mut stream, "x").await;
    world.proxy.set(Mode::delayed(MOMENT, MOMENT / 2));
    let started = Instant::now();
    assert_eq!(ask(&mut stream, "y").await, "a:y");
    assert!(started.elapsed() >= MOMENT * 3 / 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_cut_resets_both_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    assert_eq!(proxy.cut_all(), 1);
    assert!(is_reset(&mut client).await && is_reset(&mut server).await);
    assert_eq!(proxy.counts().cut, 1);
}

#[tokio::test]
async fn the_seed_decides_who_is_cut() {
    let cut = async || {
        let world = world().await;
        let mut streams = Vec::new();
        for _ in 0..20 {
            let mut stream = world.connect().await;
            ask(&mut stream, "x").await;
            streams.push(stream);
        }
        let count = world.proxy.cut_some(0.3);
        assert!((1..20).contains(&count), "{count}");
        let mut gone = Vec::new();
        for stream in &mut streams {
            gone.push(stream.write_all(b"y").await.is_err() || is_gone(stream).await);
        }
        assert_eq!(gone.iter().filter(|gone| **gone).count(), count);
        gone
    };
    assert_eq!(cut().await, cut().await);
}

async fn is_gone(stream: &mut TcpStream) -> bool {
    timeout(PATIENCE, stream.read(&mut [0; 64])).await.unwrap().is_err()
}

#[tokio::test]
async fn a_hole_keeps_everything_until_it_is_closed() {
    let world = world().await;
    let mut stream = world.connect().await;
    ask(&mut stream, "x").await;
    world.proxy.set(Mode::blackhole());
    stream.write_all(b"y").await.unwrap();
    let mut late = world.connect().await;
    late.write_all(b"z").await.unwrap();
    let mut byte = [0; 1];
    assert!(timeout(MOMENT, stream.read(&mut byte)).await.is_err(), "nothing moves");
    assert!(timeout(MOMENT, late.read(&mut byte)).await.is_err(), "nor on a new one");
    world.proxy.pass();
    assert_eq!(hear(&mut stream).await, "a:y");
    assert_eq!(hear(&mut late).await, "a:z");
}

#[tokio::test]
async fn a_narrow_way_takes_its_time() {
    let world = world().await;
    let mut stream = world.connect().await;
    ask(&mut stream, "x").await;
    world.proxy.set(Mode::throttled(2_000));
    let started = Instant::now();
    stream.write_all(&[b'y'; 1_000]).await.unwrap();
    let mut heard = 0;
    while heard < 1_000 {
        heard += hear(&mut stream).await.len();
    }
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_shut_door_opens_again_on_the_same_port() {
    let world = world().await;
    let mut stream = world.connect().await;
    ask(&mut stream, "x").await;
    world.proxy.set(Mode::refusing());
    let address = world.proxy.address();
    let refused = async || {
        let connected = TcpStream::connect(address).await;
        connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    wait_until("a refusal", PATIENCE, refused).await.unwrap();
    assert_eq!(ask(&mut stream, "y").await, "a:y", "who was inside stays");
    world.proxy.pass();
    wait_until("a way in", PATIENCE, async || !refused().await).await.unwrap();
    assert_eq!(ask(&mut world.connect().await, "z").await, "a:z");
}

#[tokio::test]
async fn an_answer_is_kept_back_after_the_act() {
    let world = world().await;
    world.proxy.cut_before(b"COMMIT", 1);
    let mut stream = world.connect().await;
    assert_eq!(ask(&mut stream, "BEGIN").await, "a:BEGIN");
    stream.write_all(b"COM").await.unwrap();
    assert_eq!(hear(&mut stream).await, "a:COM");
    stream.write_all(b"COMMIT").await.unwrap();
    assert!(is_reset(&mut stream).await);
    let mut next = world.connect().await;
    assert_eq!(ask(&mut next, "COMMIT").await, "a:COMMIT", "once was asked for");
}

#[tokio::test]
async fn a_target_that_is_away_is_felt_at_once() {
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
    let proxy = Proxy::start(target).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(is_gone(&mut stream).await);
    assert_eq!(proxy.counts().unreachable, 1);
}
