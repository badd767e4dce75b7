//! The real process killed, and told to stop, while somebody speaks.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{
    deepgram::{self, Action, Fault, Script, Simulator},
    numbered::NumberedAudio,
    process::Signal,
    raw_ws::Received,
    speech::Pace,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{Ledger, SOON, ServiceProcess, Setup, Speaker, billed_once, doors};

/// A process with a Deepgram that gives a final every second, and the database's address.
async fn start(more: &[(&str, &str)]) -> (ServiceProcess, Simulator, String) {
    let config = deepgram::Config {
        longest_segment: Duration::from_secs(1),
        ..deepgram::Config::speaking(Script::numbered_audio())
    };
    let mut setup = Setup::new().deepgram(config);
    for (name, value) in more {
        setup = setup.with(name, *value);
    }
    let (variables, deepgram) = setup.variables().await;
    let process = ServiceProcess::start(&variables).await;
    process.wait_for_status("/ready", 200, SOON).await;
    (process, deepgram.expect("a simulator"), variables["DATABASE_URL"].clone())
}

async fn speaker(process: &ServiceProcess) -> Speaker {
    let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
    Speaker::new(socket, 1)
}

/// A kill loses at most one checkpoint and never bills what was not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_stream() {
    let (mut process, deepgram, url) = start(&[]).await;
    let mut speaker = speaker(&process).await;
    let mut pace = Pace::new(Duration::from_millis(100), 1.0);
    while speaker.said_ms() < 6_000 {
        pace.beat().await;
        speaker.say(1).await;
        speaker.catch_up().await;
    }
    let killed = Instant::now();
    process.guard.kill().expect("killed");
    let ranges = Ledger(&url).ranges().await;
    let billed = billed_once(&ranges);
    // A checkpoint is due every second; the rest is for a machine that is busy with other tests.
    let due = speaker.covered_ms(killed.checked_sub(Duration::from_secs(3)).expect("a time"));
    println!(
        "{} ms said, {} acknowledged, {due} due, {billed} billed in {ranges:?}",
        speaker.said_ms(),
        speaker.acked_ms()
    );
    assert!(due > 0 && billed >= due, "{due} ms were due, {billed} are billed");
    assert!(billed >= speaker.acked_ms(), "what was acknowledged is billed");
    assert!(billed <= speaker.said_ms(), "no more is billed than was said");
    serves_again(&url, &deepgram, billed).await;
}

/// Usage that was durable when its owner died is not yet known to be so where the session goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_not_taken_back() {
    let config = deepgram::Config {
        longest_segment: Duration::from_secs(1),
        ..deepgram::Config::speaking(Script::numbered_audio())
    };
    let (variables, _deepgram) = Setup::new().deepgram(config).variables().await;
    let mut owner = ServiceProcess::start(&variables).await;
    let next = ServiceProcess::start(&variables).await;
    let mut first = speaker(&owner).await;
    first.socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
    let started = first.hear_until(|told| told["type"] == "session_started").await;
    for (chunks, acked_ms) in [(11, 1_000), (11, 2_000)] {
        first.say(chunks).await;
        first.hear_ack(acked_ms).await;
    }
    owner.guard.kill().expect("killed");
    let mut second = speaker(&next).await;
    let resume = json!({
        "type": "resume",
        "session_id": started["session_id"],
        "resume_token": started["resume_token"],
        "next_seq": 22,
        "last_n": first.finals().last().expect("a final")["n"],
    });
    second.socket.send_json(&resume).await.expect("sent");
    second.hear_until(|told| told["type"] == "session_resumed").await;
    let audio = NumberedAudio::linear16(1, 1);
    // It had told two seconds, so that the third is what it goes on with.
    second.socket.send_binary(audio.frames(100, 100)).await.expect("sent");
    second.hear_ack(3_000).await;
    let acks = second.messages.iter().filter_map(|told| told["acked_ms"].as_i64());
    let acks: Vec<_> = acks.collect();
    assert!(acks.iter().all(|acked_ms| *acked_ms >= first.acked_ms()), "{acks:?}");
}

/// Another process on the same database serves, and leaves the old rows as they are.
async fn serves_again(url: &str, deepgram: &Simulator, billed_before: i64) {
    let (mut variables, _) = Setup::on(url, &crate::harness::redis_url())
        .deepgram(deepgram::Config::default())
        .variables()
        .await;
    variables.insert("DEEPGRAM_BASE_URL".into(), deepgram.base_url());
    let process = ServiceProcess::start(&variables).await;
    process.wait_for_status("/ready", 200, SOON).await;
    let mut speaker = speaker(&process).await;
    speaker.say(10).await;
    speaker.finish().await;
    speaker.assert_whole();
    let whole = billed_before + speaker.said_ms();
    let query = "SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs";
    let billed = async || {
        let sum: Result<Vec<(Option<i64>,)>, _> = Ledger(url).rows(query).await;
        sum.is_ok_and(|sum| sum == [(Some(whole),)])
    };
    testkit::wait_until("the new session to be billed", SOON, billed).await.expect("billed");
}

/// SIGTERM: the last words are delivered, the usage is written, the exit code is 0.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_in_mid_stream() {
    // No checkpoint comes by itself.
    let (mut process, _deepgram, url) =
        start(&[("DRAIN_SECONDS", "10"), ("USAGE_CHECKPOINT_SECONDS", "300")]).await;
    let mut speaker = speaker(&process).await;
    speaker.say(25).await;
    speaker.hear_final().await;
    let told = Instant::now();
    process.guard.signal(Signal::Terminate).expect("told");
    let end = speaker.hear_out().await;
    let code = process.guard.wait(SOON).expect("it ended");
    println!("exit {code} after {:?}", told.elapsed());
    assert_eq!(code, 0, "{}", process.log());
    assert!(told.elapsed() < Duration::from_secs(10));
    speaker.assert_whole();
    let last = speaker.messages.iter().rev().take(2).map(|message| message["type"].clone());
    assert_eq!(last.collect::<Vec<_>>(), ["closing", "streaming_stopped"]);
    assert!(speaker.messages.last().expect("a notice")["reconnect"] == true);
    assert!(matches!(end, Received::Closed(4000..=4499, _)), "{end:?}");
    Ledger(&url).wait_for(speaker.said_ms(), SOON).await;
}

/// A session that cannot end: the replica answers and refuses meanwhile, and stops at its limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_at_its_limit_with_what_was_covered_billed() {
    let (mut process, deepgram, url) =
        start(&[("DRAIN_SECONDS", "3"), ("USAGE_CHECKPOINT_SECONDS", "300")]).await;
    deepgram.plan(vec![Fault::at_close_stream(Action::IgnoreCloseStream)]);
    let mut speaker = speaker(&process).await;
    speaker.say(25).await;
    let covered = speaker.hear_until(|message| message["n"] == 2 && message["is_final"] == true);
    let covered_ms = covered.await["end_ms"].as_i64().expect("an end");
    let token = process.token();
    let told = Instant::now();
    process.guard.signal(Signal::Terminate).expect("told");
    process.wait_for_status("/ready", 503, SOON).await;
    assert_eq!(process.status("/health").await, Some(200));
    let refused = doors::websocket(&process.url(), &token).await.expect_err("refused");
    let refused = refused.downcast_ref::<testkit::raw_ws::Refused>().expect("an answer");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert!(refused.body.contains("shutting_down"), "{refused}");
    assert!(doors::socketio(&process.url(), &token).await.is_err());
    let code = process.guard.wait(SOON).expect("it ended");
    println!("exit {code} after {:?}", told.elapsed());
    assert_eq!(code, 0, "{}", process.log());
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
    Ledger(&url).wait_for(covered_ms, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() {
    let (mut process, deepgram, _url) = start(&[("DRAIN_SECONDS", "60")]).await;
    deepgram.plan(vec![Fault::at_close_stream(Action::IgnoreCloseStream)]);
    let mut speaker = speaker(&process).await;
    speaker.say(15).await;
    speaker.hear_final().await;
    process.guard.signal(Signal::Interrupt).expect("told");
    process.wait_for_status("/ready", 503, SOON).await;
    let told = Instant::now();
    process.guard.signal(Signal::Terminate).expect("told again");
    let code = process.guard.wait(SOON).expect("it ended");
    println!("exit {code} after {:?}", told.elapsed());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    assert_eq!(code, 1, "it says that it was cut short");
    assert!(process.log().contains("a second signal stopped the drain"), "{}", process.log());
}

/// Without sessions there is nothing to wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_replica_stops_soon() {
    let (mut process, _deepgram, _url) = start(&[]).await;
    let token = process.token();
    let (mut idle, _) = doors::socketio(&process.url(), &token).await.expect("in");
    let told = Instant::now();
    process.guard.signal(Signal::Terminate).expect("told");
    let (events, _end) = idle.drain(SOON).await.expect("an end");
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("closing"));
    assert_eq!(process.guard.wait(SOON).expect("it ended"), 0, "{}", process.log());
    println!("exit after {:?}", told.elapsed());
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}

/// A herd that comes back while a replica is held up waits in its queue: no connect is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_waits_for_a_replica_that_is_held_up() {
    const HERD: usize = 600;
    let (process, _deepgram, _url) = start(&[]).await;
    process.guard.signal(Signal::Stop).expect("frozen");
    let mut herd = Vec::with_capacity(HERD);
    for _ in 0..HERD {
        let connecting = TcpStream::connect(("127.0.0.1", process.port));
        let connected = timeout(Duration::from_secs(1), connecting).await;
        herd.push(connected.expect("a place in the queue").expect("connected"));
    }
    process.guard.signal(Signal::Continue).expect("thawed");
    for stream in &mut herd {
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await.expect("sent");
    }
    for mut stream in herd {
        let mut line = [0; 12];
        let answered = timeout(SOON, stream.read_exact(&mut line)).await;
        answered.expect("in time").expect("an answer");
        assert_eq!(&line[9..], b"200");
    }
}
