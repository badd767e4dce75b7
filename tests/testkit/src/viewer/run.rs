//! The life of a viewer: it joins, hears, is lost, and joins again where it was.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::{Command, Watch};
use crate::history::{Event, Piece, Viewed, What};
use crate::line::{Heard, Line, PATIENCE};
use crate::seed::Dice;
use crate::wait::Watched;

const WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How often a sign of life is asked for.
const PING: Duration = Duration::from_millis(1500);

pub(super) struct Run {
    watch: Watch,
    history: Arc<Watched<Viewed>>,
    began: Instant,
    dice: Dice,
    address: usize,
    failures: u32,
    asked_wait: Duration,
    /// Where it goes on: a resume's payload. At first the room's beginning.
    place: Value,
}

impl Run {
    pub(super) fn new(watch: Watch, history: Arc<Watched<Viewed>>, began: Instant) -> Self {
        Self {
            history,
            began,
            dice: Dice::new(watch.seed),
            address: watch.first % watch.addresses.len(),
            failures: 0,
            asked_wait: Duration::ZERO,
            place: json!({ "epoch": 0, "offset": 0 }),
            watch,
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            match self.join().await {
                Ok(line) => self.listen(line, &mut commands).await,
                Err(error) => self.note(What::Refused(format!("{error:#}"))),
            }
            self.address = (self.address + 1) % self.watch.addresses.len();
            let doubled = WAIT * 2_u32.pow(self.failures.min(6));
            let wait = self.dice.up_to(doubled.min(LONGEST_WAIT)).max(self.asked_wait);
            self.asked_wait = Duration::ZERO;
            sleep(wait).await;
        }
    }

    async fn join(&mut self) -> anyhow::Result<Line> {
        let address = self.watch.addresses[self.address].clone();
        self.note(What::Dials(address.clone()));
        self.failures += 1;
        let mut line = Line::open(&address, &self.watch.token).await?;
        let ask = json!({ "type": "join", "room": self.watch.room, "resume": self.place });
        line.tell(&ask).await?;
        loop {
            match timeout(PATIENCE, line.hear()).await? {
                Heard::Told(told) if told["type"] == "joined" => {
                    self.joined(&told);
                    self.failures = 0;
                    return Ok(line);
                }
                Heard::Told(told) if told["type"] == "error" => anyhow::bail!("{told}"),
                Heard::Told(told) => self.hear(&told),
                Heard::Ended(how) => anyhow::bail!("{how}"),
            }
        }
    }

    fn joined(&mut self, told: &Value) {
        self.history.update(|history| {
            history.joins += 1;
            history.unrecovered += u64::from(told["recovered"] != true);
        });
        self.place["epoch"] = told["epoch"].clone();
        self.place["offset"] = told["offset"].clone();
        let mut told = told.clone();
        for said in told["snapshot"].as_array().into_iter().flatten() {
            self.hear(said);
        }
        told["snapshot"] = told["snapshot"].as_array().map_or(0, Vec::len).into();
        self.note(What::Told(told));
    }

    async fn listen(&mut self, mut line: Line, commands: &mut mpsc::Receiver<Command>) {
        let mut ping = interval(PING);
        loop {
            let dead_at = line.heard_at + self.watch.silence;
            tokio::select! {
                Some(Command::Doze(time)) = commands.recv() => {
                    sleep(time).await;
                    line.heard_at = Instant::now();
                }
                _ = ping.tick() => line.ping(),
                () = sleep_until(dead_at) => return self.note(What::Silence),
                heard = line.hear() => match heard {
                    Heard::Told(told) => self.hear(&told),
                    Heard::Ended(how) => return self.note(What::Lost(how)),
                },
            }
        }
    }

    fn hear(&mut self, told: &Value) {
        match told["type"].as_str().unwrap_or_default() {
            "transcription" | "gap" | "session_ended" => self.hear_text(told),
            "history_gap" => {
                self.history.update(|history| history.unrecovered += 1);
                self.note(What::Told(told.clone()));
            }
            "closing" => {
                let wait = told["reconnect_after_ms"].as_u64().unwrap_or(0);
                self.asked_wait = Duration::from_millis(wait).min(LONGEST_WAIT);
                self.note(What::Told(told.clone()));
            }
            "viewers" => {}
            _ => self.note(What::Told(told.clone())),
        }
    }

    fn hear_text(&mut self, told: &Value) {
        if told["offset"].is_u64() {
            for field in ["epoch", "offset", "session_id", "n"] {
                self.place[field] = told[field].clone();
            }
        }
        let at = self.began.elapsed();
        self.history.update(|history| {
            history.text_at.push(at);
            if let Some((session, piece)) = Piece::read(told) {
                history.tracks.entry(session).or_default().hear(piece);
            }
        });
    }

    fn note(&self, what: What) {
        let at = self.began.elapsed();
        self.history.update(|history| history.events.push(Event { at, what }));
    }
}
