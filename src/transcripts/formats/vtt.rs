//! Subtitles as WebVTT writes them, with a voice where speakers are told apart.

use std::fmt::Write;

use super::{
    super::record::Contents,
    cues::{self, Cue, clock},
};

/// The file; only its first line where there is nothing.
pub(super) fn write(contents: &Contents) -> String {
    let mut text = "WEBVTT\n".to_owned();
    for cue in cues::of(contents) {
        let (from, until) = (clock(cue.start_ms, '.'), clock(cue.end_ms, '.'));
        let lines = escape(&cue.lines.join("\n"));
        // Writing to a string cannot fail.
        let _written = write!(text, "\n{from} --> {until}\n{}{lines}\n", voice(&cue));
    }
    text
}

/// The tag that names the speaker; it holds to the end of the cue.
fn voice(cue: &Cue) -> String {
    match (cue.speaker, cue.channel) {
        (Some(speaker), _) => format!("<v Speaker {speaker}>"),
        (None, Some(channel)) => format!("<v Channel {channel}>"),
        (None, None) => String::new(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
