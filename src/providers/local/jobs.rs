//! What a stream asks of the workers: at most one task of each kind at a time.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{
    pool::{Pool, Urgency},
    recogniser::Recognition,
    vad::{FRAME_SAMPLES, VadMemory},
    words::Span,
};
use crate::providers::{ErrorClass, ProviderError};

/// Frames with their probabilities of speech.
pub(super) struct Listened {
    pub(super) memory: VadMemory,
    pub(super) samples: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
}

/// The answer to a task; an error is the model's.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, String>>;

/// Asks for the probability of speech in each frame of `samples`.
pub(super) fn listen(
    pool: &Pool,
    mut memory: VadMemory,
    samples: Vec<f32>,
) -> Result<Answer<Listened>, ProviderError> {
    let (reply, answer) = oneshot::channel();
    let task = Box::new(move |models: &mut super::pool::Models| {
        let frames = samples.chunks(FRAME_SAMPLES);
        let probabilities = frames.map(|frame| models.vad.hear(&mut memory, frame)).collect();
        let listened = |probabilities| Listened { memory, samples, probabilities };
        // The stream may be gone: then nobody wants to know.
        reply.send(Result::map(probabilities, listened)).ok();
    });
    queued(pool.submit(Urgency::Listen, task)).map(|()| answer)
}

/// Asks for the final text of `samples`.
pub(super) fn recognise(
    pool: &Pool,
    samples: Vec<f32>,
) -> Result<Answer<Recognition>, ProviderError> {
    let (reply, answer) = oneshot::channel();
    let task = Box::new(move |models: &mut super::pool::Models| {
        reply.send(models.recogniser.recognise(samples)).ok();
    });
    queued(pool.submit(Urgency::Final, task)).map(|()| answer)
}

/// The one partial decode that a stream may have waiting: a newer one takes its place.
#[derive(Default)]
pub(super) struct Partials {
    slot: Arc<Mutex<Slot>>,
    pub(super) awaited: Option<(Span, Answer<Recognition>)>,
}

#[derive(Default)]
struct Slot {
    request: Option<Request>,
    queued: bool,
}

struct Request {
    samples: Vec<f32>,
    reply: oneshot::Sender<Result<Recognition, String>>,
}

impl Partials {
    /// Asks for the text so far; `true` if that replaced a request which had not begun.
    pub(super) fn offer(
        &mut self,
        pool: &Pool,
        span: Span,
        samples: Vec<f32>,
    ) -> Result<bool, ProviderError> {
        let (reply, answer) = oneshot::channel();
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = slot.request.replace(Request { samples, reply }).is_some();
        self.awaited = Some((span, answer));
        if slot.queued {
            return Ok(replaced);
        }
        slot.queued = true;
        drop(slot);
        let shared = Arc::clone(&self.slot);
        let task = Box::new(move |models: &mut super::pool::Models| {
            let request = {
                let mut slot = shared.lock().unwrap_or_else(PoisonError::into_inner);
                slot.queued = false;
                slot.request.take()
            };
            if let Some(Request { samples, reply }) = request {
                reply.send(models.recogniser.recognise(samples)).ok();
            }
        });
        queued(pool.submit(Urgency::Partial, task)).map(|()| replaced)
    }

    /// Gives up on what was asked; `true` if that had not begun.
    pub(super) fn withdraw(&mut self) -> bool {
        self.awaited = None;
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).request.take().is_some()
    }
}

impl Drop for Partials {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// Waits for an answer; for ever if nothing was asked.
pub(super) async fn answered<T>(answer: Option<&mut Answer<T>>) -> Result<T, ProviderError> {
    let Some(answer) = answer else { return std::future::pending().await };
    match answer.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(detail)) => {
            Err(ProviderError::new(ErrorClass::Unavailable, "decode_failed", detail))
        }
        Err(_) => {
            let detail = "a speech worker broke down over this stream";
            Err(ProviderError::new(ErrorClass::Unavailable, "decode_panicked", detail))
        }
    }
}

fn queued(accepted: bool) -> Result<(), ProviderError> {
    let detail = "the queue of the speech workers is full";
    let full = || ProviderError::new(ErrorClass::Capacity, "queue_full", detail);
    accepted.then_some(()).ok_or_else(full)
}
