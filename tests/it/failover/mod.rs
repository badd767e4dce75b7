//! A provider that fails while another of the line-up lives: every word still comes once, in its
//! place, billed under who heard it, and nobody is stormed.

mod outage;
#[cfg(feature = "local-speech")]
mod real;
mod refusals;
mod slots;

use std::{ops::Range, time::Duration};

use serde_json::{Value, json};
use testkit::{
    assemblyai::{self, Simulator},
    deepgram::{self, Door, Record, Refusal, Script},
    numbered::NumberedAudio,
    raw_ws::RawSocket,
};

use crate::{
    harness::{ASSEMBLYAI_KEY, Ledger, Setup, TestApp},
    oracle::{self, SOON, numbered},
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(1, 1);
/// A break, and what is made up for after it.
const RECOVERY: Duration = Duration::from_secs(30);
/// As often as anybody asks.
const ALWAYS: u32 = 100_000;

/// Finals every second, so that a replay is short.
fn brisk() -> deepgram::Config {
    deepgram::Config { longest_segment: Duration::from_secs(1), ..numbered() }
}

/// Deepgram first, AssemblyAI behind it.
async fn both(setup: impl FnOnce(Setup) -> Setup) -> (TestApp, Simulator) {
    let config = assemblyai::Config {
        keys: Some(vec![ASSEMBLYAI_KEY.to_owned()]),
        longest_turn: Duration::from_secs(1),
        ..assemblyai::Config::speaking(Script::numbered_audio())
    };
    let second = Simulator::start(config).await.expect("it starts");
    let pair = Setup::new().deepgram(brisk()).assemblyai(&second);
    let pair = pair.with("LIVE_FALLBACKS", "assemblyai").with("LIMIT_LIVE_SESSIONS", "unlimited");
    (setup(pair).start().await, second)
}

/// One client, and all that it heard.
struct Talk {
    socket: RawSocket,
    heard: Vec<Value>,
    said: u32,
}

impl Talk {
    async fn new(app: &TestApp) -> Self {
        Self { socket: app.websocket().await, heard: Vec::new(), said: 0 }
    }

    /// Speaks until something of it is final.
    async fn begin(app: &TestApp) -> Self {
        let mut talk = Self::new(app).await;
        talk.say(20).await;
        talk.until(|it| it["is_final"] == true).await;
        talk
    }

    async fn say(&mut self, chunks: u32) {
        let next: Range<u32> = self.said..self.said + chunks;
        oracle::speak_raw(&mut self.socket, AUDIO, next).await;
        self.said += chunks;
    }

    async fn until(&mut self, fits: impl Fn(&Value) -> bool) {
        let heard = oracle::listen_raw(&mut self.socket, RECOVERY, fits).await;
        self.heard.extend(heard);
    }

    /// Speaks until that provider has made a final.
    async fn until_heard_by(&mut self, provider: &str) {
        self.say(20).await;
        self.until(|it| it["is_final"] == true && it["provider"] == provider).await;
    }

    /// Stops, and looks whether everything was said once.
    async fn finish(mut self) -> Vec<Value> {
        oracle::stop_raw(&mut self.socket).await;
        self.until(|it| it["type"] == "streaming_stopped").await;
        oracle::assert_whole(&self.heard, self.said);
        assert_eq!(oracle::named(&self.heard, "gap").count(), 0);
        self.heard
    }

    fn started(&self) -> &Value {
        oracle::named(&self.heard, "session_started").next().expect("it started")
    }
}

/// Who made each final, told once for each that follows another.
fn providers(heard: &[Value]) -> Vec<String> {
    let named = oracle::finals(heard).into_iter();
    let mut names: Vec<_> =
        named.map(|text| text["provider"].as_str().expect("a provider").to_owned()).collect();
    names.dedup();
    names
}

/// What the one session's finals say is what the ledger says: each under who heard it.
async fn assert_billed_to(app: &TestApp, heard: &[Value], chunks: u32) {
    oracle::assert_billed(app, chunks).await;
    let query = "SELECT provider, model, range_start_ms, range_end_ms FROM usage_logs";
    let rows = Ledger(&app.database_url).rows::<(String, String, i64, i64)>(query).await;
    let rows = rows.expect("the ledger");
    for text in oracle::finals(heard) {
        let ms = |field: &str| text[field].as_i64().expect("ms");
        let overlaps = rows.iter().filter(|row| row.2 < ms("end_ms") && row.3 > ms("start_ms"));
        let by: Vec<_> = overlaps.map(|row| row.0.as_str()).collect();
        assert!(by.iter().all(|by| text["provider"] == *by), "{text} in {rows:?}");
    }
    for (provider, model, ..) in &rows {
        let expected =
            if provider == "deepgram" { "nova-2" } else { "universal-streaming-english" };
        assert_eq!(model, expected);
    }
}

fn failovers(app: &TestApp, outcome: &str) -> i64 {
    let labels = [r#"from="deepgram""#, r#"to="assemblyai""#, outcome];
    app.metric("provider_failovers_total", &labels)
}

/// Deepgram finds audio that it cannot decode, of which nothing is final yet.
async fn poison(app: &TestApp, talk: &mut Talk) {
    talk.say(7).await;
    let said_bytes = u64::from(talk.said) * 3_200;
    let has_it = |record: &Record| record.audio_bytes >= said_bytes;
    app.deepgram().wait_for_stream(SOON, has_it).await.expect("it has the audio");
    let reason = "DATA-0000 https://dpgr.am/data0000".to_owned();
    app.deepgram().inject(None, &deepgram::Action::Close(1008, reason));
}

/// Deepgram lets nobody in from now on, and the connections that are open break.
fn refuse_all(app: &TestApp, status: u16) {
    app.deepgram().refuse(Door::Live, ALWAYS, Refusal::of(status));
    app.deepgram().inject(None, &deepgram::Action::Drop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_dies_in_mid_stream_is_replaced() {
    let (app, second) = both(|setup| setup).await;
    let live = |provider: &str| app.metric("live_sessions", &[provider]);
    let mut talk = Talk::begin(&app).await;
    assert_eq!((live("deepgram"), live("assemblyai")), (1, 0));
    talk.say(7).await;
    app.deepgram().go_down();
    talk.until_heard_by("assemblyai").await;
    assert_eq!((live("deepgram"), live("assemblyai")), (0, 1), "it is counted where it is heard");
    talk.say(13).await;
    let chunks = talk.said;
    let heard = talk.finish().await;
    assert_eq!(providers(&heard), ["deepgram", "assemblyai"]);
    assert_billed_to(&app, &heard, chunks).await;
    assert!(failovers(&app, "attempted") >= 1);
    assert!(failovers(&app, "succeeded") >= 1);
    assert!(failovers(&app, "succeeded") <= failovers(&app, "attempted"));
    assert!(!second.sessions().is_empty());
    let left = async || app.metric("live_sessions", &[]) == 0;
    testkit::wait_until("the session to be over", SOON, left).await.expect("over");
    assert_eq!((live("deepgram"), live("assemblyai")), (0, 0));
    let ended = |provider| app.metric("live_sessions_ended_total", &[provider, "finished"]);
    assert_eq!((ended("deepgram"), ended("assemblyai")), (0, 1));
}

/// What works is not torn down; the next new connection is the first choice's again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_connection_goes_to_the_first_choice_again() {
    let (app, second) = both(|setup| setup).await;
    let mut talk = Talk::begin(&app).await;
    app.deepgram().go_down();
    talk.until_heard_by("assemblyai").await;
    app.deepgram().come_back().await.expect("back");
    talk.until_heard_by("assemblyai").await;
    assert_eq!(app.deepgram().streams().len(), 1, "nobody went back");
    second.inject(None, &assemblyai::Action::Drop);
    talk.until_heard_by("deepgram").await;
    let chunks = talk.said;
    let heard = talk.finish().await;
    assert_eq!(providers(&heard), ["deepgram", "assemblyai", "deepgram"]);
    assert_billed_to(&app, &heard, chunks).await;
}

/// It is open and says nothing: once may be chance, twice is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_nothing_twice_is_left() {
    let (app, _second) = both(|setup| setup).await;
    app.deepgram().plan_every(vec![deepgram::Fault::at_open(deepgram::Action::StopAnswering)]);
    let mut talk = Talk::new(&app).await;
    talk.say(30).await;
    talk.until(|it| it["is_final"] == true).await;
    let heard = talk.finish().await;
    assert_eq!(providers(&heard), ["assemblyai"]);
    assert_eq!(app.deepgram().streams().len(), 2);
    assert!(failovers(&app, "succeeded") >= 1);
}

/// The second knows six languages, and Japanese is none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lacks_the_language_is_not_asked() {
    let (app, second) = both(|setup| setup).await;
    let mut talk = Talk::new(&app).await;
    let start = json!({ "type": "start_streaming", "lang": "ja" });
    talk.socket.send_json(&start).await.expect("sent");
    talk.say(20).await;
    talk.until(|it| it["is_final"] == true).await;
    refuse_all(&app, 503);
    talk.say(20).await;
    let asked = |requests: &[deepgram::Request]| requests.len() > 4;
    app.deepgram().wait_for_requests(SOON, asked).await.expect("asked again");
    app.deepgram().clear_faults();
    let heard = talk.finish().await;
    assert_eq!(providers(&heard), ["deepgram"]);
    assert_eq!((second.sessions().len(), second.refused()), (0, 0));
}

/// The audio of one that had it and could not decode it goes to the other, and never to it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_goes_to_the_other_only() {
    let (app, second) = both(|setup| setup).await;
    let mut talk = Talk::begin(&app).await;
    poison(&app, &mut talk).await;
    talk.until_heard_by("assemblyai").await;
    let chunks = talk.said;
    let heard = talk.finish().await;
    assert_eq!(app.deepgram().requests().len(), 1, "the same bytes are not sent to it again");
    assert!(second.sessions().iter().any(|session| session.audio_bytes > 0));
    assert_billed_to(&app, &heard, chunks).await;
}

/// Whom the second cannot do without, what it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn language_and_key_terms_are_carried() {
    let (app, second) = both(|setup| setup).await;
    refuse_all(&app, 402);
    let mut talk = Talk::new(&app).await;
    let start = json!({ "type": "start_streaming", "lang": "es", "keyterm": ["Teruel"] });
    talk.socket.send_json(&start).await.expect("sent");
    talk.say(20).await;
    talk.finish().await;
    let session = second.sessions().into_iter().next().expect("a session");
    let told = format!("{:?}", session.query);
    assert!(told.contains("universal-streaming-multilingual") && told.contains("Teruel"), "{told}");
}

fn is_ended(record: &Record) -> bool {
    record.end.is_some()
}
