//! What a caller makes of what it is told.

use std::time::Duration;

use serde_json::{Value, json};

use super::kept::{CHUNK_MS, Kept};
use super::run::{Phase, Run};
use crate::history::{Ack, Arrival, Piece, Resumed, Session, What};
use crate::numbered::{FRAME_MS, Mark};

impl Run {
    /// What it asks of a fresh socket: its session back, or a new one.
    pub(super) fn ask(&self) -> Value {
        if self.phase == Phase::None {
            let mut ask = self.plan.start.clone();
            ask["type"] = "start_streaming".into();
            return ask;
        }
        let mut ask = self.ticket.clone();
        ask["type"] = "resume".into();
        ask["next_seq"] = self.kept.spoken.into();
        let (last_n, acked) = self.history.read(|history| {
            let session = history.current();
            let acked = session.and_then(|session| session.acks.last()?.acked_seq);
            (session.map_or(0, |session| session.track.last_n()), acked)
        });
        ask["last_n"] = last_n.into();
        if self.kept.first > acked.map_or(0, |acked| acked + 1) {
            ask["first_seq"] = self.kept.first.into();
            ask["first_ms"] = self.kept.oldest_ms().into();
        }
        ask
    }

    /// Puts what no session has said into the buffer of the next one.
    pub(super) fn begin_anew(&mut self) {
        let bound = self.plan.keeps.as_millis() as u64 / CHUNK_MS;
        let (spoken, said, sent) = self.history.read(|history| {
            let current = history.current();
            let sent = current.map_or(0, |session| session.sent_until);
            (history.frames, current.map_or(0, unsaid_frame), sent)
        });
        let keeps = self.plan.resumes || sent == 0;
        self.wanted = if keeps { said } else { sent };
        let origin = if keeps { said.max(self.kept.oldest()) } else { spoken };
        self.kept = Kept::new(origin, spoken, bound);
    }

    fn started(&mut self, told: &Value) {
        let bound = self.plan.keeps.as_millis() as u64 / CHUNK_MS;
        let id = told["session_id"].as_str().unwrap_or_default().to_owned();
        let room = told["room"].as_str().map(str::to_owned);
        let (origin, wanted) = (self.kept.oldest(), self.wanted);
        self.kept = self.history.update(|history| {
            if origin > wanted {
                history.dropped.push(wanted..origin);
            }
            let session = Session { id, room, origin, sent_until: origin, ..Session::default() };
            history.sessions.push(session);
            Kept::new(origin, history.frames, bound)
        });
    }

    fn resumed(&mut self, told: &Value) {
        let number = |field: &str| told[field].as_u64().unwrap_or(u64::MAX);
        let acked_ms = self.history.read(|history| history.current().map(Session::acked_ms));
        let resumed = Resumed {
            at: self.now(),
            next_seq: number("next_seq"),
            from_ms: number("from_ms"),
            last_n: number("last_n"),
            recovered: told["recovered"] == true,
            kept_seq: self.kept.first,
            acked_ms: acked_ms.unwrap_or(0),
        };
        self.kept.rewind(resumed.next_seq);
        self.history.update(|history| {
            if let Some(session) = history.sessions.last_mut() {
                session.track.void_after(resumed.last_n);
                session.resumed.push(resumed);
            }
        });
    }

    /// The service said yes.
    pub(super) fn answered(&mut self, told: &Value) {
        // The end of a session that was stopped is told again.
        let stopped = told["stopped"] == true;
        self.phase = if stopped { Phase::Stopping } else { Phase::Running };
        let began = told["type"] == "session_started";
        if told["resume_token"].is_string() {
            self.ticket =
                json!({ "session_id": told["session_id"], "resume_token": told["resume_token"] });
        } else if began {
            self.ticket = Value::Null;
        }
        if began {
            self.started(told);
        } else {
            self.resumed(told);
        }
    }

    /// The service said no.
    pub(super) fn refused(&mut self, told: &Value) {
        let wait = told["retry_after_ms"].as_u64().or_else(|| told["reconnect_after_ms"].as_u64());
        self.asked_wait = Duration::from_millis(wait.unwrap_or(0)).min(Duration::from_secs(2));
        let retryable = told["retryable"] == true || told["reconnect"] == true;
        if retryable || self.phase == Phase::None {
            self.next_address();
        } else if self.moving {
            // It stays where it is.
            self.moving = false;
        } else {
            // That session cannot be had back.
            self.leave_session();
        }
        self.over |= told["type"] == "closing" && told["reconnect"] == false;
    }

    /// Takes in an event of its socket.
    pub(super) fn listen(&mut self, told: Value) {
        match told["type"].as_str().unwrap_or_default() {
            "transcription" | "gap" | "session_ended" => self.hear_text(&told),
            "audio_ack" => self.hear_ack(&told),
            name => {
                let name = name.to_owned();
                self.note(What::Told(told.clone()));
                self.hear_notice(&name, &told);
            }
        }
    }

    fn hear_text(&mut self, told: &Value) {
        self.failures = 0;
        let (at, piece) = (self.now(), Piece::read(told));
        self.history.update(|history| {
            history.text_at.push(at);
            let Some((id, piece)) = piece else { return };
            if let Some(session) = history.sessions.iter_mut().rev().find(|one| one.id == id) {
                let is_news = !session.track.pieces.contains_key(&piece.n);
                let until_frame = session.origin + (piece.to_ms / FRAME_MS) as u32;
                if is_news && !piece.words().is_empty() {
                    history.finals.push(Arrival { at, until_frame });
                }
                session.track.hear(piece);
            }
        });
    }

    fn hear_ack(&mut self, told: &Value) {
        let (at, acked_seq) = (self.now(), told["acked_seq"].as_u64());
        let acked_ms = told["acked_ms"].as_u64().unwrap_or(u64::MAX);
        let id = told["session_id"].as_str().unwrap_or_default();
        let (current, whole) = self.history.update(|history| {
            let Some(session) = history.sessions.last_mut().filter(|one| one.id == id) else {
                return (false, false);
            };
            let heard_ms = session.track.end_ms();
            session.acks.push(Ack { at, acked_ms, acked_seq, heard_ms });
            (true, acked_ms >= heard_ms)
        });
        if let (true, Some(seq)) = (current, acked_seq) {
            self.kept.acknowledge(seq);
        }
        self.over |= self.phase == Phase::Stopped && whole;
    }

    fn hear_notice(&mut self, name: &str, told: &Value) {
        match name {
            "streaming_stopped" => self.hear_end(told),
            "migrate" if self.plan.migrates => {
                let wait = told["reconnect_after_ms"].as_u64().unwrap_or(0);
                self.next_address();
                self.moving = true;
                self.plan_attempt(Duration::from_millis(wait));
            }
            "closing" => {
                let wait = told["reconnect_after_ms"].as_u64().unwrap_or(0);
                self.asked_wait = Duration::from_millis(wait).min(Duration::from_secs(2));
                // Whoever is on the way elsewhere has replaced itself.
                self.over |= told["reconnect"] == false && !self.is_trying();
            }
            // A session that could not go on: the next says what it did not.
            "error" if told["session_id"].is_string() => self.leave_session(),
            _ => {}
        }
    }

    fn hear_end(&mut self, told: &Value) {
        self.history.update(|history| {
            if let Some(session) = history.sessions.last_mut() {
                session.stopped = Some(told.clone());
            }
        });
        match self.phase {
            Phase::Stopping => {
                self.finished();
                let whole = self.history.read(|history| {
                    history.current().is_none_or(|one| one.acked_ms() >= one.track.end_ms())
                });
                self.over |= whole;
            }
            Phase::Running => {
                if self.may_return() {
                    self.phase = Phase::Parked;
                } else {
                    self.leave_session();
                }
                self.next_address();
                self.plan_attempt(Duration::ZERO);
            }
            Phase::None | Phase::Parked | Phase::Stopped => {}
        }
    }
}

/// The first frame that a session has neither said nor given up.
fn unsaid_frame(session: &Session) -> u32 {
    let said = session.track.words().filter_map(|word| Mark::parse(&word.text));
    let said = said.map(|mark| mark.number + 1).max().unwrap_or(session.origin);
    let gaps = session.track.pieces.values().filter(|piece| piece.is_gap());
    let given_up = gaps.map(|gap| session.origin + (gap.to_ms / FRAME_MS) as u32).max();
    said.max(given_up.unwrap_or(0))
}
