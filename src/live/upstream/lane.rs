//! A stretch of the session's audio with a connection, cursors and texts of its own.

use std::{collections::VecDeque, time::Instant};

use super::{
    choice::Choice, ear::Ear, pace::Pace, recovery::Recovery, ring::Cursor, told::Upstreamed,
    voices::Speakers,
};
use crate::live::said::Said;

/// The number of a connection, which is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link(pub u64);

/// What a lane hangs on.
#[derive(Debug, Default)]
pub enum Tie {
    /// No connection, and nothing in the way of one.
    #[default]
    Loose,
    /// No connection before that moment.
    Waiting(Instant),
    /// One is being made.
    Connecting(Link),
    /// One is open.
    Open(Box<Talk>),
}

impl Tie {
    /// The connection, be it only in the making.
    pub fn link(&self) -> Option<Link> {
        match self {
            Self::Loose | Self::Waiting(_) => None,
            Self::Connecting(link) => Some(*link),
            Self::Open(talk) => Some(talk.link),
        }
    }

    /// The open connection.
    pub fn talk(&self) -> Option<&Talk> {
        match self {
            Self::Open(talk) => Some(talk),
            _ => None,
        }
    }

    /// The same, to change it.
    pub fn talk_mut(&mut self) -> Option<&mut Talk> {
        match self {
            Self::Open(talk) => Some(talk),
            _ => None,
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Talk {
    /// Its number.
    pub link: Link,
    /// Who is at the other end.
    pub provider: &'static str,
    /// How far it was fed.
    pub cursor: Cursor,
    /// What holds a replay back.
    pub pace: Option<Pace>,
    /// Whether it is answered.
    pub ear: Ear,
    /// Its speakers.
    pub speakers: Speakers,
    /// Who failed before it, until it is known to have done better.
    pub instead_of: Option<&'static str>,
    /// Whether anything was heard over it.
    pub answered: bool,
    /// Whether it was told that no more audio comes.
    pub close_sent: bool,
    /// When finals of everything were asked for, if none came since.
    pub finalize_asked: Option<Instant>,
}

/// One stretch. The last of a session is live: it has no end yet.
#[derive(Debug, Default)]
pub struct Lane {
    /// Where it begins: text before belongs to another.
    pub from_ms: u64,
    /// Where it ends; `None` while it is live.
    pub until_ms: Option<u64>,
    /// Up to where its finals have come.
    pub covered_ms: u64,
    /// What it hangs on.
    pub tie: Tie,
    /// Finals and gaps that wait for the lanes before it.
    pub held: VecDeque<Upstreamed>,
    /// How far each channel has finals.
    pub said: Said,
    /// Its failures.
    pub recovery: Recovery,
    /// Whether its audio is behind from the beginning.
    pub replays: bool,
    /// Audio that was let go of and is not declared yet.
    pub lost: Option<(u64, u64)>,
    /// Who is asked next.
    pub choice: Choice,
}

impl Lane {
    /// A live one that begins there.
    pub fn live(from_ms: u64, channels: u16) -> Self {
        let mut said = Said::new(channels);
        said.cover(from_ms);
        Self { from_ms, covered_ms: from_ms, said, ..Self::default() }
    }

    /// Whether nothing of it is missing any more.
    pub fn is_done(&self) -> bool {
        self.until_ms.is_some_and(|until_ms| self.covered_ms >= until_ms)
    }

    /// Whether nothing of it is final yet.
    pub fn is_untouched(&self) -> bool {
        self.covered_ms == self.from_ms && self.held.is_empty() && self.lost.is_none()
    }

    /// Whether its audio is behind what is said now.
    pub fn is_behind(&self, now: Instant) -> bool {
        self.replays || self.recovery.lasting(now).is_some()
    }

    /// Everything up to there is final, or lost; true if that is news.
    pub fn cover(&mut self, until_ms: u64) -> bool {
        let news = until_ms > self.covered_ms;
        if news {
            self.covered_ms = until_ms;
            self.said.cover(until_ms);
        }
        news
    }

    /// The provider works again.
    pub fn succeeded(&mut self) {
        self.recovery.succeeded();
        self.choice = Choice::default();
    }
}
