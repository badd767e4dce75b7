//! An AssemblyAI that breaks in mid-stream: every word still arrives once, billed once.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;
use testkit::assemblyai::{Action, At, Config, Fault};

use super::{AUDIO, brisk, start};
use crate::oracle;

const CHUNKS: u32 = 50;
/// Longest that a break and the replay after it may take here.
const RECOVERY: Duration = Duration::from_secs(25);

/// Turns whose ends do not meet the end of the audio.
fn uneven() -> Config {
    Config { longest_turn: Duration::from_millis(700), ..brisk() }
}

/// Speaks through faults and expects everything once, in so many sessions with the provider.
async fn survive(faults: Vec<Fault>, sessions: usize) {
    let (app, simulator) = start(uneven()).await;
    simulator.plan(faults);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..CHUNKS).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, RECOVERY).await;
    oracle::assert_whole(&heard, CHUNKS);
    oracle::assert_billed(&app, CHUNKS).await;
    assert_eq!(simulator.sessions().len(), sessions);
}

fn at_3s(action: Action) -> Fault {
    Fault { at: At::Audio(Duration::from_millis(2990)), action }
}

fn close(code: u16, reason: &str) -> Action {
    Action::Close(code, reason.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaks_in_mid_turn() {
    let summary = json!({ "type": "Termination", "audio_duration_seconds": 2 });
    let breaks = [
        ("server error", close(3005, "Server error")),
        ("session expired", close(3008, "Session Expired: Maximum session duration exceeded")),
        ("too many sessions", close(1008, "Unauthorized: Too many concurrent sessions")),
        ("a close that nobody asked for", close(1000, "")),
        ("a cut connection", Action::Drop),
        ("a reset connection", Action::Reset),
        ("nothing is read, no ping is answered", Action::StopReading),
        ("nothing is said any more", Action::StopAnswering),
        ("an end that nobody asked for", Action::SendText(summary.to_string())),
    ];
    let cases = breaks.map(|(what, action)| (what, survive(vec![at_3s(action)], 2).boxed_local()));
    oracle::side_by_side(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_is_no_end() {
    let at_end = |action| vec![Fault { at: At::Terminate, action }];
    let ends = [
        ("closed before the last turn", at_end(Action::Drop)),
        ("the end is not answered", at_end(Action::IgnoreTerminate)),
    ];
    let cases = ends.map(|(what, faults)| (what, survive(faults, 2).boxed_local()));
    oracle::side_by_side(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oddities_are_shrugged_off() {
    let says = |text: serde_json::Value| at_3s(Action::SendText(text.to_string()));
    let odd = vec![
        at_3s(Action::SendText("<html>bad gateway</html>".into())),
        at_3s(Action::SendText("[".repeat(100_000))),
        at_3s(Action::SendBinary(vec![0; 1000])),
        says(json!({ "type": "Turn", "turn_order": 1 })),
        says(json!({ "type": "Turn", "turn_order": "next" })),
        says(json!({ "type": "Heartbeat", "total_duration_ms": 1 })),
        says(json!({ "type": "Warning", "warning_code": 1, "warning": "slow down" })),
        says(json!({ "type": "Turn", "turn_order": 0, "end_of_turn": true, "transcript": "again",
            "words": [{ "text": "again", "start": 0, "end": 20 }] })),
    ];
    let cases = [
        ("messages that mean nothing", odd),
        ("turns are never written", vec![at_3s(Action::LeaveUnwritten)]),
        ("no end of a turn is forced", vec![at_3s(Action::IgnoreForceEndpoint)]),
    ];
    let cases = cases.map(|(what, faults)| (what, survive(faults, 1).boxed_local()));
    oracle::side_by_side(cases).await;
}

/// The silence at the end is not believed to be heard where the summary says less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_that_falls_short_is_not_believed() {
    let (app, simulator) = start(brisk()).await;
    let less = Action::HearLess(Duration::from_secs(4));
    simulator.plan(vec![Fault { at: At::Terminate, action: less }]);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..20).await;
    client.emit_binary("audio_chunk", &[&vec![0; 3 * 32_000]]).await.expect("sent");
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, RECOVERY).await;
    oracle::assert_whole(&heard, 20);
    oracle::assert_billed(&app, 50).await;
    let sessions = simulator.sessions();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[1].audio_bytes, 3 * 32_000, "only what was not proved");
}
