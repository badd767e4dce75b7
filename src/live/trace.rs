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
        Some(Delivery(Some(Utterance {
            tracer: self.tracer.clone(),
            anchor: self.anchor,
            session: self.session,
            start: self.start.clone(),
            chunks,
            transcribed: Instant::now(),
            n,
        })))
    }
}

#[derive(Debug)]
struct Utterance {
    tracer: Tracer,
    anchor: Anchor,
    session: SessionId,
    start: SpanContext,
    chunks: Vec<Stages>,
    transcribed: Instant,
    n: Option<u64>,
}

/// The chunks under one final on their last stage; writes their spans when it is over.
#[derive(Debug)]
pub struct Delivery(Option<Utterance>);

impl Delivery {
    /// The final was written to the client's transport.
    pub fn delivered(mut self) {
        if let Some(utterance) = self.0.take() {
            utterance.write(Instant::now(), Status::Unset);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(utterance) = self.0.take() {
            utterance.write(Instant::now(), Status::error("undelivered"));
        }
    }
}

impl Utterance {
    fn write(self, delivered: Instant, status: Status) {
        let first = self.chunks.first().map_or(self.transcribed, |chunk| chunk.received);
        let mut attributes = vec![
            KeyValue::new("transcribe.session.id", self.session.to_string()),
            KeyValue::new("transcribe.chunks", self.chunks.len() as i64),
        ];
        if let Some(n) = self.n {
            attributes.push(KeyValue::new("transcribe.final.n", n as i64));
        }
        let root = Record {
            name: if self.n.is_some() { "utterance" } else { "silence" },
            start: self.anchor.time_of(first),
            end: self.anchor.time_of(delivered),
            attributes,
            status: status.clone(),
        };
        let children =
            self.chunks.iter().map(|chunk| self.record(chunk, delivered, &status)).collect();
        self.tracer.tree(&self.start, root, children);
    }

    fn record(&self, chunk: &Stages, delivered: Instant, status: &Status) -> Record {
        let sent = chunk.sent.unwrap_or(self.transcribed);
        let stage = |name: &'static str, at: Instant| {
            let since = self.anchor.time_of(at).duration_since(UNIX_EPOCH).unwrap_or_default();
            KeyValue::new(name, i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
        };
        Record {
            name: "audio.chunk",
            start: self.anchor.time_of(chunk.received),
            end: self.anchor.time_of(delivered),
            attributes: vec![
                KeyValue::new("transcribe.chunk.seq", chunk.seq as i64),
                KeyValue::new("transcribe.chunk.bytes", chunk.bytes as i64),
                KeyValue::new("transcribe.chunk.end_ms", chunk.end_ms as i64),
                stage("transcribe.chunk.received_unix_ns", chunk.received),
                stage("transcribe.chunk.queued_unix_ns", chunk.queued),
                stage("transcribe.chunk.sent_unix_ns", sent),
                stage("transcribe.chunk.transcribed_unix_ns", self.transcribed),
                stage("transcribe.chunk.delivered_unix_ns", delivered),
            ],
            status: status.clone(),
        }
    }
}
