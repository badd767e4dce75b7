//! Cuts a stream into utterances by the probability of speech in each frame; no model, no clock.

use super::vad::FRAME_SAMPLES;
use crate::media::SPEECH_HERTZ;

const SECOND: u64 = SPEECH_HERTZ as u64;
const MILLISECOND: u64 = SECOND / 1000;
/// Speech begins in a frame above this, and frames above it count as speech.
const ON: f32 = 0.5;
/// Speech goes on in a frame of at least this.
const STAY: f32 = 0.35;
/// What is kept of the time before speech: soft beginnings of words.
const PRE_ROLL: u64 = 300 * MILLISECOND;
/// Silence after speech that the recogniser still gets to hear.
const POST_ROLL: u64 = 500 * MILLISECOND;
/// Frames of speech (192 ms) below which there was a click, not a word.
const MIN_SPEECH_FRAMES: usize = 6;
/// The same after a cut: the rest of a word.
const MIN_REST_FRAMES: usize = 2;
const LONGEST: u64 = 10 * SECOND;
/// How far back from the longest a cut may lie.
const CUT_WINDOW: u64 = 3 * SECOND;

/// What the segmenter makes of the stream.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// Speech began at this sample.
    Started(u64),
    /// It is time to show what the open utterance says so far.
    Partial(Utterance),
    /// An utterance is complete.
    Complete(Utterance),
}

/// A stretch with speech in it; positions are samples of the stream.
#[derive(Debug, PartialEq)]
pub(super) struct Utterance {
    /// Everything before is done with.
    pub(super) start: u64,
    /// The first sample after it.
    pub(super) end: u64,
    /// Where speech was first heard in it.
    pub(super) speech_start: u64,
    /// Where speech was last heard in it.
    pub(super) speech_end: u64,
    /// Whether a pause ended it.
    pub(super) paused: bool,
    /// What the recogniser shall hear.
    pub(super) samples: Vec<f32>,
}

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Segmenter {
    // Samples that are not done with; the first is number `start` of the stream.
    audio: Vec<f32>,
    start: u64,
    pause: Option<u64>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    onset: u64,
    speech_end: u64,
    announced: bool,
    next_partial: u64,
    min_frames: usize,
    frames: Vec<Frame>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    end: u64,
    probability: f32,
}

impl Segmenter {
    /// Ends utterances after `pause_ms` of silence, or never by a pause.
    pub(super) fn new(pause_ms: Option<u32>) -> Self {
        let pause = pause_ms.map(|ms| u64::from(ms) * MILLISECOND);
        Self { audio: Vec::new(), start: 0, pause, open: None }
    }

    /// Samples heard so far.
    pub(super) fn position(&self) -> u64 {
        self.start + self.audio.len() as u64
    }

    /// Everything before this sample is in a complete utterance or was silence.
    pub(super) const fn done_until(&self) -> u64 {
        self.start
    }

    /// Where the open speech began, if somebody speaks.
    pub(super) fn speaking_since(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.onset)
    }

    /// Takes one frame, of at most [`FRAME_SAMPLES`] samples, and its probability of speech.
    pub(super) fn push(&mut self, samples: &[f32], probability: f32, heard: &mut Vec<Heard>) {
        let from = self.position();
        self.audio.extend_from_slice(samples);
        let frame = Frame { end: self.position(), probability };
        match &mut self.open {
            Some(open) => open.note(frame),
            None if probability > ON => self.open = Some(Open::at(from, frame)),
            None => return self.forget_silence(),
        }
        self.judge(heard);
    }

    /// Ends the open utterance here, if there is one; the silence before is done with too.
    pub(super) fn finish(&mut self, heard: &mut Vec<Heard>) {
        if self.open.is_some() {
            self.close(false, heard);
        }
        self.drop_until(self.position());
    }

    fn judge(&mut self, heard: &mut Vec<Heard>) {
        let (start, now) = (self.start, self.position());
        let Some(open) = &mut self.open else { return };
        if !open.announced && open.is_speech() {
            open.announced = true;
            heard.push(Heard::Started(open.onset));
        }
        if self.pause.is_some_and(|pause| now - open.speech_end >= pause) {
            self.close(true, heard);
        } else if now - start >= LONGEST {
            self.cut(heard);
        } else if open.announced && now >= open.next_partial {
            let step = if now - start < 5 * SECOND { SECOND / 2 } else { SECOND };
            open.next_partial = now + step;
            heard.extend(self.utterance(now, false).map(Heard::Partial));
        }
    }

    fn close(&mut self, paused: bool, heard: &mut Vec<Heard>) {
        let now = self.position();
        let complete = self.utterance(now, paused);
        self.open = None;
        match complete {
            Some(complete) => {
                heard.push(Heard::Complete(complete));
                self.drop_until(now);
            }
            None => self.forget_silence(),
        }
    }

    /// Ends the utterance at the frame of the last seconds that is least like speech, and carries
    /// the rest over.
    fn cut(&mut self, heard: &mut Vec<Heard>) {
        let now = self.position();
        let Some(open) = &self.open else { return };
        let recent = open.frames.iter().filter(|frame| frame.end + CUT_WINDOW > now);
        let least = recent.min_by(|a, b| a.probability.total_cmp(&b.probability));
        let at = least.map_or(now, |frame| frame.end);
        heard.extend(self.utterance(at, false).map(Heard::Complete));
        self.drop_until(at);
        self.open = self.open.take().and_then(|open| open.rest(at, now));
        if self.open.is_none() {
            self.forget_silence();
        }
    }

    /// The open utterance up to `end`, if it holds speech.
    fn utterance(&self, end: u64, paused: bool) -> Option<Utterance> {
        let open = self.open.as_ref()?;
        let frames = || open.frames.iter().filter(|frame| frame.end <= end);
        if frames().filter(|frame| frame.probability > ON).count() < open.min_frames {
            return None;
        }
        let last = frames().rfind(|frame| frame.probability >= STAY);
        let speech_end = last.map_or(end, |frame| frame.end);
        let heard_until = end.min(speech_end + POST_ROLL);
        let samples = self.audio[..(heard_until - self.start) as usize].to_vec();
        Some(Utterance {
            start: self.start,
            end,
            speech_start: open.onset,
            speech_end,
            paused,
            samples,
        })
    }

    fn forget_silence(&mut self) {
        let from = self.position().saturating_sub(PRE_ROLL);
        self.drop_until(from.max(self.start));
    }

    fn drop_until(&mut self, sample: u64) {
        self.audio.drain(..(sample - self.start) as usize);
        self.start = sample;
    }
}

impl Open {
    fn at(onset: u64, frame: Frame) -> Self {
        Self {
            onset,
            speech_end: frame.end,
            announced: false,
            next_partial: onset + SECOND / 2,
            min_frames: MIN_SPEECH_FRAMES,
            frames: vec![frame],
        }
    }

    fn note(&mut self, frame: Frame) {
        if frame.probability >= STAY {
            self.speech_end = frame.end;
        }
        self.frames.push(frame);
    }

    fn is_speech(&self) -> bool {
        self.frames.iter().filter(|frame| frame.probability > ON).count() >= self.min_frames
    }

    /// What goes on after a cut, if speech does.
    fn rest(self, cut: u64, now: u64) -> Option<Self> {
        let frames: Vec<_> = self.frames.into_iter().filter(|frame| frame.end > cut).collect();
        let first = frames.iter().find(|frame| frame.probability > ON)?;
        Some(Self {
            onset: first.end.saturating_sub(FRAME_SAMPLES as u64).max(cut),
            speech_end: self.speech_end.max(cut),
            announced: true,
            next_partial: now + SECOND / 2,
            min_frames: MIN_REST_FRAMES,
            frames,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: u64 = FRAME_SAMPLES as u64;

    fn run(segmenter: &mut Segmenter, probabilities: &[(usize, f32)]) -> Vec<Heard> {
        let mut heard = Vec::new();
        for &(count, probability) in probabilities {
            for _ in 0..count {
                segmenter.push(&[probability; FRAME_SAMPLES], probability, &mut heard);
            }
        }
        heard
    }

    fn complete(heard: &[Heard]) -> Vec<&Utterance> {
        let mut all = Vec::new();
        for heard in heard {
            if let Heard::Complete(utterance) = heard {
                all.push(utterance);
            }
        }
        all
    }

    #[test]
    fn speech_between_pauses_is_an_utterance_with_pre_roll() {
        let mut segmenter = Segmenter::new(Some(500));
        let heard = run(&mut segmenter, &[(50, 0.0), (30, 0.9), (30, 0.1)]);
        assert_eq!(heard[0], Heard::Started(50 * FRAME));
        let [utterance] = complete(&heard)[..] else { panic!("{heard:?}") };
        assert_eq!(utterance.start, 50 * FRAME - PRE_ROLL);
        assert_eq!((utterance.speech_start, utterance.speech_end), (50 * FRAME, 80 * FRAME));
        assert!(utterance.paused);
        assert!(utterance.end - utterance.speech_end >= 500 * MILLISECOND);
        assert!(segmenter.done_until() >= utterance.end);
    }

    #[test]
    fn a_click_is_no_utterance_and_silence_is_done_with() {
        let mut segmenter = Segmenter::new(Some(500));
        assert_eq!(run(&mut segmenter, &[(20, 0.0), (5, 0.9), (60, 0.0)]), []);
        assert_eq!(segmenter.done_until(), 85 * FRAME - PRE_ROLL);
    }

    #[test]
    fn partials_come_each_half_second_then_each_second() {
        let heard = run(&mut Segmenter::new(Some(500)), &[(300, 0.9)]);
        let ends: Vec<_> = heard
            .iter()
            .filter_map(|heard| match heard {
                Heard::Partial(utterance) => Some(utterance.end * 10 / SECOND),
                _ => None,
            })
            .collect();
        assert_eq!(ends, [5, 10, 15, 20, 25, 30, 35, 40, 46, 51, 61, 71, 81, 92]);
    }

    #[test]
    fn long_speech_is_cut_where_it_is_least_like_speech() {
        let mut segmenter = Segmenter::new(Some(500));
        let heard = run(&mut segmenter, &[(260, 0.9), (1, 0.4), (100, 0.9)]);
        let [utterance] = complete(&heard)[..] else { panic!("{heard:?}") };
        assert_eq!((utterance.start, utterance.end), (0, 261 * FRAME));
        assert!(!utterance.paused);
        assert_eq!(segmenter.done_until(), utterance.end);
        assert_eq!(segmenter.speaking_since(), Some(261 * FRAME));
    }

    #[test]
    fn without_endpointing_silence_after_a_cut_is_let_go() {
        let mut segmenter = Segmenter::new(None);
        let heard = run(&mut segmenter, &[(50, 0.9), (400, 0.0)]);
        let [utterance] = complete(&heard)[..] else { panic!("{heard:?}") };
        assert!(!utterance.paused);
        assert_eq!(segmenter.speaking_since(), None);
        assert_eq!(segmenter.done_until(), 450 * FRAME - PRE_ROLL);
    }

    #[test]
    fn finish_ends_what_is_open_and_all_is_done_with() {
        let mut segmenter = Segmenter::new(Some(500));
        let mut heard = run(&mut segmenter, &[(20, 0.9)]);
        segmenter.push(&[0.9; 100], 0.9, &mut heard);
        segmenter.finish(&mut heard);
        assert_eq!(complete(&heard)[0].end, 20 * FRAME + 100);
        assert_eq!(segmenter.done_until(), segmenter.position());
    }

    proptest! {
        #[test]
        fn utterances_are_in_order_and_memory_is_bounded(
            frames in proptest::collection::vec(0.0_f32..1.0, 0..2000),
            pause in proptest::option::of(100_u32..3000),
        ) {
            let mut segmenter = Segmenter::new(pause);
            let mut heard = Vec::new();
            for probability in frames {
                segmenter.push(&[0.0; FRAME_SAMPLES], probability, &mut heard);
                prop_assert!(segmenter.audio.len() as u64 <= LONGEST + FRAME);
            }
            segmenter.finish(&mut heard);
            let mut until = 0;
            for utterance in complete(&heard) {
                prop_assert!(utterance.start >= until && utterance.end > utterance.start);
                prop_assert!(utterance.speech_start >= utterance.start);
                prop_assert!(utterance.speech_end <= utterance.end);
                until = utterance.end;
            }
            prop_assert!(segmenter.done_until() >= until);
        }
    }
}
