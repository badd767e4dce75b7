//! Nobody can be reached: sessions wait, nobody is stormed, and everything is said once somebody is
//! back.

use std::time::{Duration, Instant};

use testkit::deepgram::{Action, Fault};

use super::{RECOVERY, Talk, both, brisk, providers, refuse_all};
use crate::{harness::Setup, oracle::SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_are_down_and_one_comes_back() {
    let (app, second) = both(|setup| setup).await;
    let mut talk = Talk::begin(&app).await;
    app.deepgram().go_down();
    second.go_down();
    talk.say(30).await;
    let failed = async || {
        let failed = |provider| app.metric("upstream_connects_total", &[provider, "unavailable"]);
        failed("deepgram") >= 2 && failed("assemblyai") >= 2
    };
    testkit::wait_until("both to be asked", SOON, failed).await.expect("asked");
    second.come_back().await.expect("back");
    talk.until_heard_by("assemblyai").await;
    let heard = talk.finish().await;
    assert_eq!(providers(&heard), ["deepgram", "assemblyai"]);
}

/// Twenty sessions, one provider, ten seconds without it: each asks once, then one for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_no_reason_for_a_storm() {
    const SESSIONS: usize = 20;
    const OUTAGE: Duration = Duration::from_secs(10);
    let setup = Setup::new().deepgram(brisk()).with("LIMIT_LIVE_SESSIONS", "unlimited");
    let app = setup.start().await;
    let mut talks = Vec::new();
    for _ in 0..SESSIONS {
        talks.push(Talk::begin(&app).await);
    }
    refuse_all(&app, 503);
    let over = Instant::now() + OUTAGE;
    for talk in &mut talks {
        talk.say(20).await;
    }
    // Something comes every other second, whatever happens.
    talks[0].until(|_| Instant::now() > over).await;
    let asked = app.deepgram().requests().len() - SESSIONS;
    // A fifth more than the ordinary attempts, and one a penalty: half a second, doubled up to five.
    assert!((6..=SESSIONS + SESSIONS / 5 + 16).contains(&asked), "{asked} handshakes");
    assert_eq!(app.metric("provider_breaker_open", &["deepgram"]), 1);
    assert!(app.metric("provider_attempts_held_total", &["breaker"]) > 0);
    app.deepgram().clear_faults();
    for talk in talks {
        talk.finish().await;
    }
    let closed = async || app.metric("provider_breaker_open", &["deepgram"]) == 0;
    testkit::wait_until("trust in it", RECOVERY, closed).await.expect("closed");
}

/// Who comes while the first choice is left alone begins with the other; one finds out when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_sessions_begin_with_the_other_until_the_first_is_back() {
    let (app, _second) = both(|setup| setup).await;
    let mut talks = Vec::new();
    for _ in 0..4 {
        talks.push(Talk::begin(&app).await);
    }
    refuse_all(&app, 503);
    for talk in &mut talks {
        talk.until_heard_by("assemblyai").await;
    }
    assert_eq!(app.metric("provider_breaker_open", &["deepgram"]), 1);
    assert_eq!(providers(&Talk::begin(&app).await.finish().await), ["assemblyai"]);
    app.deepgram().clear_faults();
    let back = async || providers(&Talk::begin(&app).await.finish().await) == ["deepgram"];
    testkit::wait_until("the first choice", RECOVERY, back).await.expect("asked again");
    assert_eq!(app.metric("provider_breaker_open", &["deepgram"]), 0);
    for talk in talks {
        assert_eq!(providers(&talk.finish().await), ["deepgram", "assemblyai"]);
    }
}

/// It lets everybody in and says nothing: that is an attempt that failed, and repeated ones stay within
/// their budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_opens_is_not_asked_more_than_a_few_times() {
    const SESSIONS: usize = 12;
    let setup = Setup::new().deepgram(brisk()).with("LIMIT_LIVE_SESSIONS", "unlimited");
    let app = setup.start().await;
    let begun = Instant::now();
    app.deepgram().plan_every(vec![Fault::at_open(Action::Drop)]);
    let mut talks = Vec::new();
    for _ in 0..SESSIONS {
        let mut talk = Talk::new(&app).await;
        talk.say(20).await;
        talks.push(talk);
    }
    let over = begun + Duration::from_secs(6);
    talks[0].until(|_| Instant::now() > over).await;
    let (asked, seconds) = (app.deepgram().requests().len(), begun.elapsed().as_secs() as usize);
    let most = SESSIONS + SESSIONS / 5 + 5 * seconds + 10;
    assert!(asked <= most, "{asked} attempts in {seconds} s");
    app.deepgram().clear_faults();
    for talk in talks {
        talk.finish().await;
    }
}
