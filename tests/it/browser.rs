//! The live page in a real browser, whose microphone hears recorded speech, against the service.

use std::{path::Path, time::Duration};

use testkit::{
    deepgram,
    numbered::{Mark, NumberedAudio},
    speech,
};
use tokio::process::Command;

use crate::{
    harness::{SOON, ServiceProcess, Setup, TestApp, binary},
    oracle,
};

const SETUP: &str = "scripts/setup test";
/// How long the scenarios may take on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(150);

/// Runs some scenarios of `tests/clients/browser`; what they printed.
async fn scenarios(app: &TestApp, names: &str) -> String {
    let address = format!("{}/app/#token={}", app.url(), app.token());
    visit(&address, &speech::fixture_path("jfk.wav"), &["--only", names]).await
}

async fn visit(address: &str, wav: &Path, arguments: &[&str]) -> String {
    let node = binary::need("node", SETUP);
    binary::need("ffmpeg", SETUP);
    if std::env::var_os("CHROMIUM").is_none() {
        binary::need("/usr/bin/chromium", SETUP);
    }
    let folder = format!("{}/tests/clients/browser", env!("CARGO_MANIFEST_DIR"));
    binary::need(&format!("{folder}/node_modules/playwright-core"), "tests/clients/setup");
    let mut command = Command::new(node);
    // Node.js before 22 has its WebSocket behind this.
    command
        .args(["--experimental-websocket", "live_page.mjs"])
        .arg(address)
        .arg(wav)
        .args(arguments)
        .current_dir(folder);
    let finished = binary::run(command, DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    finished.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_speaks_and_reads_their_words() {
    let app = Setup::new().local().start().await;
    println!("{}", scenarios(&app, "microphone").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_loses_no_word() {
    let app = Setup::new().local().start().await;
    println!("{}", scenarios(&app, "lost").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_read_along() {
    let app = Setup::new().local().start().await;
    println!("{}", scenarios(&app, "room").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_keeps_a_person_from_speaking_is_explained() {
    let app = Setup::new().local().start().await;
    println!("{}", scenarios(&app, "denied,insecure,token").await);
}

/// What all replicas know; development tokens are known to one process only.
const KEY: &str = "every-replica-takes-this-key";

/// Three replicas as processes of their own: the scenarios kill one and drain another.
async fn replicas(setup: Setup) -> (Vec<ServiceProcess>, Option<deepgram::Simulator>) {
    let setup = setup.with("DRAIN_SECONDS", "8").with("API_KEY", KEY);
    let (variables, deepgram) = setup.variables().await;
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let process = ServiceProcess::start(&variables).await;
        process.wait_for_status("/ready", 200, SOON).await;
        replicas.push(process);
    }
    (replicas, deepgram)
}

async fn disturb(replicas: &[ServiceProcess], wav: &Path, arguments: &[&str]) -> String {
    let address = format!("{}/app/#token={KEY}", replicas[0].url());
    let named = replicas.iter().map(|one| format!("--replica={},{}", one.url(), one.guard.pid()));
    let named: Vec<String> = named.collect();
    let arguments: Vec<&str> =
        named.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
    visit(&address, wav, &arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_speaks_on_whatever_becomes_of_network_and_replica() {
    let (replicas, _) = replicas(Setup::new().local()).await;
    println!("{}", disturb(&replicas, &speech::fixture_path("jfk.wav"), &[]).await);
}

/// Ten seconds of audio in which each 20 ms says which they are.
const FRAMES: u32 = 500;
const NUMBERED: NumberedAudio = NumberedAudio::linear16(1, 1);

fn word(number: u32) -> String {
    Mark { tenant: NUMBERED.tenant, session: NUMBERED.session, number }.word()
}

/// 16 kHz mono PCM16 as a WAV file.
fn wav_file(pcm: &[u8]) -> Vec<u8> {
    let length = u32::try_from(pcm.len()).expect("a short file");
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(16_000_u32.to_le_bytes());
    file.extend(32_000_u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(length.to_le_bytes());
    file.extend(pcm);
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_says_every_frame_once_whatever_becomes_of_network_and_replica() {
    let config = deepgram::Config { longest_segment: Duration::from_secs(1), ..oracle::numbered() };
    let (replicas, _deepgram) = replicas(Setup::new().deepgram(config)).await;
    let words: Vec<String> = (0..FRAMES).map(word).collect();
    let wav = std::env::temp_dir().join(format!("numbered-{}.wav", uuid::Uuid::new_v4().simple()));
    std::fs::write(&wav, wav_file(&NUMBERED.frames(0, FRAMES))).expect("written");
    let said = disturb(&replicas, &wav, &["--exact", "--expect", &words.join(" ")]).await;
    std::fs::remove_file(&wav).expect("it is there");
    println!("{said}");
}
