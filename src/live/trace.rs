//! The trace of a sampled session: each chunk's stages, from received to delivered.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, UNIX_EPOCH},
};

use opentelemetry::{
    KeyValue,
    trace::{SpanContext, Status},
};

use crate::{
    model::SessionId,
    telemetry::spans::{Anchor, Record, Tracer},
};

/// Chunks whose final has not come yet; past it the oldest are let go.
const BOUND: usize = 4096;

/// Collects the facts of one session's chunks.
#[derive(Debug)]
pub struct SessionTrace {
    tracer: Tracer,
    anchor: Anchor,
    session: SessionId,
    start: SpanContext,
    chunks: VecDeque<Stages>,
}

#[derive(Debug)]
struct Stages {
    seq: u64,
    bytes: usize,
    end_ms: u64,
    received: Instant,
    queued: Instant,
    sent: Option<Instant>,
}

impl SessionTrace {
    /// Begins the trace of a sampled session.
    pub fn begin(tracer: Tracer, session: SessionId, attributes: Vec<KeyValue>) -> Self {
        let anchor = Anchor::now();
        let mut attributes = attributes;
        attributes.push(KeyValue::new("transcribe.session.id", session.to_string()));
        let start = tracer.start("session.start", anchor.time_of(Instant::now()), attributes);
        Self { tracer, anchor, session, start, chunks: VecDeque::new() }
    }

    /// The session took a chunk from its inbox and handed it towards the provider.
    pub fn queued(&mut self, seq: u64, bytes: usize, end_ms: u64, received: Instant) {
        if self.chunks.len() == BOUND {
            self.chunks.pop_front();
        }
        let queued = Instant::now();
        self.chunks.push_back(Stages { seq, bytes, end_ms, received, queued, sent: None });
    }

    /// The provider's connection wrote the chunk; returns how long after its arrival, the first
    /// time.
    pub fn sent(&mut self, seq: u64, at: Instant) -> Option<Duration> {
        let index = self.chunks.partition_point(|chunk| chunk.seq < seq);
        let chunk = self.chunks.get_mut(index).filter(|chunk| chunk.seq == seq)?;
        if chunk.sent.is_some() {
            return None;
        }
        chunk.sent = Some(at);
        Some(at.saturating_duration_since(chunk.received))
    }

    /// A final, or silence, covered everything up to `until_ms`.
    ///
    /// Only what was sent can have been heard: a chunk that straddles waits for the next final.
    pub fn covered(&mut self, until_ms: u64, n: Option<u64>) -> Option<Delivery> {
        let heard = |chunk: &Stages| chunk.end_ms <= until_ms && chunk.sent.is_some();
        let count = self.chunks.iter().take_while(|chunk| heard(chunk)).count();
        if count == 0 {
            return None;
        }
        let chunks = self.chunks.drain(..count).collect();
        let name = if n.is_some() { "utterance" } else { "silence" };
        Some(Delivery(Some(self.group(name, chunks, Some(Instant::now()), n))))
    }

    fn group(
        &self,
        name: &'static str,
        chunks: Vec<Stages>,
        transcribed: Option<Instant>,
        n: Option<u64>,
    ) -> Group {
        Group {
            name,
            tracer: self.tracer.clone(),
            anchor: self.anchor,
            session: self.session,
            start: self.start.clone(),
            chunks,
            transcribed,
            n,
        }
    }
}

impl Drop for SessionTrace {
    /// Chunks that the end of the session left without a final are not left without a span.
    fn drop(&mut self) {
        let chunks: Vec<_> = std::mem::take(&mut self.chunks).into();
        if !chunks.is_empty() {
            let group = self.group("untranscribed", chunks, None, None);
            group.write(None, &Status::error("untranscribed"));
        }
    }
}

/// Chunks that came to the same end.
#[derive(Debug)]
struct Group {
    name: &'static str,
    tracer: Tracer,
    anchor: Anchor,
    session: SessionId,
    start: SpanContext,
    chunks: Vec<Stages>,
    transcribed: Option<Instant>,
    n: Option<u64>,
}

/// The chunks under one final on their last stage; writes their spans when it is over.
#[derive(Debug)]
pub struct Delivery(Option<Group>);

impl Delivery {
    /// The final was written to the client's transport.
    pub fn delivered(mut self) {
        if let Some(group) = self.0.take() {
            group.write(Some(Instant::now()), &Status::Unset);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            group.write(None, &Status::error("undelivered"));
        }
    }
}

impl Group {
    /// Writes the tree of spans; a stage that never came has no attribute.
    fn write(self, delivered: Option<Instant>, status: &Status) {
        let end = delivered.unwrap_or_else(Instant::now);
        let first = self.chunks.first().map_or(end, |chunk| chunk.received);
        let mut attributes = vec![
            KeyValue::new("transcribe.session.id", self.session.to_string()),
            KeyValue::new("transcribe.chunks", self.chunks.len() as i64),
        ];
        if let Some(n) = self.n {
            attributes.push(KeyValue::new("transcribe.final.n", n as i64));
        }
        let root = Record {
            name: self.name,
            start: self.anchor.time_of(first),
            end: self.anchor.time_of(end),
            attributes,
            status: status.clone(),
        };
        let child = |chunk| self.record(chunk, delivered, end, status);
        let children = self.chunks.iter().map(child).collect();
        self.tracer.tree(&self.start, root, children);
    }

    fn record(
        &self,
        chunk: &Stages,
        delivered: Option<Instant>,
        end: Instant,
        status: &Status,
    ) -> Record {
        let stages = [
            ("transcribe.chunk.received_unix_ns", Some(chunk.received)),
            ("transcribe.chunk.queued_unix_ns", Some(chunk.queued)),
            ("transcribe.chunk.sent_unix_ns", chunk.sent),
            ("transcribe.chunk.transcribed_unix_ns", self.transcribed),
            ("transcribe.chunk.delivered_unix_ns", delivered),
        ];
        let mut attributes = vec![
            KeyValue::new("transcribe.chunk.seq", chunk.seq as i64),
            KeyValue::new("transcribe.chunk.bytes", chunk.bytes as i64),
            KeyValue::new("transcribe.chunk.end_ms", chunk.end_ms as i64),
        ];
        attributes.extend(
            stages.into_iter().filter_map(|(name, at)| Some(KeyValue::new(name, self.ns(at?)))),
        );
        Record {
            name: "audio.chunk",
            start: self.anchor.time_of(chunk.received),
            end: self.anchor.time_of(end),
            attributes,
            status: status.clone(),
        }
    }

    /// Nanoseconds since 1970.
    fn ns(&self, at: Instant) -> i64 {
        let since = self.anchor.time_of(at).duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }
}
