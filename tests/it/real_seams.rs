//! Real speech whose socket is lost within a word, heard by the engine that only estimates times.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::{
    raw_ws::RawSocket,
    speech::{Wav, word_error_rate},
};
use tokio::time::{Instant, sleep_until};

use crate::{
    harness::{LONG, SOON, Setup, TestApp},
    oracle,
};

const CHUNK: Duration = Duration::from_millis(100);
const SAID: &str = "And so my fellow Americans ask not what your country can do for you ask what \
                    you can do for your country";
/// Seconds at which words are cut in two.
const CUTS: [&[f64]; 4] = [&[1.8], &[4.3, 8.9], &[5.9], &[6.8]];
/// Wrong words above those of a socket that is not lost: the engine hears utterances of other lengths,
/// and may take one word for another. Half a word alone costs two, its own and the other half.
const MORE: usize = 1;
/// A word that a pause of the client's cut in two. No pause is meant: a busy machine makes them.
const FOR_A_PAUSE: usize = 2;
/// Less than the time after which a final of audio that nothing follows is asked for.
const PAUSE: Duration = Duration::from_secs(1);
/// Less than the time for which a lost client is waited for.
const AWAY: Duration = Duration::from_secs(4);

/// A client whose sockets are lost at some moments, and who goes on at once.
struct Speaker {
    socket: RawSocket,
    started: Value,
    finals: BTreeMap<u64, String>,
    said: Instant,
    pauses: usize,
}

/// What came of a clip.
struct Recital {
    heard: String,
    /// How often the client was kept from speaking, or from coming back.
    pauses: usize,
}

impl Recital {
    fn wrong_words(&self) -> usize {
        let words = SAID.split(' ').count() as f64;
        (word_error_rate(SAID, &self.heard) * words).round() as usize
    }
}

impl Speaker {
    async fn begin(app: &TestApp) -> Self {
        let mut socket = app.websocket().await;
        let start = json!({ "type": "start_streaming", "encoding": "linear16" });
        socket.send_json(&start).await.expect("sent");
        let started = |it: &Value| it["type"] == "session_started";
        let started = socket.receive_until(SOON, started).await.expect("started");
        Self { socket, started, finals: BTreeMap::new(), said: Instant::now(), pauses: 0 }
    }

    async fn say(&mut self, chunk: &[u8]) {
        self.socket.send_binary(chunk).await.expect("sent");
        self.look(PAUSE);
    }

    /// Notes a pause, if it was long since anything was said.
    fn look(&mut self, pause: Duration) {
        let said = std::mem::replace(&mut self.said, Instant::now());
        self.pauses += usize::from(said.elapsed() >= pause);
    }

    fn note(&mut self, told: &Value) {
        assert_ne!(told["type"], "error", "{told}");
        if told["is_final"] == true {
            let text = told["transcript"].as_str().expect("text").to_owned();
            assert!(!text.is_empty(), "{told}");
            assert_eq!(self.finals.insert(told["n"].as_u64().expect("n"), text), None, "{told}");
        }
    }

    async fn hear_until(&mut self, due: Instant) {
        loop {
            tokio::select! {
                told = self.socket.receive_json(LONG) => self.note(&told.expect("connected")),
                () = sleep_until(due) => return,
            }
        }
    }

    async fn hear_for(&mut self, name: &str) -> Value {
        loop {
            let told = self.socket.receive_json(LONG).await.expect("connected");
            self.note(&told);
            if told["type"] == name {
                return told;
            }
        }
    }

    /// Loses the socket, and goes on over another; the chunk to go on with.
    async fn lose(&mut self, app: &TestApp, next_seq: usize) -> usize {
        self.socket = app.websocket().await;
        let resume = json!({
            "type": "resume",
            "session_id": self.started["session_id"],
            "resume_token": self.started["resume_token"],
            "next_seq": next_seq,
            "last_n": self.finals.last_key_value().map_or(0, |(n, _)| *n),
        });
        self.socket.send_json(&resume).await.expect("sent");
        let resumed = self.hear_for("session_resumed").await;
        self.look(AWAY);
        self.finals.split_off(&(resumed["last_n"].as_u64().expect("a number") + 1));
        resumed["next_seq"].as_u64().expect("a number") as usize
    }

    async fn finish(mut self) -> Recital {
        self.socket.send_json(&json!({ "type": "stop_streaming" })).await.expect("sent");
        let stopped = self.hear_for("streaming_stopped").await;
        assert_eq!(stopped["report"]["lost_ms"], 0, "{stopped}");
        let heard = self.finals.into_values().collect::<Vec<_>>().join(" ");
        Recital { heard, pauses: self.pauses }
    }
}

/// Says a clip at the pace of its speaker, and loses the socket at those seconds.
async fn recite(app: &TestApp, wav: &Wav, cuts: &[f64]) -> Recital {
    let chunks: Vec<_> = wav.chunks(CHUNK).collect();
    let mut cuts = cuts.iter().map(|second| (second * 10.0) as usize).peekable();
    let mut speaker = Speaker::begin(app).await;
    let (began, mut next, mut live) = (Instant::now(), 0, 0);
    while next < chunks.len() {
        if next == live {
            speaker.hear_until(began + CHUNK * live as u32).await;
            live += 1;
        }
        speaker.say(chunks[next]).await;
        next += 1;
        if cuts.next_if(|cut| *cut == next).is_some() {
            next = speaker.lose(app, next).await;
        }
    }
    speaker.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_is_cut_in_two_is_heard_whole() {
    let app = Setup::new().local().start().await;
    let wav = Wav::fixture("jfk.wav").expect("a clip");
    let (uncut, cut) = tokio::join!(
        recite(&app, &wav, &[]),
        join_all(CUTS.iter().map(|cuts| recite(&app, &wav, cuts)))
    );
    let least = uncut.wrong_words();
    for (cuts, recital) in CUTS.iter().zip(cut) {
        let (wrong, heard) = (recital.wrong_words(), &recital.heard);
        let most = least + MORE + FOR_A_PAUSE * recital.pauses;
        assert!(wrong <= most, "{wrong} words cut at {cuts:?}, {least} not: {heard}");
    }
}

/// A final that nobody was shown anything of would say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_has_no_final() {
    let app = Setup::new().with("USAGE_CHECKPOINT_SECONDS", "1").local().start().await;
    let mut speaker = Speaker::begin(&app).await;
    speaker.socket.send_binary([0; 16_000]).await.expect("sent");
    // Nothing follows, so that all of it is asked for.
    let acked = |it: &Value| it["type"] == "audio_ack" && it["acked_ms"] == 500;
    let mut heard = oracle::listen_raw(&mut speaker.socket, SOON, acked).await;
    oracle::stop_raw(&mut speaker.socket).await;
    heard.extend(oracle::until_stopped_raw(&mut speaker.socket, SOON).await);
    assert_eq!(oracle::named(&heard, "transcription").count(), 0, "{heard:?}");
}
