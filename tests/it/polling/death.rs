//! What clients are told when the replica of their session dies, or hangs.

use std::time::Duration;

use testkit::process::Signal;

use super::{Session, assert_unknown, session::hear_out, setup};
use crate::harness::{SOON, ServiceProcess};

/// Two processes, and a session that the first of them holds.
async fn two() -> (ServiceProcess, ServiceProcess, Session, impl Send) {
    let (variables, deepgram) = setup().variables().await;
    let owner = ServiceProcess::start(&variables).await;
    let other = ServiceProcess::start(&variables).await;
    let session = Session::open(&owner.url()).await;
    session.enter(&other.url(), &other.url()).await;
    (owner, other, session, deepgram)
}

fn poll(session: &Session, url: String) -> tokio::task::JoinHandle<(u16, String)> {
    let session = session.clone();
    tokio::spawn(async move { session.poll(&url).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_owner_is_told_at_once() {
    let (mut owner, other, session, _deepgram) = two().await;
    let url = other.url();
    let upgrading = Session::open(&owner.url()).await;
    upgrading.enter(&url, &url).await;
    let mut socket = upgrading.upgrade(&url).await;
    let waiting = poll(&session, url.clone());
    owner.guard.kill().expect("killed");
    let told = tokio::time::timeout(SOON, waiting).await.expect("in time").expect("an answer");
    assert_unknown(&told);
    assert_unknown(&session.poll(&url).await);
    assert_unknown(&session.post(&url, "3").await);
    session.connect(&url).await.expect_err("no upgrade to nobody");
    hear_out(&mut socket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_hangs_is_given_up_when_it_is_missed() {
    let (owner, other, session, _deepgram) = two().await;
    let waiting = poll(&session, other.url());
    owner.guard.signal(Signal::Stop).expect("frozen");
    // Ten seconds without a heartbeat, and the next look.
    let told = tokio::time::timeout(Duration::from_secs(25), waiting).await;
    assert_unknown(&told.expect("in time").expect("an answer"));
    owner.guard.signal(Signal::Continue).expect("thawed");
}
