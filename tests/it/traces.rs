//! Spans of sampled sessions, as a collector receives them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{
    deepgram::{self, Script, Word},
    otlp::{Receiver, Span},
    process::Signal,
};

use crate::harness::{SOON, ServiceProcess, Setup, Speaker, TestApp, doors};

const CHUNKS: usize = 60;
/// A chunk's stages, in the order in which it goes through them.
const STAGES: [&str; 5] = ["received", "queued", "sent", "transcribed", "delivered"];
/// Every attribute that a span may have: numbers, ids and names from fixed sets.
const ATTRIBUTES: [&str; 12] = [
    "transcribe.chunk.bytes",
    "transcribe.chunk.delivered_unix_ns",
    "transcribe.chunk.end_ms",
    "transcribe.chunk.queued_unix_ns",
    "transcribe.chunk.received_unix_ns",
    "transcribe.chunk.sent_unix_ns",
    "transcribe.chunk.seq",
    "transcribe.chunk.transcribed_unix_ns",
    "transcribe.chunks",
    "transcribe.final.n",
    "transcribe.provider",
    "transcribe.session.id",
];

async fn traced(script: Script, ratio: &str) -> (TestApp, Receiver) {
    let collector = Receiver::start().await.expect("a collector");
    let setup = Setup::new().deepgram(deepgram::Config::speaking(script));
    let setup = setup.with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    (setup.with("OTEL_TRACES_SAMPLER_ARG", ratio).start().await, collector)
}

async fn session(app: &TestApp) -> Speaker {
    let mut speaker = Speaker::new(app.websocket().await, 1);
    speaker.say(CHUNKS as u32).await;
    speaker.finish().await;
    speaker
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn stage(span: &Span, name: &str) -> u64 {
    let attribute = format!("transcribe.chunk.{name}_unix_ns");
    let at = span.attributes.get(&attribute).and_then(Value::as_u64);
    at.unwrap_or_else(|| panic!("no {attribute}: {span:?}"))
}

/// Exactly one span a chunk, its stages in order, in a tree that points at the session's start.
fn assert_complete(spans: &[Span]) {
    let [start] = named(spans, "session.start")[..] else { panic!("one start: {spans:?}") };
    assert_eq!(start.resource["service.name"], "audio-transcription-api");
    assert_eq!(start.attributes["transcribe.provider"], "deepgram");
    let mut roots = BTreeMap::new();
    for root in named(spans, "utterance").into_iter().chain(named(spans, "silence")) {
        let [link] = &root.links[..] else { panic!("one link: {root:?}") };
        assert_eq!((&link.trace_id, &link.span_id), (&start.trace_id, &start.span_id));
        assert_eq!(root.parent_id, None);
        roots.insert((root.trace_id.clone(), root.span_id.clone()), (root, 0));
    }
    let chunks = named(spans, "audio.chunk");
    for chunk in &chunks {
        let parent = chunk.parent_id.clone().expect("a parent");
        let root = roots.get_mut(&(chunk.trace_id.clone(), parent));
        let (root, children) = root.expect("a root in the same trace");
        *children += 1;
        let times = STAGES.map(|name| stage(chunk, name));
        assert!(times.is_sorted() && times[0] > 0, "{times:?}");
        assert_eq!((chunk.start_ns, chunk.end_ns), (times[0], times[4]));
        assert!(root.start_ns <= chunk.start_ns && root.end_ns >= chunk.end_ns);
        assert_eq!(chunk.status.0, 0, "{chunk:?}");
    }
    let mut seqs: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk.attributes["transcribe.chunk.seq"].as_u64())
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..CHUNKS as u64).collect::<Vec<_>>(), "each chunk once");
    assert!(roots.values().all(|(root, children)| {
        *children > 0 && root.attributes["transcribe.chunks"].as_u64() == Some(*children)
    }));
}

/// Nothing that anybody said, nor with which credential, is in any span.
fn assert_discreet(spans: &[Span], secrets: &[&str]) {
    for span in spans {
        let names: BTreeSet<_> = span.attributes.keys().map(String::as_str).collect();
        assert!(names.is_subset(&ATTRIBUTES.into()), "{names:?}");
        assert!(span.events.is_empty() && span.links.iter().all(|link| link.attributes.is_empty()));
        let text = format!("{span:?}");
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_chunk_has_one_span_with_every_stage() {
    let (app, collector) = traced(Script::numbered_audio(), "1").await;
    let token = app.token();
    let speaker = session(&app).await;
    speaker.assert_whole();
    app.running.stop().await;
    let spans = collector.spans();
    assert_complete(&spans);
    let finals: BTreeSet<_> = named(&spans, "utterance")
        .iter()
        .map(|root| root.attributes["transcribe.final.n"].as_u64().expect("a number"))
        .collect();
    assert_eq!(finals, (1..=speaker.finals().len() as u64).collect(), "each final is a root");
    assert_discreet(&spans, &[&token, "f0001-0001", "test-deepgram-key"]);
}

/// Audio without words has no final to be delivered with, and is traced all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_traced_too() {
    let words = vec![Word::new("hello", 0.2, 0.6), Word::new("there", 0.7, 1.0)];
    let (app, collector) = traced(Script::words(words), "1").await;
    let finals = session(&app).await.finals().len();
    app.running.stop().await;
    let spans = collector.spans();
    assert_complete(&spans);
    assert!(!named(&spans, "silence").is_empty(), "{spans:?}");
    assert_eq!(named(&spans, "utterance").len(), finals);
    assert_discreet(&spans, &["hello", "there"]);
}

/// A client that goes away leaves no chunk without a span: those that nobody heard say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_delivered_says_so() {
    let (app, collector) = traced(Script::numbered_audio(), "1").await;
    let mut speaker = Speaker::new(app.websocket().await, 1);
    speaker.say(CHUNKS as u32).await;
    app.deepgram().wait_for_stream(SOON, |record| record.audio_bytes > 0).await.expect("heard");
    speaker.socket.reset().expect("gone");
    let metrics = app.running.app.metrics.clone();
    app.running.stop().await;
    let text = metrics.render().expect("metrics");
    let accepted = text.lines().find(|line| line.starts_with("audio_chunks_total"));
    let accepted = accepted.and_then(|line| line.rsplit(' ').next()).expect("a count");
    let spans = collector.spans();
    let chunks = named(&spans, "audio.chunk");
    assert_eq!(chunks.len().to_string(), accepted, "each chunk once");
    for chunk in &chunks {
        assert!(stage(chunk, "received") <= stage(chunk, "queued"));
        let delivered = chunk.attributes.contains_key("transcribe.chunk.delivered_unix_ns");
        assert_eq!(chunk.status.0 == 0, delivered, "{chunk:?}");
        let why = ["", "undelivered", "untranscribed"].contains(&chunk.status.1.as_str());
        assert!(why, "{chunk:?}");
    }
    assert!(chunks.iter().any(|chunk| chunk.status.0 == 2), "somebody was gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_not_sampled_makes_no_span() {
    let (app, collector) = traced(Script::numbered_audio(), "0").await;
    session(&app).await.assert_whole();
    app.running.stop().await;
    assert_eq!((collector.exports(), collector.spans()), (0, Vec::new()));
}

/// The names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    tasks.filter_map(name).map(|name| name.trim().to_owned()).collect()
}

async fn process(endpoint: Option<&str>) -> (ServiceProcess, deepgram::Simulator) {
    let script = Script::numbered_audio();
    let mut setup = Setup::new().deepgram(deepgram::Config::speaking(script));
    setup = setup.with("OTEL_TRACES_SAMPLER_ARG", "1");
    if let Some(endpoint) = endpoint {
        setup = setup.with("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    }
    let (variables, deepgram) = setup.variables().await;
    let process = ServiceProcess::start(&variables).await;
    (process, deepgram.expect("a simulator"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_endpoint_there_is_no_exporter() {
    let exporters = |process: &ServiceProcess| {
        let names = threads(process.guard.pid());
        names.iter().filter(|name| name.starts_with("OpenTelemetry")).count()
    };
    let (silent, _deepgram) = process(None).await;
    assert_eq!(exporters(&silent), 0, "{:?}", threads(silent.guard.pid()));
    let (telling, _deepgram) = process(Some("http://127.0.0.1:1")).await;
    assert_eq!(exporters(&telling), 1, "{:?}", threads(telling.guard.pid()));
}

/// A collector that is down, or that never answers, changes nothing for streams or the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_fails_holds_nobody_up() {
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hanging = format!("http://{}", hanging.local_addr().expect("an address"));
    for endpoint in ["http://127.0.0.1:1", &hanging] {
        let (mut process, _deepgram) = process(Some(endpoint)).await;
        let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
        let mut speaker = Speaker::new(socket, 1);
        speaker.say(CHUNKS as u32).await;
        speaker.finish().await;
        speaker.assert_whole();
        let told = Instant::now();
        process.guard.signal(Signal::Terminate).expect("told");
        let ended = process.guard.wait(SOON);
        let log = || format!("{:?}\n{}", threads(process.guard.pid()), process.log());
        let code = ended.unwrap_or_else(|error| panic!("{error}: {}", log()));
        assert_eq!(code, 0, "{}", process.log());
        println!("{endpoint}: exit after {:?}", told.elapsed());
        assert!(told.elapsed() < Duration::from_secs(6), "{:?}", told.elapsed());
    }
}
