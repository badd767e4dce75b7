//! What a client has lived through: the pieces of its sessions, acknowledgements, losses, returns.

mod piece;
mod track;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

pub use piece::{Kind, Piece, Word};
pub use track::Track;

/// Frames that a speaker sends at once.
pub const FRAMES_IN_CHUNK: u32 = 5;

/// An acknowledgement as it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// When, since the client began.
    pub at: Duration,
    /// How much audio is durable.
    pub acked_ms: u64,
    /// The last chunk that is wholly durable.
    pub acked_seq: Option<u64>,
    /// Where the last piece ended that had been heard by then.
    pub heard_ms: u64,
}

/// A session that was taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// When, since the client began.
    pub at: Duration,
    /// The first chunk that the service wants.
    pub next_seq: u64,
    /// What lies before is not wanted.
    pub from_ms: u64,
    /// The last number that counts.
    pub last_n: u64,
    /// Whether everything that was missed follows.
    pub recovered: bool,
    /// The oldest chunk that the client still had.
    pub kept_seq: u64,
    /// How much had been acknowledged by then.
    pub acked_ms: u64,
}

/// A session of a speaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The service's id of it.
    pub id: String,
    /// Where it publishes.
    pub room: Option<String>,
    /// The frame with which its audio begins.
    pub origin: u32,
    /// Its first frame that was never sent.
    pub sent_until: u32,
    /// What was heard.
    pub track: Track,
    /// Every acknowledgement.
    pub acks: Vec<Ack>,
    /// Every return.
    pub resumed: Vec<Resumed>,
    /// What the service said at its end: `streaming_stopped`.
    pub stopped: Option<Value>,
}

impl Session {
    /// How much audio was acknowledged, in milliseconds.
    pub fn acked_ms(&self) -> u64 {
        self.acks.iter().map(|ack| ack.acked_ms).max().unwrap_or(0)
    }
}

/// A final that came, and the audio up to which it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, since the client began.
    pub at: Duration,
    /// The first frame behind it.
    pub until_frame: u32,
}

/// Something that happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It calls this address.
    Dials(String),
    /// It was not let in, or its request was refused.
    Refused(String),
    /// The service said so; texts and acknowledgements are left out.
    Told(Value),
    /// It took nothing of the service for too long, and gave the socket up.
    Silence,
    /// The socket ended.
    Lost(String),
}

/// Something that happened, and when since the client began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What a speaker has lived through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// Whose audio it is.
    pub tenant: u16,
    /// Which audio of the tenant's.
    pub session: u16,
    /// Whether the client takes sessions up again and keeps audio for that.
    pub resumes: bool,
    /// Frames spoken so far.
    pub frames: u32,
    /// Frames that the client itself let go of before a session could have them.
    pub dropped: Vec<Range<u32>>,
    /// Its sessions in the service, in order.
    pub sessions: Vec<Session>,
    /// When each chunk of five frames was due to be spoken, by the client's own clock.
    pub chunks_at: Vec<Duration>,
    /// Every final, as it came; one that was taken back and said again came twice.
    pub finals: Vec<Arrival>,
    /// When text of any kind came.
    pub text_at: Vec<Duration>,
    /// Everything else, in order.
    pub events: Vec<Event>,
    /// Whether it has ended, as it wanted to or not.
    pub over: bool,
}

impl Spoken {
    /// The session that it is in, or was in last.
    pub fn current(&self) -> Option<&Session> {
        self.sessions.last()
    }

    /// Frames for which there is a piece, of any session.
    pub fn heard_frames(&self) -> u64 {
        self.sessions.iter().map(|session| session.track.words().count() as u64).sum()
    }

    /// The longest that no text came from `moment` on, until it came regularly again: in the time
    /// `within` that.
    pub fn longest_silence(&self, moment: Duration, within: Duration) -> Duration {
        longest_silence(&self.text_at, moment, within)
    }

    /// How late each final came whose last sound was spoken in that time: counted from the moment
    /// at which that sound was due, whatever became of it then.
    pub fn delays(&self, spoken: &Range<Duration>) -> Vec<Duration> {
        let due = |final_: &Arrival| {
            let chunk = final_.until_frame.checked_sub(1)? / FRAMES_IN_CHUNK;
            let due = *self.chunks_at.get(chunk as usize)?;
            spoken.contains(&due).then(|| final_.at.saturating_sub(due))
        };
        self.finals.iter().filter_map(due).collect()
    }

    /// How often it came back to a session.
    pub fn returns(&self) -> usize {
        self.sessions.iter().map(|session| session.resumed.len()).sum()
    }

    /// What happened, for people.
    pub fn story(&self) -> String {
        let name = format!("speaker {}/{}", self.tenant, self.session);
        tell(&name, &self.events)
    }

    /// What was said, for people.
    pub fn pieces(&self) -> String {
        let told = self.sessions.iter().map(|one| format!("  {}:\n{}", one.id, one.track.tell()));
        format!("speaker {}/{} heard:\n{}", self.tenant, self.session, told.collect::<String>())
    }
}

/// What a viewer of a room has lived through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewed {
    /// What people call it.
    pub name: String,
    /// Whose room it is.
    pub tenant: u16,
    /// The room.
    pub room: String,
    /// Sessions of the room as they were heard, by id.
    pub tracks: BTreeMap<String, Track>,
    /// How often it joined, the first time included.
    pub joins: u64,
    /// Times at which it came back and was told that something is missing.
    pub unrecovered: u64,
    /// When text of any kind came.
    pub text_at: Vec<Duration>,
    /// Everything else, in order.
    pub events: Vec<Event>,
}

impl Viewed {
    /// The longest that no text came from `moment` on, in the time `within` that.
    pub fn longest_silence(&self, moment: Duration, within: Duration) -> Duration {
        longest_silence(&self.text_at, moment, within)
    }

    /// What happened, for people.
    pub fn story(&self) -> String {
        tell(&format!("viewer {} of {}", self.name, self.room), &self.events)
    }
}

fn longest_silence(text_at: &[Duration], moment: Duration, within: Duration) -> Duration {
    let heard = text_at.iter().filter(|at| **at >= moment && **at <= moment + within);
    let (mut longest, mut last) = (Duration::ZERO, moment);
    for at in heard {
        longest = longest.max(at.saturating_sub(last));
        last = *at;
    }
    if last == moment { within } else { longest }
}

fn tell(name: &str, events: &[Event]) -> String {
    let line = |event: &Event| {
        let what = match &event.what {
            What::Told(told) => told.to_string(),
            other => format!("{other:?}"),
        };
        format!("  {:>8.3} s {what}\n", event.at.as_secs_f64())
    };
    let last = events.len().saturating_sub(60);
    format!("{name}:\n{}", events[last..].iter().map(line).collect::<String>())
}
