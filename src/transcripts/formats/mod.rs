//! The forms in which a kept transcript is handed out; pure functions of what was said.

mod cues;
mod json;
mod srt;
#[cfg(test)]
mod tests;
mod text;
mod tokens;
mod vtt;

use super::record::{Contents, Session};
use crate::model::Error;

/// A form of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Everything that is known, words with their times.
    Json,
    /// Paragraphs to read.
    Text,
    /// Subtitles, as SubRip writes them.
    Srt,
    /// Subtitles, as WebVTT writes them.
    Vtt,
}

impl Format {
    /// Every form, for tests.
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [Self::Json, Self::Text, Self::Srt, Self::Vtt];

    /// The form of that ending.
    pub fn parse(ending: &str) -> Option<Self> {
        match ending {
            "json" => Some(Self::Json),
            "txt" => Some(Self::Text),
            "srt" => Some(Self::Srt),
            "vtt" => Some(Self::Vtt),
            _ => None,
        }
    }

    /// How its files end.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "txt",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
        }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
        }
    }

    /// Writes a transcript in this form.
    pub fn write(self, session: &Session, contents: &Contents) -> Result<String, Error> {
        match self {
            Self::Json => json::write(session, contents),
            Self::Text | Self::Srt | Self::Vtt => Ok(self.render(contents)),
        }
    }

    /// What was said, of no session: to read, unless it is a form of subtitles.
    pub fn render(self, contents: &Contents) -> String {
        match self {
            Self::Json | Self::Text => text::write(contents),
            Self::Srt => srt::write(contents),
            Self::Vtt => vtt::write(contents),
        }
    }
}
