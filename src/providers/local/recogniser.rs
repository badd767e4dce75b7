//! Speech to text: Moonshine's encoder, then its decoder token by token.

use std::{borrow::Cow, sync::Arc};

use ort::{
    session::{Session, SessionInputValue, SessionOutputs},
    value::{DynValue, Tensor},
};

use super::tokenizer::Tokenizer;
use crate::media::SPEECH_HERTZ;

/// Shorter audio is filled up with silence: the encoder's strides need some.
const MIN_SAMPLES: usize = SPEECH_HERTZ as usize / 4;
/// Speech has fewer tokens a second; more means that the decoder repeats itself.
const TOKENS_A_SECOND: f32 = 6.5;
const START: i64 = 1;
const END: i64 = 2;
const LAYERS: usize = 6;
const HEADS: i64 = 8;
const HEAD_SIZE: i64 = 36;

/// What was recognised in a stretch of speech.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Recognition {
    /// With punctuation and capitals.
    pub(super) text: String,
    /// exp of the tokens' mean log-probability.
    pub(super) confidence: f32,
}

/// The recogniser of one worker.
pub(super) struct Recogniser {
    encoder: Session,
    decoder: Session,
    tokenizer: Arc<Tokenizer>,
}

type Inputs<'v> = Vec<(Cow<'static, str>, SessionInputValue<'v>)>;

/// One kind of the decoder's memory: name of the input, name of the output, and the value.
struct Memory {
    past: String,
    present: String,
    value: DynValue,
}

impl Recogniser {
    pub(super) const fn new(encoder: Session, decoder: Session, tokenizer: Arc<Tokenizer>) -> Self {
        Self { encoder, decoder, tokenizer }
    }

    /// Recognises 16 kHz mono samples; seconds of them, not minutes.
    pub(super) fn recognise(&mut self, mut samples: Vec<f32>) -> Result<Recognition, String> {
        if samples.len() < MIN_SAMPLES {
            samples.resize(MIN_SAMPLES, 0.0);
        }
        let (tokens, mean) = self.run(samples).map_err(|error| error.to_string())?;
        Ok(Recognition { text: self.tokenizer.decode(&tokens), confidence: mean.exp() })
    }

    /// The tokens, and the mean log-probability of each step.
    fn run(&mut self, samples: Vec<f32>) -> ort::Result<(Vec<i64>, f32)> {
        let count = samples.len();
        let most = (count as f32 / SPEECH_HERTZ as f32 * TOKENS_A_SECOND).ceil() as usize + 1;
        let mask = Tensor::from_array(([1, count], vec![1_i64; count]))?;
        let hidden = encode(&mut self.encoder, samples, &mask)?;
        let mut memories = empty_memories()?;
        let (mut tokens, mut sum, mut last, mut steps) = (Vec::new(), 0.0, START, 0.0);
        for step in 0..most {
            let inputs = step_inputs(last, step > 0, &hidden, &mask, &memories)?;
            let mut outputs = self.decoder.run(inputs)?;
            let (best, log_probability) = best_token(&outputs)?;
            sum += log_probability;
            steps += 1.0;
            if best == END {
                break;
            }
            tokens.push(best);
            last = best;
            keep(&mut memories, &mut outputs, step == 0);
        }
        Ok((tokens, sum / steps))
    }
}

fn encode(encoder: &mut Session, samples: Vec<f32>, mask: &Tensor<i64>) -> ort::Result<DynValue> {
    let input = Tensor::from_array(([1, samples.len()], samples))?;
    let inputs: Inputs<'_> =
        vec![("input_values".into(), input.into()), ("attention_mask".into(), mask.into())];
    let mut outputs = encoder.run(inputs)?;
    outputs
        .remove("last_hidden_state")
        .ok_or_else(|| ort::Error::new("the encoder has no last_hidden_state"))
}

/// The mask counts samples, not encoder frames: the decoder strides over it.
fn step_inputs<'v>(
    token: i64,
    cached: bool,
    hidden: &'v DynValue,
    mask: &'v Tensor<i64>,
    memories: &'v [Memory],
) -> ort::Result<Inputs<'v>> {
    let mut inputs: Inputs<'v> = vec![
        ("input_ids".into(), Tensor::from_array(([1, 1], vec![token]))?.into()),
        ("encoder_hidden_states".into(), hidden.into()),
        ("encoder_attention_mask".into(), mask.into()),
        ("use_cache_branch".into(), Tensor::from_array(([1], vec![cached]))?.into()),
    ];
    for memory in memories {
        inputs.push((memory.past.clone().into(), (&memory.value).into()));
    }
    Ok(inputs)
}

fn empty_memories() -> ort::Result<Vec<Memory>> {
    let mut memories = Vec::with_capacity(LAYERS * 4);
    for layer in 0..LAYERS {
        for kind in ["decoder.key", "decoder.value", "encoder.key", "encoder.value"] {
            let empty = Tensor::from_array((vec![1, HEADS, 0, HEAD_SIZE], Vec::<f32>::new()))?;
            memories.push(Memory {
                past: format!("past_key_values.{layer}.{kind}"),
                present: format!("present.{layer}.{kind}"),
                value: empty.into_dyn(),
            });
        }
    }
    Ok(memories)
}

/// Keeps the step's memory; the encoder's only of the first step, later ones are dummies.
fn keep(memories: &mut [Memory], outputs: &mut SessionOutputs<'_>, first: bool) {
    for memory in memories {
        if (first || memory.present.contains("decoder"))
            && let Some(value) = outputs.remove(&memory.present)
        {
            memory.value = value;
        }
    }
}

/// The likeliest token and its log-probability.
fn best_token(outputs: &SessionOutputs<'_>) -> ort::Result<(i64, f32)> {
    let (_, logits) = outputs["logits"].try_extract_tensor::<f32>()?;
    let (mut best, mut top) = (0, f32::NEG_INFINITY);
    for (token, &logit) in (0..).zip(logits) {
        if logit > top {
            (best, top) = (token, logit);
        }
    }
    let mut sum = 0.0;
    for &logit in logits {
        sum += (logit - top).exp();
    }
    Ok((best, -f32::ln(sum)))
}
