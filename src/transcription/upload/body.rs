//! A request's body in pieces, handed on one at a time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::Stream;

use crate::web::body::drain;

/// Bytes that may come without being part of a field: its head, and what stands around it.
const MOST_UNCLAIMED_BYTES: usize = 1024 * 1024;

/// A body that gives one piece each time it is looked at. The parser takes whatever is there: from
/// a fast client that would be all of it.
pub(super) struct Paced {
    body: BodyDataStream,
    gave: bool,
    unclaimed: Arc<AtomicUsize>,
}

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The head of a part does not end.
    #[error("the head of a part is too long")]
    Endless,
    /// The connection broke.
    #[error("the body ended early: {0}")]
    Lost(#[from] axum::Error),
}

/// Tells the body that what it gave has been used.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim(Arc<AtomicUsize>);

impl Claim {
    /// All of it.
    pub(super) fn all(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Paced {
    pub(super) fn new(body: Body, claim: &Claim) -> Self {
        Self { body: body.into_data_stream(), gave: false, unclaimed: claim.0.clone() }
    }

    /// Reads on for a moment, or closing the connection would take the answer from its reader.
    pub(super) async fn linger(&mut self) {
        drain(&mut self.body).await;
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.gave) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(piece) = ready!(Pin::new(&mut self.body).poll_next(context)) else {
            return Poll::Ready(None);
        };
        self.gave = true;
        let piece = piece?;
        let unclaimed = self.unclaimed.fetch_add(piece.len(), Ordering::Relaxed);
        Poll::Ready(Some(if unclaimed > MOST_UNCLAIMED_BYTES {
            Err(Broken::Endless)
        } else {
            Ok(piece)
        }))
    }
}
