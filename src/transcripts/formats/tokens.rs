//! Words as they are written, one after the other, each with its time: what texts and cues are
//! made of.

use super::{super::record::Final, cues};

/// A written word, or a piece of one that is longer than a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) start_ms: u64,
    /// After the start.
    pub(super) end_ms: u64,
    pub(super) speaker: Option<u32>,
    pub(super) channel: Option<u16>,
    /// Written without a space after the one before.
    pub(super) glued: bool,
}

/// Every word of the finals in the order of the audio; what a final says stays together.
pub(super) fn of(finals: &[Final]) -> Vec<Token> {
    let mut ordered: Vec<&Final> = finals.iter().collect();
    ordered.sort_by_key(|said| (said.start_ms, said.n));
    ordered.into_iter().flat_map(of_final).collect()
}

fn of_final(said: &Final) -> Vec<Token> {
    let written: Vec<&str> = said.text.split_whitespace().collect();
    if said.words.is_empty() {
        let whole = (said.start_ms, said.end_ms);
        return cut(&written, whole, (None, said.channel), false);
    }
    // Some languages are written without spaces.
    let solid = written.len() == 1 && said.words.len() > 1;
    let mut tokens = Vec::new();
    for (at, word) in said.words.iter().enumerate() {
        let own = word.punctuated_word.as_ref().unwrap_or(&word.word);
        // The text as the client saw it, where it can be told which word is which.
        let same = written.len() == said.words.len();
        let text = if same { written[at] } else { own.as_str() };
        let parts: Vec<&str> = text.split_whitespace().collect();
        let time = (word.start_ms, word.end_ms);
        tokens.extend(cut(&parts, time, (word.speaker, said.channel), solid && at > 0));
    }
    tokens
}

/// Spreads written words over a stretch of time by their length, cut where one fits no line.
fn cut(
    parts: &[&str],
    (start_ms, end_ms): (u64, u64),
    (speaker, channel): (Option<u32>, Option<u16>),
    glued: bool,
) -> Vec<Token> {
    let pieces: Vec<(String, bool)> = parts
        .iter()
        .map(|part| part.chars().filter(|c| !c.is_control()).collect::<Vec<_>>())
        .enumerate()
        .flat_map(|(at, part)| {
            let glued = move |piece: usize| piece > 0 || at == 0 && glued;
            let pieces = part.chunks(cues::LINE_CHARACTERS).map(String::from_iter);
            pieces.enumerate().map(|(n, text)| (text, glued(n))).collect::<Vec<_>>()
        })
        .collect();
    let long_ms = end_ms.saturating_sub(start_ms).max(1);
    let total: usize = pieces.iter().map(|(text, _)| text.chars().count()).sum();
    let mut until = 0;
    let place = |done: usize| start_ms + share(long_ms, done, total);
    let token = |(text, glued): (String, bool)| {
        let from = until;
        until += text.chars().count();
        let (start_ms, end_ms) = (place(from), place(until).max(place(from) + 1));
        let end_ms = end_ms.min(start_ms + cues::LONGEST_MS);
        Token { text, start_ms, end_ms, speaker, channel, glued }
    };
    pieces.into_iter().map(token).collect()
}

/// `done` parts of `total` of a time.
fn share(long_ms: u64, done: usize, total: usize) -> u64 {
    let share = u128::from(long_ms) * done as u128 / total.max(1) as u128;
    u64::try_from(share).unwrap_or(long_ms)
}
