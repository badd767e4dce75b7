//! Subtitles as SubRip writes them.

use std::fmt::Write;

use super::{
    super::record::Contents,
    cues::{self, clock},
};

/// Numbered cues; nothing where there is nothing.
pub(super) fn write(contents: &Contents) -> String {
    let mut text = String::new();
    for (at, cue) in cues::of(contents).iter().enumerate() {
        let lines = unarrowed(cue.lines.join("\n"));
        let (from, until) = (clock(cue.start_ms, ','), clock(cue.end_ms, ','));
        // Writing to a string cannot fail.
        let _written = write!(text, "{}\n{from} --> {until}\n{lines}\n\n", at + 1);
    }
    text
}

/// An arrow in what was said would be read as a time.
fn unarrowed(mut text: String) -> String {
    while text.contains("-->") {
        text = text.replace("-->", "->");
    }
    text
}
