//! The life of a caller: it speaks on time, whatever happens to its sockets.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::attempt::{Outcome, attempt};
use super::kept::{CHUNK_FRAMES, CHUNK_MS, Kept};
use super::{Command, Plan};
use crate::history::{Event, Spoken, What};
use crate::line::{Heard, Line};
use crate::numbered::NumberedAudio;
use crate::seed::Dice;
use crate::tasks::Spawner;
use crate::wait::Watched;

/// The wait before a second attempt; it doubles up to [`LONGEST_WAIT`], and is jittered.
const WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long the last acknowledgement is waited for after the end.
const LAST_ACK: Duration = Duration::from_secs(6);
/// How long a socket that was left may take to close.
const LEAVING: Duration = Duration::from_secs(5);

type Attempt = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Where it is with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has none that it could go on with.
    None,
    /// It has one, on a socket or not.
    Running,
    /// It has one that its socket serves no more.
    Parked,
    /// It has asked for the end.
    Stopping,
    /// The end was said; only an acknowledgement may follow.
    Stopped,
}

/// A caller.
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) history: Arc<Watched<Spoken>>,
    pub(super) kept: Kept,
    pub(super) phase: Phase,
    /// What a resume has to show.
    pub(super) ticket: Value,
    /// A least wait that the service asked for.
    pub(super) asked_wait: Duration,
    /// Whether it was asked to go elsewhere while its socket still holds.
    pub(super) moving: bool,
    /// The first frame that the next session should have.
    pub(super) wanted: u32,
    pub(super) over: bool,
    began: Instant,
    spawner: Spawner,
    dice: Dice,
    /// Failures since anything was heard of a session.
    pub(super) failures: u32,
    address: usize,
    speaking: bool,
    ending: bool,
    over_at: Option<Instant>,
    due: Option<Instant>,
    line: Option<Line>,
    attempt: Option<Attempt>,
}

impl Run {
    pub(super) fn new(
        plan: Plan,
        history: Arc<Watched<Spoken>>,
        began: Instant,
        spawner: Spawner,
    ) -> Self {
        let bound = plan.keeps.as_millis() as u64 / CHUNK_MS;
        Self {
            history,
            kept: Kept::new(0, 0, bound),
            phase: Phase::None,
            ticket: Value::Null,
            asked_wait: Duration::ZERO,
            moving: false,
            wanted: 0,
            over: false,
            began,
            spawner,
            dice: Dice::new(plan.seed),
            address: plan.first % plan.addresses.len(),
            failures: 0,
            speaking: true,
            ending: false,
            over_at: None,
            due: None,
            line: None,
            attempt: None,
            plan,
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut beat = self.began;
        while !self.over {
            self.decide().await;
            let chunk = self.chunk();
            let out = self.line.as_ref().map(Line::out);
            let dead_at = self.dead_at();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                () = sleep_until(beat), if self.speaking => {
                    self.speak(beat);
                    beat += Duration::from_millis(CHUNK_MS);
                }
                permit = reserve(out), if chunk.is_some() => {
                    if let (Some(permit), Some(chunk)) = (permit, chunk) {
                        permit.send(Message::Binary(chunk));
                        self.sent();
                    }
                }
                heard = hear(&mut self.line) => self.take(heard),
                outcome = answer(&mut self.attempt) => self.conclude(outcome),
                () = until(self.due), if self.attempt.is_none() => self.begin(),
                () = until(dead_at) => self.lose(What::Silence),
                () = until(self.over_at) => self.over = true,
            }
            if !self.speaking {
                beat = beat.max(Instant::now());
            }
        }
        self.history.update(|history| history.over = true);
    }

    /// Whether an attempt is made, or planned.
    pub(super) const fn is_trying(&self) -> bool {
        self.attempt.is_some() || self.due.is_some()
    }

    /// What there is to do without being told.
    async fn decide(&mut self) {
        let served = !matches!(self.phase, Phase::None | Phase::Parked);
        let held = self.line.is_some() && served && !self.moving;
        if !held && !self.is_trying() && self.phase != Phase::Stopped {
            self.try_again();
        }
        let all_sent = self.kept.peek().is_none();
        if self.ending && all_sent && self.phase == Phase::Running && self.attempt.is_none() {
            let Some(line) = &self.line else { return };
            // A socket that is gone says so when it is read.
            drop(line.tell(&json!({ "type": "stop_streaming" })).await);
            self.phase = Phase::Stopping;
        }
    }

    /// The next chunk's audio, if there is a socket that takes audio now.
    fn chunk(&self) -> Option<Bytes> {
        let takes = self.line.is_some() && self.attempt.is_none() && self.phase == Phase::Running;
        let frames = self.kept.peek().filter(|_| takes)?;
        let Plan { tenant, session, bytes_per_second, .. } = self.plan;
        let audio = NumberedAudio { tenant, session, bytes_per_second };
        Some(audio.frames(frames.start, frames.end - frames.start).into())
    }

    fn dead_at(&self) -> Option<Instant> {
        let waits = self.speaking || self.kept.first < self.kept.spoken;
        let line = self.line.as_ref().filter(|_| waits && self.phase == Phase::Running)?;
        Some(line.heard_at + self.plan.silence)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Renew(token) => self.plan.token = token,
            Command::Hush => self.speaking = false,
            Command::Speak => self.speaking = true,
            Command::Move(address) => {
                self.address = address % self.plan.addresses.len();
                (self.moving, self.due) = (true, Some(Instant::now()));
            }
            Command::Finish => (self.ending, self.speaking) = (true, false),
        }
    }

    fn speak(&mut self, due: Instant) {
        self.kept.speak(1);
        let due = due.saturating_duration_since(self.began);
        self.history.update(|history| {
            history.frames += CHUNK_FRAMES;
            history.chunks_at.push(due);
        });
    }

    fn sent(&mut self) {
        self.kept.next += 1;
        let until = self.kept.sent_until();
        self.history.update(|history| {
            if let Some(session) = history.sessions.last_mut() {
                session.sent_until = session.sent_until.max(until);
            }
        });
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Told(told) => self.listen(told),
            Heard::Ended(how) => self.lose(What::Lost(how)),
        }
    }

    pub(super) fn note(&self, mut what: What) {
        if let What::Told(Value::Object(told)) = &mut what {
            // They are long and say nothing to people.
            told.retain(|name, _| name != "resume_token" && name != "timestamp");
        }
        let at = self.began.elapsed();
        self.history.update(|history| history.events.push(Event { at, what }));
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The socket is gone, or as good as gone.
    fn lose(&mut self, what: What) {
        self.note(what);
        self.line = None;
        if self.phase == Phase::Stopped {
            self.over = true;
        }
        if self.phase == Phase::Stopping {
            self.phase = Phase::Running;
        }
        if !self.may_return() {
            self.phase = Phase::None;
            self.over |= self.ending && !self.plan.resumes;
        }
        if self.attempt.is_none() && !self.over {
            self.next_address();
        }
    }

    /// Whether it can take its session up again.
    pub(super) fn may_return(&self) -> bool {
        self.plan.resumes && !self.ticket.is_null()
    }

    pub(super) fn next_address(&mut self) {
        self.address = (self.address + 1) % self.plan.addresses.len();
    }

    /// The session is over without having been asked to end: the next begins with what it did not
    /// say.
    pub(super) fn leave_session(&mut self) {
        self.phase = Phase::None;
        self.failures += 1;
        self.over |= self.ending && self.kept.peek().is_none() && !self.plan.resumes;
    }

    pub(super) fn finished(&mut self) {
        self.phase = Phase::Stopped;
        self.over_at = Some(Instant::now() + LAST_ACK);
    }

    fn try_again(&mut self) {
        let doubled = WAIT * 2_u32.pow(self.failures.min(6));
        let wait = self.dice.up_to(doubled.min(LONGEST_WAIT)).max(self.asked_wait);
        self.asked_wait = Duration::ZERO;
        self.plan_attempt(wait);
    }

    /// Tries the current address after that time; the socket at hand is used until then.
    pub(super) fn plan_attempt(&mut self, wait: Duration) {
        self.due = Some(Instant::now() + wait);
    }

    fn begin(&mut self) {
        self.due = None;
        let address = self.plan.addresses[self.address].clone();
        self.note(What::Dials(address.clone()));
        if self.phase == Phase::None {
            self.begin_anew();
        }
        self.attempt = Some(Box::pin(attempt(address, self.plan.token.clone(), self.ask())));
    }

    fn conclude(&mut self, outcome: Outcome) {
        self.attempt = None;
        match outcome {
            Outcome::Answered(line, told) => {
                self.moving = false;
                let left = self.line.replace(*line);
                self.answered(&told);
                self.note(What::Told(told));
                if let Some(left) = left {
                    self.see_off(left);
                }
            }
            Outcome::Refused(told) => {
                self.refused(&told);
                self.failures += 1;
                self.note(What::Refused(told.to_string()));
            }
            Outcome::Failed(why) => {
                self.failures += 1;
                self.next_address();
                self.note(What::Refused(why));
            }
        }
    }

    /// A socket whose session went elsewhere hears so and is closed.
    fn see_off(&self, mut left: Line) {
        let (history, began) = (Arc::clone(&self.history), self.began);
        self.spawner.spawn(async move {
            let until = Instant::now() + LEAVING;
            loop {
                let left_for = until.saturating_duration_since(Instant::now());
                let what = match timeout(left_for, left.hear()).await {
                    Ok(Heard::Told(told)) if told["type"] == "closing" => What::Told(told),
                    Ok(Heard::Told(_)) => continue,
                    Ok(Heard::Ended(how)) => What::Lost(format!("the socket that was left: {how}")),
                    Err(_) => What::Lost("the socket that was left stayed open".to_owned()),
                };
                let ended = matches!(what, What::Lost(_));
                let at = began.elapsed();
                history.update(|history| history.events.push(Event { at, what }));
                if ended {
                    return;
                }
            }
        });
    }
}

async fn reserve(out: Option<mpsc::Sender<Message>>) -> Option<mpsc::OwnedPermit<Message>> {
    match out {
        // Reading tells how the connection ended.
        Some(out) => match out.reserve_owned().await {
            Ok(permit) => Some(permit),
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn hear(line: &mut Option<Line>) -> Heard {
    match line {
        Some(line) => line.hear().await,
        None => std::future::pending().await,
    }
}

async fn answer(attempt: &mut Option<Attempt>) -> Outcome {
    match attempt {
        Some(attempt) => attempt.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
