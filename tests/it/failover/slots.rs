//! A provider that has no connection left: who comes next begins with another, and does not wait.

use testkit::deepgram::{Door, Refusal};

use super::{ALWAYS, Talk, both, is_ended, poison, providers};
use crate::oracle::{self, SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_slot_begins_with_the_other() {
    let (app, second) = both(|setup| setup.with("DEEPGRAM_MAX_STREAMS", "1")).await;
    let first = Talk::begin(&app).await;
    let mut other = Talk::begin(&app).await;
    other.until_heard_by("assemblyai").await;
    assert_eq!(app.deepgram().requests().len(), 1);
    let heard = other.finish().await;
    assert_eq!(providers(&heard), ["assemblyai"]);
    assert_eq!(oracle::named(&heard, "queued").count(), 0, "it did not wait");
    assert_eq!(second.sessions().len(), 1);
    assert_eq!(app.metric("upstream_slots_held", &["deepgram"]), 1);
    assert_eq!(providers(&first.finish().await), ["deepgram"]);
    // Once the slot is free again it is taken.
    let free = async || app.metric("upstream_slots_held", &["deepgram"]) == 0;
    testkit::wait_until("the slot", SOON, free).await.expect("free");
    assert_eq!(providers(&Talk::begin(&app).await.finish().await), ["deepgram"]);
}

/// A session that went on elsewhere gives its slot to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_went_on_elsewhere_holds_no_slot() {
    let (app, _second) = both(|setup| setup.with("DEEPGRAM_MAX_STREAMS", "1")).await;
    let mut talk = Talk::begin(&app).await;
    poison(&app, &mut talk).await;
    talk.until_heard_by("assemblyai").await;
    let free = async || app.metric("upstream_slots_held", &["deepgram"]) == 0;
    testkit::wait_until("the slot", SOON, free).await.expect("free");
    let other = Talk::begin(&app).await;
    assert_eq!(app.metric("upstream_slots_held", &["deepgram"]), 1);
    assert_eq!(providers(&other.finish().await), ["deepgram"]);
    assert_eq!(providers(&talk.finish().await), ["deepgram", "assemblyai"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_that_there_are_too_many_goes_elsewhere_at_once() {
    let (app, _second) = both(|setup| setup).await;
    let refusal = Refusal::of(429).with_header("retry-after", "20");
    app.deepgram().refuse(Door::Live, ALWAYS, refusal);
    let talk = Talk::begin(&app).await;
    assert_eq!(providers(&talk.finish().await), ["assemblyai"]);
    assert_eq!(app.deepgram().requests().len(), 1);
    app.deepgram().clear_faults();
    assert_eq!(providers(&Talk::begin(&app).await.finish().await), ["deepgram"]);
    app.deepgram().wait_for_stream(SOON, is_ended).await.expect("ended");
}
