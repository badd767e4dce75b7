//! Spans written afterwards from facts: a sampled chunk costs a few numbers, an unsampled one nothing.

use std::time::{Instant, SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{
        Link, Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan};

/// Writes spans of sampled sessions, where an exporter is configured.
#[derive(Clone, Debug)]
pub struct Tracer {
    tracer: SdkTracer,
    sample_ratio: f64,
}

/// Ties the monotonic clock, which facts are taken with, to the wall clock, which spans carry.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    instant: Instant,
    time: SystemTime,
}

impl Anchor {
    /// Both clocks, now.
    pub fn now() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now() }
    }

    /// The wall-clock time of an instant.
    pub fn time_of(&self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.instant) {
            Some(later) => self.time + later,
            None => self.time - self.instant.duration_since(at),
        }
    }
}

impl Tracer {
    /// A tracer of that provider; `sample_ratio` is the share of sessions that are traced.
    pub fn new(provider: &SdkTracerProvider, sample_ratio: f64) -> Self {
        Self { tracer: provider.tracer("audio_transcription_api"), sample_ratio }
    }

    /// Decides once for a whole session, so that its parts are traced alike.
    pub fn samples(&self) -> bool {
        rand::random::<f64>() < self.sample_ratio
    }

    /// Writes the span of a session's start; everything later links to it.
    pub fn start(
        &self,
        name: &'static str,
        at: SystemTime,
        attributes: Vec<KeyValue>,
    ) -> SpanContext {
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server);
        let mut span = builder
            .with_start_time(at)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &Context::new());
        let context = span.span_context().clone();
        span.end();
        context
    }

    /// Begins the span of a call to somebody else, whom its header tells.
    pub fn outgoing(&self, attributes: Vec<KeyValue>) -> Outgoing {
        let builder = self.tracer.span_builder("provider.call").with_kind(SpanKind::Client);
        let builder = builder.with_attributes(attributes);
        Outgoing { span: builder.start_with_context(&self.tracer, &Context::new()) }
    }

    /// Writes a root span and its children, all of them over.
    pub fn tree(&self, link: &SpanContext, root: Record, children: Vec<Record>) {
        let mut span = self
            .tracer
            .span_builder(root.name)
            .with_kind(SpanKind::Internal)
            .with_start_time(root.start)
            .with_attributes(root.attributes)
            .with_links(vec![Link::with_context(link.clone())])
            .start_with_context(&self.tracer, &Context::new());
        span.set_status(root.status);
        let parent = Context::new().with_span(span);
        for child in children {
            let mut span = self
                .tracer
                .span_builder(child.name)
                .with_kind(SpanKind::Internal)
                .with_start_time(child.start)
                .with_attributes(child.attributes)
                .start_with_context(&self.tracer, &parent);
            span.set_status(child.status);
            span.end_with_timestamp(child.end);
        }
        parent.span().end_with_timestamp(root.end);
    }
}

/// A call to somebody else, until it is over.
#[derive(Debug)]
pub struct Outgoing {
    span: SdkSpan,
}

impl Outgoing {
    /// What a W3C `traceparent` header says of it.
    pub fn traceparent(&self) -> String {
        let context = self.span.span_context();
        let flags = context.trace_flags().to_u8();
        format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
    }

    /// Ends it; the word is `ok` or the class of its failure.
    pub fn end(mut self, outcome: &'static str) {
        if outcome != "ok" {
            self.span.set_status(Status::error(outcome));
        }
        self.span.end();
    }
}

/// A span that is over.
#[derive(Debug)]
pub struct Record {
    /// Name, from a fixed set.
    pub name: &'static str,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What it says; never text, audio or credentials.
    pub attributes: Vec<KeyValue>,
    /// Whether it failed.
    pub status: Status,
}
