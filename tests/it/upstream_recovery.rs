//! A connection is made up for beside the one that goes on: what is said now does not wait, and what
//! was missed is said in its place, or is a gap.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, CHUNK_MS, FRAMES_PER_CHUNK, SOON, numbered},
};
use serde_json::{Value, json};
use testkit::{
    deepgram::{Action, Config, Fault, Record},
    numbered::{FRAME_MS, Mark, NumberedAudio},
    raw_ws::RawSocket,
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(4, 1);
/// Longest that an outage and what follows may take here.
const LONG: Duration = Duration::from_secs(90);
/// How much was heard of what is not final when connections break here.
const HEARD: Duration = Duration::from_millis(3_900);
/// A frame that is said well after such a break.
const NEW: u32 = 225;

/// Texts every 200 ms, finals every 4 s.
fn talkative() -> Config {
    Config { interim_every: Duration::from_millis(200), ..numbered() }
}

async fn begin(app: &TestApp, options: Value) -> RawSocket {
    let mut socket = app.websocket().await;
    let mut start = options;
    start["type"] = json!("start_streaming");
    socket.send_json(&start).await.expect("sent");
    socket
}

/// Says chunks as fast as people do; what was heard meanwhile.
async fn talk(socket: &mut RawSocket, audio: NumberedAudio, chunks: Range<u32>) -> Vec<Value> {
    let (mut heard, mut until) = (Vec::new(), Instant::now());
    for number in chunks {
        oracle::speak_raw(socket, audio, number..number + 1).await;
        until += Duration::from_millis(CHUNK_MS);
        let left = || until.saturating_duration_since(Instant::now());
        while let Ok(message) = socket.receive_json(left()).await {
            heard.push(message);
        }
    }
    heard
}

/// Stops, and waits for the end; everything that was said until then.
async fn end(socket: &mut RawSocket) -> Vec<Value> {
    oracle::stop_raw(socket).await;
    oracle::until_stopped_raw(socket, LONG).await
}

/// Where the first text of that kind stands that says a frame from `from` on.
fn first(heard: &[Value], is_final: bool, from: u32) -> Option<usize> {
    heard.iter().position(|it| {
        it["is_final"] == is_final
            && oracle::numbers(std::slice::from_ref(it)).iter().any(|number| *number >= from)
    })
}

/// The frames of the first and the last word that a stream had for final.
fn said(stream: &Record) -> (u32, u32) {
    let words = stream.final_words();
    let number = |word: Option<&String>| Mark::parse(word.expect("a word")).expect("a mark").number;
    (number(words.first()), number(words.last()))
}

/// Every frame once and in order, but those of the one gap, which has that reason; the report and the
/// bill say the same. Returns where it lies.
async fn assert_but_a_gap(app: &TestApp, heard: &[Value], reason: &str, chunks: u32) -> (u64, u64) {
    let gaps: Vec<_> = oracle::named(heard, "gap").collect();
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap["reason"] == reason), "{gaps:?}");
    let ms = |gap: &Value, name: &str| gap[name].as_u64().expect("ms");
    let (from_ms, to_ms) = (ms(gaps[0], "from_ms"), ms(gaps[gaps.len() - 1], "to_ms"));
    assert!(gaps.windows(2).all(|pair| pair[0]["to_ms"] == pair[1]["from_ms"]), "{gaps:?}");
    let all = 0..chunks * FRAMES_PER_CHUNK;
    let lost = |number: &u32| (from_ms..to_ms).contains(&(u64::from(*number) * FRAME_MS));
    let finals = oracle::finals(heard);
    let expected: Vec<_> = all.filter(|number| !lost(number)).collect();
    assert_eq!(oracle::numbers(&finals), expected, "{gaps:?}");
    finals.iter().for_each(oracle::assert_placed);
    let numbered = heard.iter().filter(|it| it["is_final"] == true || it["type"] == "gap");
    let ns: Vec<_> = numbered.map(|it| it["n"].as_u64().expect("n")).collect();
    assert_eq!(ns, (1..=ns.len() as u64).collect::<Vec<_>>(), "in the order of the audio");
    let whole_ms = u64::from(chunks) * CHUNK_MS;
    let report = &heard.last().expect("the stop")["report"];
    let lost_ms = to_ms - from_ms;
    assert_eq!(report["received_ms"], whole_ms, "{report}");
    assert_eq!(report["transcribed_ms"], whole_ms - lost_ms, "{report}");
    assert_eq!(report["lost"], json!({ reason: lost_ms }), "{report}");
    let billed = "SELECT coalesce(sum(range_end_ms - range_start_ms), 0)::bigint FROM usage_logs";
    let is_billed = async || app.sql::<i64>(billed).await.cast_unsigned() == whole_ms - lost_ms;
    testkit::wait_until("all but the gap to be billed", SOON, is_billed).await.expect("billed");
    (from_ms, to_ms)
}

/// A break with nearly four seconds that have no final, while somebody goes on speaking.
async fn break_in_speech(
    app: &TestApp,
    others: impl IntoIterator<Item = Vec<Fault>>,
) -> Vec<Value> {
    app.deepgram().plan(vec![Fault::at_audio(HEARD, Action::Drop)]);
    others.into_iter().for_each(|faults| app.deepgram().plan(faults));
    let mut socket = begin(app, json!({})).await;
    let mut heard = talk(&mut socket, AUDIO, 0..CHUNKS).await;
    heard.extend(end(&mut socket).await);
    heard
}

/// Chunks of a session whose connection breaks.
const CHUNKS: u32 = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_now_does_not_wait_for_what_was_missed() {
    let app = Setup::new().deepgram(talkative()).start().await;
    let slow = Fault::at_open(Action::Delay(Duration::from_millis(1500)));
    let heard = break_in_speech(&app, [vec![], vec![slow]]).await;
    oracle::assert_whole(&heard, CHUNKS);
    oracle::assert_billed(&app, CHUNKS).await;
    let streams = app.deepgram().streams();
    assert_eq!(streams.len(), 3, "the one that broke, a live one, and one for what was missed");
    let (live, missed) = (said(&streams[1]), said(&streams[2]));
    assert!(live.0 > 150 && live.1 == CHUNKS * FRAMES_PER_CHUNK - 1, "{live:?}");
    assert!(missed.0 == 0 && missed.1 < live.1, "{missed:?}");
    let (shown, told) = (first(&heard, false, NEW), first(&heard, true, 0));
    assert!(shown.is_some() && shown < told, "shown at {shown:?}, finals from {told:?} on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_connection_everything_is_said_again_over_that() {
    let app = Setup::new().deepgram(Config { max_streams: Some(1), ..talkative() }).start().await;
    let heard = break_in_speech(&app, []).await;
    oracle::assert_whole(&heard, CHUNKS);
    oracle::assert_billed(&app, CHUNKS).await;
    let refused = app.deepgram().requests().iter().filter(|it| it.status == 429).count();
    assert!((1..5).contains(&refused), "{refused} refusals");
    let streams = app.deepgram().streams();
    let last = streams.last().expect("a stream");
    assert_eq!(said(last), (0, CHUNKS * FRAMES_PER_CHUNK - 1), "all of it over one");
    let report = &heard.last().expect("the stop")["report"];
    assert_eq!(report["lost_ms"], 0, "{report}");
}

/// What cannot be made up for is a gap in its place; the finals that waited for it follow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_made_up_for_is_a_gap() {
    let app = Setup::new().deepgram(talkative()).start().await;
    let poison =
        Fault::at_audio(Duration::from_millis(500), Action::Close(1008, "DATA-0000".to_owned()));
    let heard = break_in_speech(&app, [vec![], vec![poison]]).await;
    let (from_ms, to_ms) = assert_but_a_gap(&app, &heard, "backfill_failed", CHUNKS).await;
    assert_eq!(from_ms, 0, "nothing was final before");
    assert!(to_ms >= HEARD.as_millis() as u64, "{to_ms}");
    assert!(oracle::named(&heard, "error").next().is_none(), "the session lives on");
}

/// Audio of many channels fills what is kept of it within seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_is_longer_than_what_is_kept_is_a_gap() {
    let app = Setup::new().deepgram(talkative()).start().await;
    let audio = NumberedAudio { bytes_per_second: 1_920_000, ..AUDIO };
    let mut socket = begin(&app, json!({ "channels": 20, "sample_rate": 48_000 })).await;
    let mut heard = talk(&mut socket, audio, 0..20).await;
    heard.extend(oracle::listen_raw(&mut socket, SOON, |it| it["is_final"] == true).await);
    app.deepgram().go_down();
    let away_since = Instant::now();
    // More than the 8 MiB that are kept; the rest waits until the oldest may be let go of.
    heard.extend(talk(&mut socket, audio, 20..95).await);
    let long_enough = async || away_since.elapsed() > Duration::from_secs(25);
    testkit::wait_until("a long outage", LONG, long_enough).await.expect("passed");
    app.deepgram().come_back().await.expect("back");
    heard.extend(talk(&mut socket, audio, 95..110).await);
    heard.extend(end(&mut socket).await);
    let (from_ms, to_ms) = assert_but_a_gap(&app, &heard, "provider_away", 110).await;
    assert!(from_ms >= 1_000 && to_ms <= 9_500, "{from_ms} to {to_ms}");
    let sessions = oracle::named(&heard, "session_started").count();
    assert_eq!(sessions, 1, "it lives on");
}

/// The provider answers pings and hears everything, but says nothing: that is noticed by the speech.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_ignores_speech_is_left() {
    let app = Setup::new().deepgram(talkative()).start().await;
    app.deepgram().plan(vec![Fault::at_audio(Duration::from_secs(2), Action::StopAnswering)]);
    let mut socket = begin(&app, json!({})).await;
    let (mut heard, mut said) = (Vec::new(), 0);
    while app.deepgram().streams().len() < 2 && said < 300 {
        heard.extend(talk(&mut socket, AUDIO, said..said + 5).await);
        said += 5;
    }
    heard.extend(end(&mut socket).await);
    oracle::assert_whole(&heard, said);
    oracle::assert_billed(&app, said).await;
    // Two seconds that were answered, one to be sure that it is speech, five of patience.
    assert!((70..200).contains(&said), "left after {said} chunks");
    assert_eq!(app.metric("upstream_failures_total", &[r#"reason="ignored""#]), 1);
    let first = &app.deepgram().streams()[0];
    assert_eq!((first.count_texts("Finalize"), first.pings > 0), (0, true), "it was not asked");
}

/// What a client had kept while it was away is made up for beside what it says now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_clients_backlog_does_not_hold_up_what_it_says_now() {
    let app = Setup::new().deepgram(talkative()).start().await;
    let mut socket = begin(&app, json!({})).await;
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "session_started").await;
    let started = heard.last().expect("started").clone();
    oracle::speak_raw(&mut socket, AUDIO, 0..2).await;
    oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "audio_ack").await;
    drop(socket);
    let mut socket = app.websocket().await;
    let resume = json!({
        "type": "resume", "session_id": started["session_id"],
        "resume_token": started["resume_token"], "next_seq": 60, "last_n": 0,
    });
    socket.send_json(&resume).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    let mut heard = oracle::listen_raw(&mut socket, SOON, answered).await;
    let resumed = heard.pop().expect("an answer");
    let next_seq = resumed["next_seq"].as_u64().expect("a number") as u32;
    oracle::speak_raw(&mut socket, AUDIO, next_seq..60).await;
    heard.extend(talk(&mut socket, AUDIO, 60..100).await);
    heard.extend(end(&mut socket).await);
    oracle::assert_whole(&heard, 100);
    oracle::assert_billed(&app, 100).await;
    let streams = app.deepgram().streams();
    let [.., one, other] = streams.as_slice() else { panic!("two connections") };
    let both = [said(one), said(other)];
    assert!(both.iter().any(|it| it.0 > 250), "one began with what was new: {both:?}");
    let (shown, told) = (first(&heard, false, 300), first(&heard, true, 280));
    assert!(shown.is_some() && shown < told, "shown at {shown:?}, finals from {told:?} on");
}
