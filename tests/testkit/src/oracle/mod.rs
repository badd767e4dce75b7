//! Judges what clients lived through and what was billed: nothing lost, nothing twice, nobody in.

mod acks;
mod bill;
mod foreign;
mod kept;
mod ranges;
#[cfg(test)]
mod tests;
mod viewers;
mod words;

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Piece, Session, Spoken, Track, Viewed};

/// A stretch of a session's audio that was billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The session.
    pub session: String,
    /// Where it begins, in milliseconds.
    pub from_ms: u64,
    /// Where it ends.
    pub to_ms: u64,
}

/// What the contract lets a client lose; nothing unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Audio that may lack a transcript without a declared gap, in milliseconds.
    pub lost_ms: u64,
    /// Transcribed audio that may not be billed.
    pub unbilled_ms: u64,
}

/// Text in which nobody's audio may be found, or one tenant's alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it is.
    pub name: String,
    /// Whose numbers may be in it.
    pub tenant: Option<u16>,
    /// The text.
    pub text: String,
}

/// Everything that is known of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What speakers lived through.
    pub spoken: Vec<Spoken>,
    /// What viewers lived through.
    pub viewed: Vec<Viewed>,
    /// What was billed.
    pub billed: Vec<Row>,
    /// What else was written anywhere.
    pub texts: Vec<Text>,
    /// The words of stored transcripts, by session; of none that is not here.
    pub kept: BTreeMap<String, Vec<String>>,
    /// What may be lost, by tenant and session of the speaker.
    pub allowed: BTreeMap<(u16, u16), Allowed>,
}

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The words of finals are the numbers sent: each once, in order, in its place.
    Words,
    /// What is missing is declared.
    Gaps,
    /// Every viewer hears the same.
    Viewers,
    /// Nobody hears another tenant.
    Tenants,
    /// What is transcribed is billed, once, and nothing else.
    Bill,
    /// What is acknowledged is final and durable.
    Acks,
    /// What is stored is what was said, each final once.
    Kept,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// To whom.
    pub who: String,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.rule, self.who, self.what)
    }
}

/// Every promise that was not kept; none if all is well.
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut book = Book::default();
    let sessions = evidence.spoken.iter().flat_map(|spoken| &spoken.sessions);
    let last = |session: &Session| {
        let truth = evidence.truth(session);
        (session.id.clone(), truth.last_key_value().map_or(0, |(n, _)| *n))
    };
    let last_numbers: BTreeMap<String, u64> = sessions.map(last).collect();
    for spoken in &evidence.spoken {
        words::check(evidence, spoken, &mut book);
        acks::check(spoken, &mut book);
    }
    for viewed in &evidence.viewed {
        viewers::check(evidence, viewed, &last_numbers, &mut book);
    }
    kept::check(evidence, &mut book);
    bill::check(evidence, &mut book);
    foreign::check(evidence, &mut book);
    book.violations
}

/// Where violations are written down.
#[derive(Debug, Default)]
struct Book {
    violations: Vec<Violation>,
}

impl Book {
    fn object(&mut self, rule: Rule, who: &str, what: impl Into<String>) {
        self.violations.push(Violation { rule, who: who.to_owned(), what: what.into() });
    }
}

impl Evidence {
    /// What may be lost of a speaker.
    fn allowed(&self, spoken: &Spoken) -> Allowed {
        self.allowed.get(&(spoken.tenant, spoken.session)).copied().unwrap_or_default()
    }

    /// The session of that id and who spoke in it.
    fn find(&self, id: &str) -> Option<(&Spoken, &Session)> {
        let sessions =
            self.spoken.iter().flat_map(|one| one.sessions.iter().map(move |s| (one, s)));
        sessions.into_iter().find(|(_, session)| session.id == id)
    }

    /// What the service is known to have said in a session: what its speaker heard, and what
    /// viewers heard beyond it.
    fn truth(&self, session: &Session) -> BTreeMap<u64, Piece> {
        let mut truth = session.track.pieces.clone();
        for track in self.tracks(&session.id) {
            for (n, piece) in &track.pieces {
                truth.entry(*n).or_insert_with(|| piece.clone());
            }
        }
        truth
    }

    fn tracks<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Track> {
        self.viewed.iter().filter_map(move |viewed| viewed.tracks.get(id))
    }

    /// Whether anybody heard a session's end, so that nothing can have come after it.
    fn is_witnessed(&self, session: &Session) -> bool {
        let heard = session.stopped.is_some() || session.track.is_ended();
        heard || self.tracks(&session.id).any(Track::is_ended)
    }
}

/// What people call a speaker.
fn name(spoken: &Spoken) -> String {
    format!("speaker {}/{}", spoken.tenant, spoken.session)
}
