//! Guards and private databases, for real.

use std::process::Command;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::*;

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
