//! What the simulator hears: words tied to audio time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

/// A spoken word and when it is spoken, counted from the stream's first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word without punctuation, lower-case.
    pub text: String,
    /// The word as written, where it differs.
    pub punctuated: Option<String>,
    /// Where it begins, in microseconds of audio.
    pub start_us: u64,
    /// Where it ends, in microseconds of audio.
    pub end_us: u64,
    /// Who speaks; 0 unless told.
    pub speaker: Option<u32>,
    /// The channel it is spoken on; every channel unless told.
    pub channel: Option<u32>,
}

impl Word {
    /// A word between two moments of audio, in seconds.
    pub fn new(text: &str, from_s: f64, to_s: f64) -> Self {
        let (start_us, end_us) = (micros(from_s), micros(to_s));
        let text = text.to_owned();
        Self { text, punctuated: None, start_us, end_us, speaker: None, channel: None }
    }

    /// The same word by that speaker.
    pub fn by(self, speaker: u32) -> Self {
        Self { speaker: Some(speaker), ..self }
    }

    /// The same word on that channel.
    pub fn on(self, channel: u32) -> Self {
        Self { channel: Some(channel), ..self }
    }

    /// The same word, written so.
    pub fn written(self, punctuated: &str) -> Self {
        Self { punctuated: Some(punctuated.to_owned()), ..self }
    }

    fn shifted(&self, by_us: u64) -> Self {
        Self { start_us: self.start_us + by_us, end_us: self.end_us + by_us, ..self.clone() }
    }
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

/// What is said, whatever the audio really holds.
#[derive(Clone, Debug)]
pub struct Script(Says);

#[derive(Clone, Debug)]
enum Says {
    Words { words: Arc<[Word]>, period_us: Option<u64> },
    Counting { pause_every: u64, pause_us: u64 },
    NumberedAudio,
}

/// Length of a counted word: they follow one another without a gap.
const COUNTED_US: u64 = 250_000;

impl Default for Script {
    fn default() -> Self {
        Self::counting()
    }
}

impl Script {
    /// `w0001 w0002 …`, one every 250 ms without a gap, for ever.
    pub const fn counting() -> Self {
        Self(Says::Counting { pause_every: 1, pause_us: 0 })
    }

    /// The same with a silence of `pause` after every `words` words.
    pub fn counting_with_pauses(words: u32, pause: Duration) -> Self {
        let pause_us = pause.as_micros() as u64;
        Self(Says::Counting { pause_every: u64::from(words.max(1)), pause_us })
    }

    /// These words, once.
    pub fn words(words: Vec<Word>) -> Self {
        Self(Says::Words { words: words.into(), period_us: None })
    }

    /// Nothing but silence.
    pub fn silence() -> Self {
        Self::words(Vec::new())
    }

    /// The same words again every `period`; only for a script of words.
    pub fn repeated_every(self, period: Duration) -> Self {
        match self.0 {
            Says::Words { words, .. } => {
                let period_us = Some(period.as_micros().max(1) as u64);
                Self(Says::Words { words, period_us })
            }
            other => Self(other),
        }
    }

    /// The marks found in [numbered audio](crate::numbered); uncompressed audio only.
    pub const fn numbered_audio() -> Self {
        Self(Says::NumberedAudio)
    }

    /// The transcript of `clip` in a `transcripts.json`; the first clip when `None`.
    pub fn load(path: &Path, clip: Option<&str>) -> anyhow::Result<Self> {
        let clips = read_clips(path)?;
        let first = clips.first().map(|clip| clip.file.clone()).context("no clips")?;
        let name = clip.unwrap_or(&first);
        let words: Vec<_> =
            clips.iter().filter(|clip| clip.file == name).flat_map(Clip::words).collect();
        if words.is_empty() {
            bail!("no clip {name} in {}", path.display());
        }
        Ok(Self::words(words))
    }

    /// The transcript of a clip under `tests/fixtures/audio`, such as `jfk.wav`.
    pub fn fixture(clip: &str) -> anyhow::Result<Self> {
        Self::load(&crate::speech::fixture_path("transcripts.json"), Some(clip))
    }

    /// Every clip beside a `transcripts.json` with what is said in it.
    pub(crate) fn load_all(path: &Path) -> anyhow::Result<Vec<(PathBuf, Self)>> {
        let folder = path.parent().context("a file has a folder")?;
        let mut names: Vec<_> = read_clips(path)?.into_iter().map(|clip| clip.file).collect();
        names.dedup();
        names
            .into_iter()
            .map(|name| Ok((folder.join(&name), Self::load(path, Some(&name))?)))
            .collect()
    }

    /// Where the last word ends; `None` for a script without an end.
    pub(crate) fn end_us(&self) -> Option<u64> {
        match &self.0 {
            Says::Words { words, period_us: None } => {
                Some(words.iter().map(|word| word.end_us).max().unwrap_or(0))
            }
            _ => None,
        }
    }

    pub(crate) const fn is_numbered_audio(&self) -> bool {
        matches!(self.0, Says::NumberedAudio)
    }

    /// What is said on one channel, or on all of them mixed.
    pub(crate) fn voice(&self, channel: Option<u32>) -> Voice {
        match &self.0 {
            Says::NumberedAudio => Voice::Heard(VecDeque::new()),
            Says::Counting { pause_every, pause_us } => {
                Voice::Counting { next: 0, pause_every: *pause_every, pause_us: *pause_us }
            }
            Says::Words { words, period_us } => {
                let wanted = |word: &&Word| {
                    channel.is_none() || word.channel.is_none() || word.channel == channel
                };
                let words = in_a_row(words.iter().filter(wanted).cloned().collect());
                Voice::Listed { words, next: 0, period_us: *period_us }
            }
        }
    }
}

/// Orders words and moves those that overlap, so that each ends before the next begins.
fn in_a_row(mut words: Vec<Word>) -> Vec<Word> {
    words.sort_by_key(|word| word.start_us);
    let mut free_us = 0;
    for word in &mut words {
        word.start_us = word.start_us.max(free_us);
        word.end_us = word.end_us.max(word.start_us + 10_000);
        free_us = word.end_us;
    }
    words
}

/// The words of one recogniser, in order.
#[derive(Debug)]
pub(crate) enum Voice {
    Listed { words: Vec<Word>, next: usize, period_us: Option<u64> },
    Counting { next: u64, pause_every: u64, pause_us: u64 },
    Heard(VecDeque<Word>),
}

impl Voice {
    /// The next word that was not taken yet.
    pub(crate) fn peek(&self) -> Option<Word> {
        match self {
            Self::Heard(words) => words.front().cloned(),
            Self::Counting { next, pause_every, pause_us } => {
                let start_us = next * COUNTED_US + next / pause_every * pause_us;
                let mut word = Word::new(&format!("w{:04}", next + 1), 0.0, 0.0);
                (word.start_us, word.end_us) = (start_us, start_us + COUNTED_US);
                Some(word)
            }
            Self::Listed { words, next, period_us: None } => words.get(*next).cloned(),
            Self::Listed { words, next, period_us: Some(period_us) } => {
                let word = words.get(next.checked_rem(words.len())?)?;
                Some(word.shifted((next / words.len()) as u64 * period_us))
            }
        }
    }

    /// Takes the word that [`Self::peek`] shows.
    pub(crate) fn advance(&mut self) {
        match self {
            Self::Heard(words) => drop(words.pop_front()),
            Self::Counting { next, .. } => *next += 1,
            Self::Listed { next, .. } => *next += 1,
        }
    }

    /// Adds a word that was found in the audio itself.
    pub(crate) fn hear(&mut self, word: Word) {
        if let Self::Heard(words) = self {
            words.push_back(word);
        }
    }
}

#[derive(Deserialize)]
struct Clip {
    file: String,
    channel: Option<u32>,
    transcript: String,
    words: Vec<ClipWord>,
}

#[derive(Deserialize)]
struct ClipWord {
    word: String,
    start: f64,
    end: f64,
}

impl Clip {
    fn words(&self) -> Vec<Word> {
        let written: Vec<_> = self.transcript.split_whitespace().collect();
        let aligned = written.len() == self.words.len();
        let word = |(index, word): (usize, &ClipWord)| {
            let mut spoken = Word::new(&word.word, word.start, word.end);
            spoken.channel = self.channel;
            spoken.speaker = self.channel;
            spoken.punctuated = aligned.then(|| written[index].to_owned());
            spoken
        };
        self.words.iter().enumerate().map(word).collect()
    }
}

fn read_clips(path: &Path) -> anyhow::Result<Vec<Clip>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("not a transcript: {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(voice: &mut Voice, count: usize) -> Vec<(String, u64)> {
        let mut next = || {
            let word = voice.peek()?;
            voice.advance();
            Some((word.text, word.start_us))
        };
        (0..count).map_while(|_| next()).collect()
    }

    #[test]
    fn counting_pauses() {
        let script = Script::counting_with_pauses(2, Duration::from_secs(1));
        let words = first(&mut script.voice(None), 3);
        let expected = [("w0001", 0), ("w0002", 250_000), ("w0003", 1_500_000)];
        assert_eq!(words, expected.map(|(word, at)| (word.to_owned(), at)));
    }

    #[test]
    fn words_repeat() {
        let script = Script::words(vec![Word::new("a", 0.5, 0.6)]);
        let script = script.repeated_every(Duration::from_secs(2));
        let starts: Vec<_> =
            first(&mut script.voice(None), 3).into_iter().map(|(_, at)| at).collect();
        assert_eq!(starts, [500_000, 2_500_000, 4_500_000]);
        assert!(
            Script::silence().repeated_every(Duration::from_secs(1)).voice(None).peek().is_none()
        );
    }

    #[test]
    fn fixtures_carry_punctuation_and_channels() {
        let jfk = Script::fixture("jfk.wav").unwrap().voice(None).peek().unwrap();
        assert_eq!((jfk.text.as_str(), jfk.punctuated.as_deref()), ("and", Some("And")));
        let stereo = Script::fixture("multi/stereo_diarization.wav").unwrap();
        assert_eq!(stereo.voice(Some(1)).peek().unwrap().text, "the");
        assert_eq!(stereo.voice(Some(0)).peek().unwrap().text, "he");
    }
}
