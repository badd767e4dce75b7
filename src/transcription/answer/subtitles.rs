//! Subtitles out of whatever times a provider gave: of words, of segments, or of the whole.

use crate::{
    providers::recorded::{Stretch, Transcription},
    transcripts::{Contents, Final, Format},
};

/// How long somebody speaks a character, where nobody knows how long the recording is.
const CHARACTER_MS: u64 = 60;

pub(super) fn srt(heard: &Transcription) -> String {
    Format::Srt.render(&contents(heard))
}

pub(super) fn vtt(heard: &Transcription) -> String {
    Format::Vtt.render(&contents(heard))
}

fn contents(heard: &Transcription) -> Contents {
    let finals = match (heard.words.first(), heard.words.last()) {
        (Some(first), Some(last)) => {
            let whole = Stretch {
                text: heard.transcript.clone(),
                start_ms: first.start_ms,
                end_ms: last.end_ms,
                ..Stretch::default()
            };
            vec![Final { words: heard.words.clone(), ..said(0, &whole, heard) }]
        }
        _ => pieces(heard).iter().enumerate().map(|(at, piece)| said(at, piece, heard)).collect(),
    };
    Contents { finals, gaps: Vec::new() }
}

/// Stretches whose words are spread over their time.
fn pieces(heard: &Transcription) -> Vec<Stretch> {
    if !heard.segments.is_empty() {
        return heard.segments.clone();
    }
    let spoken = heard.transcript.chars().count() as u64 * CHARACTER_MS;
    let end_ms = heard.duration_ms.unwrap_or(spoken);
    let whole = Stretch { text: heard.transcript.clone(), end_ms, ..Stretch::default() };
    if heard.transcript.is_empty() { Vec::new() } else { vec![whole] }
}

fn said(at: usize, piece: &Stretch, heard: &Transcription) -> Final {
    Final {
        n: at as u64 + 1,
        start_ms: piece.start_ms,
        end_ms: piece.end_ms,
        text: piece.text.clone(),
        confidence: 1.0,
        words: Vec::new(),
        timing: String::new(),
        speaker: piece.speaker,
        channel: None,
        language: heard.language.clone().unwrap_or_default(),
        provider: String::new(),
    }
}
