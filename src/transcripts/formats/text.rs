//! Paragraphs to read: a new one after a pause, and for each speaker.

use super::{
    super::record::{Contents, Gap},
    tokens::{self, Token},
};

/// Silence that begins a new paragraph.
const PAUSE_MS: u64 = 2_000;

/// The paragraphs, an empty line between them; audio without a transcript is one of its own.
pub(super) fn write(contents: &Contents) -> String {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut before: Option<Token> = None;
    let mut gaps = contents.gaps.iter().peekable();
    for token in tokens::of(&contents.finals) {
        while let Some(gap) = gaps.next_if(|gap| gap.from_ms <= token.start_ms) {
            paragraphs.push(gap.told());
            before = None;
        }
        let goes_on = before.as_ref().is_some_and(|before| {
            (before.speaker, before.channel) == (token.speaker, token.channel)
                && token.start_ms.saturating_sub(before.end_ms) < PAUSE_MS
        });
        match paragraphs.last_mut().filter(|_| goes_on) {
            Some(paragraph) => {
                paragraph.push_str(if token.glued { "" } else { " " });
                paragraph.push_str(&token.text);
            }
            None => paragraphs.push(label(&token) + &token.text),
        }
        before = Some(token);
    }
    paragraphs.extend(gaps.map(Gap::told));
    let mut text = paragraphs.join("\n\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Who speaks, where that is told apart.
fn label(token: &Token) -> String {
    match (token.channel, token.speaker) {
        (Some(channel), Some(speaker)) => format!("Channel {channel}, Speaker {speaker}: "),
        (Some(channel), None) => format!("Channel {channel}: "),
        (None, Some(speaker)) => format!("Speaker {speaker}: "),
        (None, None) => String::new(),
    }
}
