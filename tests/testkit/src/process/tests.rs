//! Guards and private databases, for real.

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::folder::Folder;
use super::*;
use crate::tasks::Tasks;

fn is_alive(pid: u32) -> bool {
    // A zombie is dead: only its parent has not looked yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

fn dies(pid: u32) -> bool {
    let started = Instant::now();
    while is_alive(pid) && started.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    !is_alive(pid)
}

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("600");
    command
}

#[test]
fn a_child_dies_with_its_guard() {
    let folder = Folder::create("guard").unwrap();
    let guard = Guard::spawn(&sleeper(), &folder.path().join("log")).unwrap();
    let pid = guard.pid();
    assert!(is_alive(pid));
    drop(guard);
    assert!(dies(pid));
}

#[test]
fn a_child_dies_with_its_owner_even_when_that_is_killed() {
    let folder = Folder::create("guard").unwrap();
    let mut guard = Guard::spawn(&sleeper(), &folder.path().join("log")).unwrap();
    let pid = guard.pid();
    guard.cut_lifeline();
    assert!(dies(pid), "the pipe alone must be enough");
}

#[test]
fn a_folder_goes_with_its_owner() {
    let folder = Folder::create("folder").unwrap();
    let path = folder.path().to_owned();
    std::fs::write(path.join("file"), "x").unwrap();
    drop(folder);
    assert!(!path.exists());
}

#[test]
fn exit_codes_are_told() {
    let folder = Folder::create("guard").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exit 3"]);
    let mut guard = Guard::spawn(&command, &folder.path().join("log")).unwrap();
    assert_eq!(guard.wait(Duration::from_secs(5)).unwrap(), 3);
    let mut guard = Guard::spawn(&sleeper(), &folder.path().join("log")).unwrap();
    guard.signal(Signal::Terminate).unwrap();
    assert_eq!(guard.wait(Duration::from_secs(5)).unwrap(), 128 + 15);
}

#[test]
fn redis_restarts_on_its_port() {
    let mut redis = Redis::start().unwrap();
    let url = redis.url();
    redis.command(&["SET", "a", "1"]).unwrap();
    redis.kill().unwrap();
    assert!(redis.command(&["PING"]).is_err());
    redis.restart().unwrap();
    assert_eq!(redis.url(), url);
    assert_eq!(redis.command(&["GET", "a"]).unwrap(), "$-1\r\n");
}

#[test]
fn postgres_survives_a_kill() {
    let mut postgres = Postgres::start().unwrap();
    let url = postgres.create_database().unwrap();
    let name = url.rsplit('/').next().unwrap().to_owned();
    postgres.query(&name, "CREATE TABLE t (n int); INSERT INTO t VALUES (7)").unwrap();
    postgres.kill().unwrap();
    assert!(postgres.query(&name, "SELECT 1").is_err());
    postgres.restart().unwrap();
    assert_eq!(postgres.query(&name, "SELECT n FROM t").unwrap().trim(), "7");
    let copy = postgres.create_database_from(&name).unwrap();
    assert_eq!(
        postgres.query(copy.rsplit('/').next().unwrap(), "SELECT n FROM t").unwrap().trim(),
        "7"
    );
}

/// A server that answers everything with 200; its port.
async fn server(tasks: &Tasks) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().fallback(|| async { "here" });
    tasks.spawner().spawn(async move { drop(axum::serve(listener, router).await) });
    port
}

/// Asks so often on one connection; who answered each time.
async fn ask(balancer: &Haproxy, times: usize) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", balancer.port())).await.unwrap();
    let (mut served, mut heard) = (Vec::new(), String::new());
    for _ in 0..times {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: balancer\r\n\r\n").await.unwrap();
        while !heard.ends_with("here") {
            let mut bytes = [0; 1024];
            let length = stream.read(&mut bytes).await.unwrap();
            assert!(length > 0, "{heard}");
            heard += &String::from_utf8_lossy(&bytes[..length]);
        }
        let name = heard.split("x-served-by: ").nth(1).and_then(|rest| rest.lines().next());
        served.push(name.unwrap().to_owned());
        heard.clear();
    }
    served
}

#[tokio::test]
async fn a_balancer_spreads_the_requests_of_one_connection() {
    let tasks = Tasks::new();
    let ports = [server(&tasks).await, server(&tasks).await, free_port().unwrap()];
    let balancer = Haproxy::start(&ports).unwrap();
    let mut served = ask(&balancer, 60).await;
    served.sort();
    served.dedup();
    assert_eq!(served, ["replica0", "replica1"], "and what is not there is passed over");
}
