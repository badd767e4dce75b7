//! The stock client of npm as a speaker whom the judge understands.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;
use testkit::history::{Ack, Event, FRAMES_IN_CHUNK, Piece, Resumed, Session, Spoken, What};

use crate::harness::binary;

/// How it connects.
pub const TRANSPORTS: [&str; 2] = ["default", "polling"];

/// A running script. It is killed when this is dropped.
pub struct StockClient {
    child: Child,
    /// Open for as long as it is to speak.
    speaks: Option<ChildStdin>,
    history: Arc<Mutex<Spoken>>,
}

impl StockClient {
    /// Begins to speak at that address.
    pub fn start(url: &str, token: &str, transport: &str, (tenant, session): (u16, u16)) -> Self {
        let folder = format!("{}/tests/clients/socketio", env!("CARGO_MANIFEST_DIR"));
        binary::need(&format!("{folder}/node_modules/socket.io-client"), "tests/clients/setup");
        let mut command = Command::new(binary::need("node", "scripts/setup test"));
        command.current_dir(folder).args(["talk.mjs", url, token, transport]);
        command.args([tenant, session].map(|number| number.to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node starts");
        let spoken = Spoken { tenant, session, resumes: true, ..Spoken::default() };
        let (history, began) = (Arc::new(Mutex::new(spoken)), Instant::now());
        let (kept, stdout) = (Arc::clone(&history), child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let told: Value = serde_json::from_str(&line).unwrap_or_default();
                let mut history = kept.lock().unwrap_or_else(PoisonError::into_inner);
                live_through(&mut history, told, began.elapsed());
            }
        });
        Self { speaks: child.stdin.take(), child, history }
    }

    /// What it has lived through so far.
    pub fn history(&self) -> Spoken {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until its history fits.
    pub async fn wait(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Spoken) -> bool,
    ) -> anyhow::Result<()> {
        let waited = testkit::wait_until(what, deadline, async || fits(&self.history())).await;
        waited.with_context(|| self.history().story())
    }

    /// Ends its session in order; what it lived through.
    pub async fn finish(&mut self, deadline: Duration) -> anyhow::Result<Spoken> {
        drop(self.speaks.take());
        self.wait("the end", deadline, |spoken| spoken.over).await?;
        Ok(self.history())
    }
}

impl Drop for StockClient {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn live_through(history: &mut Spoken, told: Value, at: Duration) {
    match told["type"].as_str().unwrap_or_default() {
        "sent" => {
            let frames = told["chunks"].as_u64().unwrap_or(0) as u32 * FRAMES_IN_CHUNK;
            history.frames = history.frames.max(frames);
            if let Some(session) = history.sessions.last_mut() {
                session.sent_until = session.sent_until.max(frames);
            }
        }
        "transcription" | "gap" | "session_ended" => hear(history, &told, at),
        "audio_ack" => acknowledge(history, &told, at),
        name => {
            match name {
                "session_started" => begin(history, &told),
                "session_resumed" => resume(history, &told, at),
                "streaming_stopped" => {
                    if let Some(session) = history.sessions.last_mut() {
                        session.stopped = Some(told.clone());
                    }
                }
                "over" => history.over = true,
                _ => {}
            }
            let mut told = told;
            told.as_object_mut().map(|told| told.remove("resume_token"));
            history.events.push(Event { at, what: What::Told(told) });
        }
    }
}

fn hear(history: &mut Spoken, told: &Value, at: Duration) {
    history.text_at.push(at);
    let Some((id, piece)) = Piece::read(told) else { return };
    if let Some(session) = history.sessions.iter_mut().rev().find(|one| one.id == id) {
        session.track.hear(piece);
    }
}

fn acknowledge(history: &mut Spoken, told: &Value, at: Duration) {
    let Some(session) = history.sessions.last_mut() else { return };
    let acked_ms = told["acked_ms"].as_u64().unwrap_or(u64::MAX);
    let heard_ms = session.track.end_ms();
    session.acks.push(Ack { at, acked_ms, acked_seq: told["acked_seq"].as_u64(), heard_ms });
}

fn begin(history: &mut Spoken, told: &Value) {
    let id = told["session_id"].as_str().unwrap_or_default().to_owned();
    let room = told["room"].as_str().map(str::to_owned);
    history.sessions.push(Session { id, room, ..Session::default() });
}

fn resume(history: &mut Spoken, told: &Value, at: Duration) {
    let number = |field: &str| told[field].as_u64().unwrap_or(u64::MAX);
    let Some(session) = history.sessions.last_mut() else { return };
    let resumed = Resumed {
        at,
        next_seq: number("next_seq"),
        from_ms: number("from_ms"),
        last_n: number("last_n"),
        recovered: told["recovered"] == true,
        kept_seq: 0,
        acked_ms: session.acked_ms(),
    };
    session.track.void_after(resumed.last_n);
    session.resumed.push(resumed);
}

/// That clients which poll did, and those that may change over did.
pub fn used(spoken: &Spoken, transport: &str) -> anyhow::Result<()> {
    let lost = spoken.events.iter().filter_map(|event| match &event.what {
        What::Told(told) if told["type"] == "lost" => told["transport"].as_str(),
        _ => None,
    });
    let end = if transport == "polling" { "polling" } else { "websocket" };
    let ends: Vec<_> = lost.collect();
    let fits = if transport == "polling" {
        ends.iter().all(|name| *name == end)
    } else {
        ends.contains(&end)
    };
    ensure!(!ends.is_empty() && fits, "{transport} ended as {ends:?}: {}", spoken.story());
    Ok(())
}
