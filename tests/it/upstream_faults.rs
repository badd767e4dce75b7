//! A provider that breaks in mid-stream: every word still arrives once, in its place, billed once.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::{Value, json};
use testkit::{
    deepgram::{Action, At, Config, Fault, Record},
    numbered::NumberedAudio,
};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, SOON, numbered},
};

const CHUNKS: u32 = 50;
/// Longest that a break and the replay after it may take here.
const RECOVERY: Duration = Duration::from_secs(25);

/// Finals every second, so that a replay is short.
fn brisk() -> Config {
    Config { longest_segment: Duration::from_secs(1), ..numbered() }
}

/// Speaks through one break and expects everything once; the records of all streams.
async fn survive(app: &TestApp, faults: Vec<Fault>) -> Vec<Record> {
    app.deepgram().plan(faults);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..CHUNKS).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, RECOVERY).await;
    oracle::assert_whole(&heard, CHUNKS);
    oracle::assert_billed(app, CHUNKS).await;
    app.deepgram().streams()
}

async fn survive_at_3s(actions: Vec<Action>) {
    let app = Setup::new().deepgram(brisk()).start().await;
    let half_open = actions.contains(&Action::StopReading);
    let at = |action| Fault::at_audio(Duration::from_millis(2990), action);
    let streams = survive(&app, actions.into_iter().map(at).collect()).await;
    assert_eq!(streams.len(), 2, "one break, one reconnect");
    assert!(streams[1].audio_bytes < streams[0].audio_bytes + 3 * 32_000, "only what was needed");
    if half_open {
        let noticed = streams[1].opened_at - streams[0].last_audio_at.expect("audio came");
        assert!(noticed < Duration::from_millis(6500), "noticed after {noticed:?}");
    }
}

fn close(code: u16, reason: &str) -> Action {
    Action::Close(code, reason.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaks_in_mid_utterance() {
    let summary = json!({ "type": "Metadata", "request_id": "x", "duration": 2.99, "channels": 1 });
    let breaks = [
        ("NET-0000", vec![close(1011, "NET-0000 https://dpgr.am/net0000")]),
        ("NET-0001", vec![close(1011, "NET-0001 https://dpgr.am/net0001")]),
        ("a close that nobody asked for", vec![close(1000, "")]),
        (
            "a summary that nobody asked for",
            vec![Action::SendText(summary.to_string()), close(1000, "")],
        ),
        ("a cut connection", vec![Action::Drop]),
        ("a reset connection", vec![Action::Reset]),
        ("nothing is read, no ping is answered", vec![Action::StopReading]),
    ];
    oracle::side_by_side(
        breaks.map(|(what, actions)| (what, survive_at_3s(actions).boxed_local())),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_break_after_the_other() {
    let app = Setup::new().deepgram(brisk()).start().await;
    for ms in [500, 1500] {
        let at = At::Audio(Duration::from_millis(ms));
        app.deepgram().plan(vec![Fault { at, action: Action::Drop }]);
    }
    let streams = survive(&app, vec![Fault::at_open(Action::Drop)]).await;
    assert_eq!(streams.len(), 4);
}

/// Nothing is left to replay: the next connection waits for audio, since one without would idle out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_break_while_idle_costs_no_connection() {
    let app = Setup::new().deepgram(brisk()).start().await;
    let audio = NumberedAudio::linear16(1, 1);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, audio, 0..20).await;
    let covered = |record: &Record| record.finals.last().is_some_and(|f| f.end_us == 2_000_000);
    app.deepgram().wait_for_stream(SOON, covered).await.expect("covered");
    app.deepgram().inject(None, &close(1011, "NET-0001"));
    let noticed = async || app.metric("upstream_failures_total", &[]) == 1;
    testkit::wait_until("the break", SOON, noticed).await.expect("noticed");
    let later = Instant::now() + Duration::from_secs(2);
    let passed = |message: &Value| message["type"] == "audio_ack" && Instant::now() > later;
    let mut heard = oracle::listen(&mut client, SOON, passed).await;
    assert_eq!(app.deepgram().requests().len(), 1);
    oracle::speak(&mut client, audio, 20..40).await;
    oracle::stop(&mut client).await;
    heard.extend(oracle::until_stopped(&mut client, RECOVERY).await);
    oracle::assert_whole(&heard, 40);
    let streams = app.deepgram().streams();
    assert_eq!(streams.len(), 2);
    let wait = streams[1].first_audio_at.expect("audio") - streams[1].opened_at;
    assert!(wait < Duration::from_secs(1), "opened for audio, which took {wait:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_after_a_break_while_idle_needs_no_connection() {
    let app = Setup::new().deepgram(brisk()).start().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 1), 0..20).await;
    let covered = |record: &Record| record.finals.last().is_some_and(|f| f.end_us == 2_000_000);
    app.deepgram().wait_for_stream(SOON, covered).await.expect("covered");
    app.deepgram().go_down();
    let noticed = async || app.metric("upstream_failures_total", &[]) == 1;
    testkit::wait_until("the break", SOON, noticed).await.expect("noticed");
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 20);
    oracle::assert_billed(&app, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_goes_down_and_comes_back() {
    let app = Setup::new().deepgram(brisk()).start().await;
    let audio = NumberedAudio::linear16(1, 1);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, audio, 0..15).await;
    let hearing = |record: &Record| record.heard >= Duration::from_millis(1500);
    app.deepgram().wait_for_stream(SOON, hearing).await.expect("heard");
    app.deepgram().go_down();
    oracle::speak(&mut client, audio, 15..CHUNKS).await;
    let refused = async || app.metric("upstream_connects_total", &["unavailable"]) >= 2;
    testkit::wait_until("attempts", SOON, refused).await.expect("attempts");
    app.deepgram().come_back().await.expect("back");
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, RECOVERY).await, CHUNKS);
    oracle::assert_billed(&app, CHUNKS).await;
}

/// Two channels transcribed each by itself, of which only one had its final when it broke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_break_between_the_finals_of_two_channels() {
    let app = Setup::new().deepgram(brisk()).start().await;
    app.deepgram().plan(vec![
        Fault::at_audio(Duration::from_millis(1990), Action::DuplicateFinals),
        Fault::at_audio(Duration::from_millis(2490), Action::Drop),
    ]);
    let mut socket = app.websocket().await;
    let start = json!({ "type": "start_streaming", "channels": 2, "multichannel": true });
    socket.send_json(&start).await.expect("sent");
    let audio = NumberedAudio { tenant: 1, session: 1, bytes_per_second: 64_000 };
    oracle::speak_raw(&mut socket, audio, 0..CHUNKS).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, RECOVERY).await;
    for channel in 0..2 {
        let mut finals = oracle::finals(&heard);
        finals.retain(|text| text["channel"] == channel);
        let expected: Vec<_> = (0..CHUNKS * oracle::FRAMES_PER_CHUNK).collect();
        assert_eq!(oracle::numbers(&finals), expected, "channel {channel}");
    }
}

/// The provider answers pings and hears everything, but says nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_falls_silent() {
    let app = Setup::new().deepgram(brisk()).start().await;
    app.deepgram().plan(vec![Fault::at_audio(Duration::from_secs(2), Action::StopAnswering)]);
    let audio = NumberedAudio::linear16(1, 1);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, audio, 0..230).await;
    let left = |streams: &[Record]| streams.len() == 2;
    app.deepgram().wait_for(Duration::from_secs(20), left).await.expect("left for another");
    assert_eq!(app.deepgram().streams()[0].count_texts("Finalize"), 1);
    // What it never said is said by the other.
    let heard = oracle::listen(&mut client, SOON, |message| message["is_final"] == true).await;
    let finals = oracle::numbers(&oracle::finals(&heard));
    assert_eq!(finals, (0..finals.len() as u32).collect::<Vec<_>>());
}
