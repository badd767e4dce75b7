//! Where a recording is cut: at the quietest place before each border. Pure.

/// Samples of a millisecond.
const PER_MS: usize = 16;
/// Samples that are looked at together: 20 ms.
const FRAME: usize = 20 * PER_MS;
/// Frames that are quiet together where it is cut: 300 ms, longer than a stop in a word.
const QUIET_FRAMES: usize = 15;
/// How far before the border a quiet place is looked for, in samples: 30 s.
const WINDOW: usize = 30_000 * PER_MS;

/// Cuts 16 kHz samples into pieces that tile them.
pub(super) struct Cutter {
    /// Most samples of a piece.
    longest: usize,
    /// Where in the recording the present piece begins, and how much of it was handed on.
    begun: usize,
    handed: usize,
    /// The end of the present piece, in which it may be cut.
    held: Vec<i16>,
}

/// What follows from samples.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// These belong to the present piece.
    Write(Vec<i16>),
    /// The present piece ends.
    End,
}

impl Cutter {
    /// Pieces of at most so many milliseconds.
    pub(super) fn new(longest_ms: u64) -> Self {
        let longest = usize::try_from(longest_ms).unwrap_or(usize::MAX).saturating_mul(PER_MS);
        Self { longest: longest.max(2 * FRAME), begun: 0, handed: 0, held: Vec::new() }
    }

    /// Samples of the whole so far.
    pub(super) const fn samples(&self) -> usize {
        self.begun + self.handed + self.held.len()
    }

    /// More of the recording.
    pub(super) fn push(&mut self, samples: &[i16]) -> Vec<Step> {
        self.held.extend_from_slice(samples);
        let mut steps = Vec::new();
        while self.handed + self.held.len() > self.longest {
            let until = self.longest - self.handed;
            let cut = quietest(&self.held[..until]);
            self.hand(cut, &mut steps);
            steps.push(Step::End);
            self.begun += self.handed;
            self.handed = 0;
        }
        // Before the window nothing is cut any more.
        let free = (self.handed + self.held.len() + WINDOW).saturating_sub(self.longest);
        self.hand(free.min(self.held.len()).min(self.before_window()), &mut steps);
        steps
    }

    /// No more comes.
    pub(super) fn finish(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.hand(self.held.len(), &mut steps);
        steps.push(Step::End);
        steps
    }

    /// Held samples that lie before the window of the present piece.
    fn before_window(&self) -> usize {
        self.longest.saturating_sub(WINDOW).saturating_sub(self.handed).min(self.held.len())
    }

    fn hand(&mut self, count: usize, steps: &mut Vec<Step>) {
        if count > 0 {
            self.handed += count;
            steps.push(Step::Write(self.held.drain(..count).collect()));
        }
    }
}

/// The middle of the quietest stretch of the last of these samples; never their beginning.
fn quietest(samples: &[i16]) -> usize {
    let from = samples.len().saturating_sub(WINDOW);
    let frames: Vec<f64> = samples[from..].chunks_exact(FRAME).map(loudness).collect();
    let stretch = QUIET_FRAMES.min(frames.len()).max(1);
    let sums = frames.windows(stretch).map(|frames| frames.iter().sum::<f64>());
    // Of equal ones the last, so that pieces are long.
    let best =
        sums.enumerate().min_by(|one, other| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0)));
    let at = best.map_or(samples.len(), |(at, _)| from + at * FRAME + stretch * FRAME / 2);
    at.clamp(1, samples.len())
}

fn loudness(frame: &[i16]) -> f64 {
    frame.iter().map(|sample| f64::from(*sample).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a recording through in portions; the pieces.
    fn cut(samples: &[i16], longest_ms: u64, portion: usize) -> Vec<Vec<i16>> {
        let mut cutter = Cutter::new(longest_ms);
        let mut steps = Vec::new();
        samples.chunks(portion.max(1)).for_each(|portion| steps.extend(cutter.push(portion)));
        assert_eq!(cutter.samples(), samples.len());
        steps.extend(cutter.finish());
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Write(samples) => piece.extend(samples),
                Step::End => pieces.push(std::mem::take(&mut piece)),
            }
        }
        pieces
    }

    #[test]
    fn it_is_cut_where_nobody_speaks() {
        let second = |level: i16| vec![level; 16_000];
        // Ten seconds of speech, half a second of silence, ten of speech.
        let mut samples: Vec<i16> = (0..10).flat_map(|_| second(1_000)).collect();
        samples.extend(vec![0; 8_000]);
        samples.extend((0..10).flat_map(|_| second(1_000)));
        let pieces = cut(&samples, 15_000, 4_000);
        assert_eq!(pieces.len(), 2);
        let at = pieces[0].len();
        assert!((160_000..=168_000).contains(&at), "cut at {at}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pieces_tile_the_recording_and_none_is_too_long(
            levels in proptest::collection::vec(-2_000_i16..2_000, 1..90),
            longest_ms in 1_000_u64..70_000,
            portion in 100_usize..50_000,
        ) {
            let samples: Vec<i16> = levels.iter().flat_map(|level| vec![*level; 16_000]).collect();
            let pieces = cut(&samples, longest_ms, portion);
            let whole: Vec<i16> = pieces.concat();
            prop_assert!(whole == samples, "what was cut is not what came");
            for piece in &pieces {
                prop_assert!(piece.len() <= longest_ms as usize * 16);
                prop_assert!(!piece.is_empty());
            }
        }
    }
}
