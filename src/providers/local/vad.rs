//! Voice activity: how likely it is that a frame of 32 ms holds speech (Silero, 16 kHz).

use ort::{session::Session, value::TensorRef};

use crate::media::SPEECH_HERTZ;

/// Samples of one frame: 32 ms.
pub(super) const FRAME_SAMPLES: usize = 512;
/// Samples of the frame before that the model hears again.
const CONTEXT_SAMPLES: usize = 64;
const STATE_SIZE: usize = 2 * 128;

/// What the detector remembers of one stream.
#[derive(Debug)]
pub(super) struct VadMemory {
    state: Vec<f32>,
    // The context, and room for the frame after it.
    input: Vec<f32>,
}

impl Default for VadMemory {
    fn default() -> Self {
        Self { state: vec![0.0; STATE_SIZE], input: vec![0.0; CONTEXT_SAMPLES + FRAME_SAMPLES] }
    }
}

/// The detector of one worker.
pub(super) struct Vad {
    session: Session,
}

impl Vad {
    pub(super) const fn new(session: Session) -> Self {
        Self { session }
    }

    /// The probability of speech in `frame`, of at most [`FRAME_SAMPLES`] samples; a shorter one
    /// is filled up with silence.
    pub(super) fn hear(&mut self, memory: &mut VadMemory, frame: &[f32]) -> Result<f32, String> {
        self.run(memory, frame).map_err(|error| error.to_string())
    }

    fn run(&mut self, memory: &mut VadMemory, frame: &[f32]) -> ort::Result<f32> {
        let length = frame.len().min(FRAME_SAMPLES);
        let (_, room) = memory.input.split_at_mut(CONTEXT_SAMPLES);
        room[..length].copy_from_slice(&frame[..length]);
        room[length..].fill(0.0);
        let input = TensorRef::from_array_view(([1, memory.input.len()], memory.input.as_slice()))?;
        let state = TensorRef::from_array_view(([2_usize, 1, 128], memory.state.as_slice()))?;
        let hertz = [i64::from(SPEECH_HERTZ)];
        let hertz = TensorRef::from_array_view((Vec::<i64>::new(), hertz.as_slice()))?;
        let outputs =
            self.session.run(ort::inputs! { "input" => input, "state" => state, "sr" => hertz })?;
        let probability = outputs["output"].try_extract_tensor::<f32>()?.1.first().copied();
        let next = outputs["stateN"].try_extract_tensor::<f32>()?.1.to_vec();
        memory.state = next;
        memory.input.copy_within(FRAME_SAMPLES.., 0);
        Ok(probability.unwrap_or(0.0))
    }
}
