//! `/metrics` on the second port: text that Prometheus reads, and counters that move as they should.

use std::collections::BTreeMap;

use testkit::deepgram::{self, Script};

use crate::harness::{SOON, Setup, Speaker, TestApp};

/// One line: a name, its labels, its value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads the exposition format, strictly: every sample belongs to a family with a type.
fn parse(text: &str) -> Vec<Sample> {
    let mut types = BTreeMap::new();
    let mut samples = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name) = (words.next().expect("a kind"), words.next().expect("a name"));
            match kind {
                "TYPE" => {
                    let kind = words.next().expect("a type");
                    assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                    assert!(types.insert(name.to_owned(), kind).is_none(), "twice: {line}");
                }
                "HELP" => {}
                _ => panic!("{line}"),
            }
            continue;
        }
        let sample = parse_sample(line);
        let family = ["_bucket", "_sum", "_count", ""]
            .iter()
            .find_map(|suffix| types.get(sample.0.strip_suffix(suffix)?));
        assert!(family.is_some(), "no type: {line}");
        samples.push(sample);
    }
    samples
}

fn parse_sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().expect(line) };
    let Some((name, labels)) = series.split_once('{') else {
        return (series.to_owned(), BTreeMap::new(), value);
    };
    let labels = labels.strip_suffix('}').expect(line).split_terminator(',');
    let label = |label: &str| {
        let (key, value) = label.split_once('=').expect(line);
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (key.to_owned(), value.expect(line).to_owned())
    };
    (name.to_owned(), labels.map(label).collect(), value)
}

async fn scrape(app: &TestApp) -> Vec<Sample> {
    let address = app.running.metrics_address.expect("a second port");
    let url = format!("http://127.0.0.1:{}/metrics", address.port());
    let answer = reqwest::get(url).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    parse(&answer.text().await.expect("text"))
}

/// The sum of a series over labels that are not named.
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |(is, has, _): &&Sample| {
        is == name && labels.iter().all(|(key, value)| has.get(*key).is_some_and(|is| is == value))
    };
    samples.iter().filter(fits).map(|(_, _, value)| value).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_move_as_they_should() {
    let config = deepgram::Config::speaking(Script::numbered_audio());
    let app = Setup::new().deepgram(config).start().await;
    reqwest::get(format!("{}/nowhere/at/all", app.url())).await.expect("an answer");
    reqwest::get(format!("{}/health", app.url())).await.expect("an answer");
    let mut speaker = Speaker::new(app.websocket().await, 1);
    speaker.say(60).await;
    speaker.hear_ack(4_000).await;
    let during = scrape(&app).await;
    assert_count(&during, "live_sessions", &[("provider", "deepgram")], 1);
    assert_count(&during, "sockets", &[("door", "websocket")], 1);
    speaker.finish().await;
    speaker.socket.close(1000, "").await.expect("closed");
    let gone = async || value(&scrape(&app).await, "sockets", &[]) == 0.0;
    testkit::wait_until("the socket to be counted out", SOON, gone).await.expect("gone");
    assert!(crate::harness::doors::websocket(&app.url(), "forged").await.is_err());
    let written = async || value(&scrape(&app).await, "usage_pending", &[]) == 0.0;
    testkit::wait_until("usage to be written", SOON, written).await.expect("written");
    assert_counted(&scrape(&app).await, speaker.finals().len());
}

fn assert_counted(after: &[Sample], finals: usize) {
    let deepgram = ("provider", "deepgram");
    for (name, labels, count) in [
        ("audio_chunks_total", vec![("door", "websocket")], 60),
        ("audio_bytes_total", vec![("door", "websocket")], 60 * 3200),
        ("audio_dropped_total", vec![], 0),
        ("events_dropped_total", vec![("kind", "closing")], 0),
        ("live_sessions", vec![], 0),
        ("live_sessions_ended_total", vec![deepgram, ("outcome", "finished")], 1),
        ("transcripts_total", vec![("kind", "final")], finals),
        ("upstream_connects_total", vec![deepgram, ("outcome", "opened")], 1),
        ("upstream_failures_total", vec![], 0),
        ("final_latency_ms_count", vec![deepgram], finals),
        ("final_latency_ms_bucket", vec![deepgram, ("le", "+Inf")], finals),
        ("authentications_total", vec![("type", "development"), ("outcome", "ok")], 1),
        ("authentications_total", vec![("outcome", "unauthenticated")], 1),
        ("sockets_refused_total", vec![("reason", "unauthenticated")], 1),
        ("usage_rows_total", vec![("outcome", "lost")], 0),
        ("http_requests_total", vec![("route", "/health"), ("status", "200")], 1),
        ("http_requests_total", vec![("route", "unmatched"), ("status", "404")], 1),
        ("http_requests_total", vec![("route", "/audio-stream"), ("status", "101")], 1),
        ("http_requests_total", vec![("route", "/audio-stream"), ("status", "401")], 1),
    ] {
        assert_count(after, name, &labels, count);
    }
    assert!(value(after, "usage_rows_total", &[("outcome", "inserted")]) >= 1.0);
    assert!(value(after, "transcripts_total", &[("kind", "interim")]) >= 1.0);
}

fn assert_count(samples: &[Sample], name: &str, labels: &[(&str, &str)], count: usize) {
    let is = value(samples, name, labels);
    assert!((is - count as f64).abs() < 0.5, "{name} {labels:?} is {is}, not {count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_port_can_be_off_and_the_first_tells_no_metrics() {
    let app = Setup::new().with("METRICS_PORT", "off").start().await;
    assert_eq!(app.running.metrics_address, None);
    let answer = reqwest::get(format!("{}/metrics", app.url())).await.expect("an answer");
    assert_eq!(answer.status(), 404);
}
