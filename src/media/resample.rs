//! Brings a stream of mono samples to the rate that speech models hear.

use rubato::{
    Async, FixedAsync, Indexing, Resampler as _, SincInterpolationParameters,
    SincInterpolationType, WindowFunction, audioadapter_buffers::direct::InterleavedSlice,
};

use super::SPEECH_HERTZ;

/// Sample rates that are taken, in hertz.
pub const HERTZ: std::ops::RangeInclusive<u32> = 8_000..=48_000;

/// Converts one stream; what comes out is aligned in time with what went in.
pub struct Resampler {
    inner: Option<Inner>,
}

struct Inner {
    sinc: Async<f32>,
    input: Vec<f32>,
    output: Vec<f32>,
    // Output samples of the filter's delay that are still to be left out.
    skip: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A converter from `hertz`, or `None` where the rate is outside [`HERTZ`].
    pub fn new(hertz: u32) -> Option<Self> {
        if !HERTZ.contains(&hertz) {
            return None;
        }
        let inner = if hertz == SPEECH_HERTZ { None } else { Some(Inner::new(hertz)?) };
        Some(Self { inner })
    }

    /// Appends to `speech` what `mono` completes; up to 10 ms stay behind.
    pub fn push(&mut self, mono: &[f32], speech: &mut Vec<f32>) {
        match &mut self.inner {
            None => speech.extend_from_slice(mono),
            Some(inner) => inner.push(mono, speech),
        }
    }

    /// Appends what is left; the stream is over.
    pub fn finish(&mut self, speech: &mut Vec<f32>) {
        if let Some(inner) = &mut self.inner {
            inner.finish(speech);
        }
    }
}

impl Inner {
    fn new(hertz: u32) -> Option<Self> {
        let ratio = f64::from(SPEECH_HERTZ) / f64::from(hertz);
        let filter = SincInterpolationParameters::new(64, WindowFunction::Blackman2)
            .interpolation(SincInterpolationType::Linear);
        let chunk = (hertz / 100) as usize;
        let sinc = Async::new_sinc(ratio, 1.0, &filter, chunk, 1, FixedAsync::Input).ok()?;
        let output = vec![0.0; sinc.output_frames_max()];
        let skip = sinc.output_delay();
        Some(Self { sinc, input: Vec::new(), output, skip, taken: 0, given: 0 })
    }

    fn push(&mut self, mono: &[f32], speech: &mut Vec<f32>) {
        self.taken += mono.len() as u64;
        self.input.extend_from_slice(mono);
        let chunk = self.sinc.input_frames_next();
        let mut used = 0;
        while self.input.len() - used >= chunk {
            self.convert(used, speech);
            used += chunk;
        }
        self.input.drain(..used);
    }

    fn finish(&mut self, speech: &mut Vec<f32>) {
        let due = (self.taken as f64 * self.sinc.resample_ratio()).round() as u64;
        let chunk = self.sinc.input_frames_next();
        // The filter's delay is far shorter than a second: this ends.
        for _ in 0..100 {
            if self.given >= due {
                break;
            }
            self.input.resize(chunk, 0.0);
            self.convert(0, speech);
            self.input.clear();
        }
        let surplus = (self.given.saturating_sub(due)) as usize;
        speech.truncate(speech.len().saturating_sub(surplus));
        self.given = due;
    }

    fn convert(&mut self, from: usize, speech: &mut Vec<f32>) {
        let chunk = self.sinc.input_frames_next();
        let room = self.output.len();
        let Ok(input) = InterleavedSlice::new(&self.input[from..], 1, chunk) else { return };
        let Ok(mut output) = InterleavedSlice::new_mut(&mut self.output, 1, room) else { return };
        // Sizes are exact and there is one channel, so that the only errors cannot occur.
        let Ok((_, made)) =
            self.sinc.process_into_buffer(&input, &mut output, Some(&Indexing::new()))
        else {
            return;
        };
        let skipped = self.skip.min(made);
        self.skip -= skipped;
        self.given += (made - skipped) as u64;
        speech.extend_from_slice(&self.output[skipped..made]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: u32, tone_hertz: f32, seconds: f32) -> Vec<f32> {
        let count = (hertz as f32 * seconds) as usize;
        let step = std::f32::consts::TAU * tone_hertz / hertz as f32;
        (0..count).map(|at| (at as f32 * step).sin()).collect()
    }

    fn convert(hertz: u32, mono: &[f32], chunk: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(hertz).unwrap();
        let mut speech = Vec::new();
        for part in mono.chunks(chunk) {
            resampler.push(part, &mut speech);
        }
        resampler.finish(&mut speech);
        speech
    }

    fn difference(heard: &[f32], wanted: &[f32]) -> f32 {
        heard.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// To a sample: the filter's delay is not always a whole number of them.
    #[test]
    fn a_tone_keeps_its_place_and_pitch_at_every_rate() {
        let wanted = tone(16_000, 440.0, 0.5);
        for hertz in [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
            let heard = convert(hertz, &tone(hertz, 440.0, 0.5), 333);
            assert!(heard.len().abs_diff(8_000) <= 1, "{hertz}: {}", heard.len());
            let worst = (999..=1_001).map(|from| difference(&heard[1_000..7_000], &wanted[from..]));
            let worst = worst.fold(f32::MAX, f32::min);
            assert!(worst < 0.1, "{hertz}: {worst}");
        }
    }

    #[test]
    fn what_cannot_be_heard_is_not_folded_back() {
        let heard = convert(48_000, &tone(48_000, 15_000.0, 0.5), 480);
        let loudest = heard[1_000..7_000].iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(loudest < 0.01, "{loudest}");
    }

    #[test]
    fn rates_outside_the_range_are_not_taken() {
        assert!(Resampler::new(7_999).is_none());
        assert!(Resampler::new(48_001).is_none());
    }
}
