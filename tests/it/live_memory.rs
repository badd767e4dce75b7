//! What misbehaving clients may cost a replica: memory within a budget, measured on the real binary.

use std::{ops::Range, time::Duration};

use serde_json::json;
use testkit::{
    deepgram::{Action, Config, Fault, Record, Simulator},
    numbered::NumberedAudio,
    socketio,
};

use crate::{
    harness::{LONG, ServiceProcess, Setup, doors},
    oracle::{self, SOON, numbered},
};

const MIB: u64 = 1024 * 1024;
const CLIENTS: u16 = 8;
/// A busy machine is slow, but who waits for somebody else waits for twenty seconds and more.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn replica(config: Config) -> (ServiceProcess, Simulator) {
    let (variables, deepgram) = Setup::new().deepgram(config).variables().await;
    let service = ServiceProcess::start(&variables).await;
    (service, deepgram.expect("a simulator"))
}

/// Resident memory in bytes.
fn resident(service: &ServiceProcess) -> u64 {
    let path = format!("/proc/{}/status", service.guard.pid());
    let status = std::fs::read_to_string(path).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") * 1024
}

fn assert_within(service: &ServiceProcess, before: u64, budget: u64) {
    let grown = resident(service).saturating_sub(before);
    assert!(grown < budget, "grown by {} MiB of {} MiB", grown / MIB, budget / MIB);
}

/// Someone else is served at once.
async fn assert_served(service: &ServiceProcess) {
    let (url, token) = (service.url(), service.token());
    let admitted = tokio::time::timeout(AT_ONCE, doors::socketio(&url, &token)).await;
    let admitted = admitted.expect("at once");
    let (client, _) = admitted.expect("admitted");
    client.disconnect().await.expect("left");
}

/// Says more without reading; whether it was cut off.
async fn is_cut(client: &mut socketio::Client, session: u16, chunks: Range<u32>) -> bool {
    let audio = NumberedAudio { tenant: 1, session, bytes_per_second: 8000 };
    for number in chunks {
        let chunk = oracle::chunk(audio, number);
        if client.emit_binary("audio_chunk", &[&chunk]).await.is_err() {
            return true;
        }
    }
    false
}

/// Speaks until everybody is cut off, and no faster than is heard: nobody has anything to say to what
/// was refused.
async fn ignore_everything(mut speakers: Vec<(u16, socketio::Client)>, deepgram: &Simulator) {
    let mut said = 0;
    while !speakers.is_empty() {
        assert!(said < 18_000, "half an hour of speech, and nobody minds");
        for (session, mut client) in std::mem::take(&mut speakers) {
            if !is_cut(&mut client, session, said..said + 100).await {
                speakers.push((session, client));
            }
        }
        said += 100;
        let heard = |record: &Record| {
            record.end.is_some() || record.heard.as_millis() >= u128::from(said) * 100
        };
        let all = |records: &[Record]| records.iter().all(heard);
        deepgram.wait_for(LONG, all).await.expect("heard");
    }
}

/// Half an hour of speech each, of whose words nobody reads any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_do_not_read() {
    let longest_segment = Duration::from_millis(100);
    let config = Config { longest_segment, kept_audio_bytes: 0, kept_entries: 0, ..numbered() };
    let (service, deepgram) = replica(config).await;
    let before = resident(&service);
    let mut speakers = Vec::new();
    let mulaw = json!({ "encoding": "mulaw", "sample_rate": 8000 });
    for session in 0..CLIENTS {
        let (mut client, _) =
            doors::socketio(&service.url(), &service.token()).await.expect("admitted");
        client.emit("start_streaming", std::slice::from_ref(&mulaw)).await.expect("sent");
        speakers.push((session, client));
    }
    ignore_everything(speakers, &deepgram).await;
    assert_within(&service, before, 40 * MIB);
    assert_served(&service).await;
    let ended = async || deepgram.open_streams() == 0;
    testkit::wait_until("the streams to be closed", SOON, ended).await.expect("closed");
}

/// Minutes of audio each at once, to a provider that reads nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_do_not_wait() {
    let (service, deepgram) = replica(numbered()).await;
    deepgram.plan_every(vec![Fault::at_open(Action::StopReading)]);
    let before = resident(&service);
    let mut clients = Vec::new();
    for session in 0..CLIENTS {
        let (mut client, _) =
            doors::socketio(&service.url(), &service.token()).await.expect("admitted");
        let audio = NumberedAudio::linear16(1, session);
        for second in 0..200 {
            let bytes = audio.frames(second * 50, 50);
            client.emit_binary("audio_chunk", &[&bytes]).await.expect("sent");
        }
        clients.push(client);
    }
    for client in &mut clients {
        let told = oracle::listen(client, SOON, |event| event["type"] == "error").await;
        assert_eq!(told.last().expect("an error")["code"], "overloaded");
    }
    // A minute of audio each, and what the kernel and the allocator add.
    assert_within(&service, before, u64::from(CLIENTS) * 4 * MIB + 20 * MIB);
    assert_served(&service).await;
    drop(clients);
}

/// Messages that are begun and never ended, as large as they may become.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_an_end() {
    let (service, _deepgram) = replica(numbered()).await;
    let before = resident(&service);
    let mut fragment = vec![0x02, 0x80 | 0x7E, 0xEA, 0x60, 0, 0, 0, 0];
    fragment.resize(8 + 60_000, 1);
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        let (mut raw, _) =
            doors::websocket(&service.url(), &service.token()).await.expect("admitted");
        let (mut client, _) =
            doors::socketio(&service.url(), &service.token()).await.expect("admitted");
        for number in 0..16 {
            fragment[0] = if number == 0 { 0x02 } else { 0x00 };
            raw.send_raw_bytes(&fragment).await.expect("sent");
            client.socket().send_raw_bytes(&fragment).await.expect("sent");
        }
        sockets.push((raw, client));
    }
    assert_served(&service).await;
    assert_within(&service, before, 2 * u64::from(CLIENTS) * 2 * MIB + 10 * MIB);
    drop(sockets);
}
