//! Subtitles out of words: short enough to be read, broken where the speaker breaks.

use super::{
    super::record::{Contents, Gap},
    tokens::{self, Token},
};

/// The longest that a cue stands, in milliseconds.
pub(super) const LONGEST_MS: u64 = 7_000;
/// Lines of a cue, and characters of a line.
pub(super) const LINES: usize = 2;
pub(super) const LINE_CHARACTERS: usize = 42;
/// Silence that ends a cue anyhow.
const PAUSE_MS: u64 = 800;
/// A sentence's end ends a cue that has stood this long, or that this much silence follows; so
/// `Dr.` does not stand alone.
const SENTENCE_MS: u64 = 1_000;
const BREATH_MS: u64 = 300;
/// How long a cue stands at least, where the next leaves room.
const SHORTEST_MS: u64 = 1_000;

/// A stretch of time with its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    pub(super) speaker: Option<u32>,
    pub(super) channel: Option<u16>,
    pub(super) lines: Vec<String>,
}

/// The cues of a transcript: in order, none overlapping another, every word in one of them, and each
/// gap one of its own.
pub(super) fn of(contents: &Contents) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    let mut before: Option<Token> = None;
    for token in tokens::of(&contents.finals) {
        let goes_on = match (cues.last_mut(), &before) {
            (Some(cue), Some(before)) => !cue.ends_between(before, &token) && cue.take(&token),
            _ => false,
        };
        if !goes_on {
            cues.push(Cue::begin(&token));
        }
        before = Some(token);
    }
    for gap in &contents.gaps {
        let at = cues.partition_point(|cue| cue.start_ms <= gap.from_ms);
        cues.insert(at, Cue::silent(gap));
    }
    separate(&mut cues);
    linger(&mut cues);
    cues
}

impl Cue {
    fn begin(token: &Token) -> Self {
        let Token { start_ms, end_ms, speaker, channel, .. } = *token;
        Self { start_ms, end_ms, speaker, channel, lines: vec![token.text.clone()] }
    }

    /// Where there is no transcript.
    fn silent(gap: &Gap) -> Self {
        let (start_ms, end_ms) = (gap.from_ms, gap.to_ms.min(gap.from_ms + LONGEST_MS));
        Self { start_ms, end_ms, speaker: None, channel: None, lines: vec![gap.told()] }
    }

    /// Whether the speaker breaks between two words, the first of which is this cue's last.
    fn ends_between(&self, before: &Token, next: &Token) -> bool {
        let silence = next.start_ms.saturating_sub(before.end_ms);
        let stood = before.end_ms.saturating_sub(self.start_ms);
        let sentence = ends_sentence(&before.text);
        (next.speaker, next.channel) != (self.speaker, self.channel)
            || silence >= PAUSE_MS
            || sentence && (stood >= SENTENCE_MS || silence >= BREATH_MS)
    }

    /// Takes a word in, if it fits.
    fn take(&mut self, token: &Token) -> bool {
        if token.end_ms.saturating_sub(self.start_ms) > LONGEST_MS {
            return false;
        }
        let full = self.lines.len() == LINES;
        let Some(line) = self.lines.last_mut() else { return false };
        let space = usize::from(!token.glued);
        if line.chars().count() + space + token.text.chars().count() <= LINE_CHARACTERS {
            line.push_str(&" "[..space]);
            line.push_str(&token.text);
        } else if full {
            return false;
        } else {
            self.lines.push(token.text.clone());
        }
        self.end_ms = self.end_ms.max(token.end_ms);
        true
    }
}

fn ends_sentence(text: &str) -> bool {
    let closing = |c: char| matches!(c, '"' | '\'' | ')' | ']' | '»' | '”' | '’' | '」');
    let end = ['.', '?', '!', '…', '。', '？', '！', '؟', '।'];
    text.trim_end_matches(closing).ends_with(end)
}

/// Where two cues overlap, as when two people speak at once, each gets a part of the time.
fn separate(cues: &mut [Cue]) {
    for at in 1..cues.len() {
        let (before, rest) = cues.split_at_mut(at);
        let (Some(before), Some(cue)) = (before.last_mut(), rest.first_mut()) else { return };
        if cue.start_ms >= before.end_ms {
            continue;
        }
        let middle = before.start_ms.midpoint(cue.end_ms);
        let cut = cue.start_ms.max(middle).min(before.end_ms).max(before.start_ms + 1);
        before.end_ms = cut;
        cue.start_ms = cut;
        cue.end_ms = cue.end_ms.max(cut + 1);
    }
}

/// Lets short cues stand a little longer, up to the next.
fn linger(cues: &mut [Cue]) {
    for at in 0..cues.len() {
        let next = cues.get(at + 1).map_or(u64::MAX, |next| next.start_ms);
        let cue = &mut cues[at];
        cue.end_ms = cue.end_ms.max((cue.start_ms + SHORTEST_MS).min(next));
    }
}

/// `hh:mm:ss` and milliseconds after the mark; hours grow as they must.
pub(super) fn clock(ms: u64, mark: char) -> String {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{mark}{ms:03}")
}
