//! An OTLP/HTTP receiver that keeps the spans it is sent.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as ProtoSpan;
use opentelemetry_proto::tonic::trace::v1::span::Link as ProtoLink;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::speech::hex;
use crate::tasks::Tasks;
use crate::wait::Watched;

/// Spans kept; later ones are only counted.
const KEPT_SPANS: usize = 1_000_000;

/// A span as it was exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// Its trace, 32 hex digits.
    pub trace_id: String,
    /// Its id, 16 hex digits.
    pub span_id: String,
    /// Its parent's id; `None` for a root.
    pub parent_id: Option<String>,
    /// OTLP kind: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// Start, in nanoseconds since 1970.
    pub start_ns: u64,
    /// End, in nanoseconds since 1970.
    pub end_ns: u64,
    /// Its attributes as JSON.
    pub attributes: BTreeMap<String, Value>,
    /// Spans it points at.
    pub links: Vec<Link>,
    /// Its events' names.
    pub events: Vec<String>,
    /// OTLP status: 0 unset, 1 ok, 2 error; and its message.
    pub status: (i32, String),
    /// Attributes of the process that exported it.
    pub resource: BTreeMap<String, Value>,
}

impl Span {
    /// How long it took.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end_ns.saturating_sub(self.start_ns))
    }
}

/// A pointer to another span.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its trace, 32 hex digits.
    pub trace_id: String,
    /// Its id, 16 hex digits.
    pub span_id: String,
    /// The link's attributes as JSON.
    pub attributes: BTreeMap<String, Value>,
}

#[derive(Debug)]
struct Store {
    spans: Watched<Vec<Span>>,
    exports: AtomicU64,
    /// What exports are answered with; 200 unless told.
    status: AtomicU16,
}

/// A running receiver; dropping it ends it.
#[derive(Debug)]
pub struct Receiver {
    url: String,
    store: Arc<Store>,
    _tasks: Tasks,
}

impl Receiver {
    /// Listens on a free port of loopback.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let spans = Watched::new(Vec::new());
        let store =
            Arc::new(Store { spans, exports: AtomicU64::new(0), status: AtomicU16::new(200) });
        let router = Router::new().route("/v1/traces", post(export)).with_state(Arc::clone(&store));
        let tasks = Tasks::new();
        // Serving only ends with the task.
        tasks.spawner().spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, store, _tasks: tasks })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`: without `/v1/traces`.
    pub fn endpoint(&self) -> &str {
        &self.url
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        self.store.spans.read(Clone::clone)
    }

    /// Requests so far, refused ones included.
    pub fn exports(&self) -> u64 {
        self.store.exports.load(Ordering::Relaxed)
    }

    /// Answers exports with that status from now on; anything but 200 keeps no spans.
    pub fn answer_with(&self, status: u16) {
        self.store.status.store(status, Ordering::Relaxed);
    }

    /// Forgets all spans.
    pub fn clear(&self) {
        self.store.spans.update(Vec::clear);
    }

    /// Waits until the spans fit, and returns them as they are then.
    pub async fn wait_for(
        &self,
        deadline: Duration,
        fit: impl Fn(&[Span]) -> bool,
    ) -> anyhow::Result<Vec<Span>> {
        let find = |spans: &Vec<Span>| fit(spans).then(|| spans.clone());
        let describe = |spans: &Vec<Span>| {
            let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).take(50).collect();
            format!("{} spans: {}", spans.len(), names.join(", "))
        };
        self.store.spans.wait(deadline, find, describe).await
    }
}

async fn export(State(store): State<Arc<Store>>, body: Bytes) -> Response {
    store.exports.fetch_add(1, Ordering::Relaxed);
    let status = store.status.load(Ordering::Relaxed);
    if status != 200 {
        return StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY).into_response();
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let received = read_spans(request);
    keep(&received);
    store.spans.update(|spans| {
        let room = KEPT_SPANS.saturating_sub(spans.len());
        spans.extend(received.into_iter().take(room));
    });
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    ([(header::CONTENT_TYPE, "application/x-protobuf")], answer).into_response()
}

/// Keeps what spans say in the folder `SUITE_OUTPUT`, which is searched for secrets, if there is one.
fn keep(spans: &[Span]) {
    let Some(folder) = std::env::var_os("SUITE_OUTPUT").map(PathBuf::from) else { return };
    let said = |span: &Span| {
        format!("{} {:?} {:?} {:?}\n", span.name, span.attributes, span.events, span.status)
    };
    let text: String = spans.iter().map(said).collect();
    let name = format!("spans-{}.txt", std::process::id());
    let file = OpenOptions::new().append(true).create(true).open(folder.join(name));
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    assert!(written.is_ok(), "SUITE_OUTPUT is a folder: {written:?}");
}

fn read_spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for process in request.resource_spans {
        let resource =
            read_attributes(process.resource.map(|found| found.attributes).unwrap_or_default());
        for scope in process.scope_spans {
            spans.extend(scope.spans.into_iter().map(|span| read_span(span, resource.clone())));
        }
    }
    spans
}

fn read_span(span: ProtoSpan, resource: BTreeMap<String, Value>) -> Span {
    let status = span.status.map(|status| (status.code, status.message)).unwrap_or_default();
    Span {
        name: span.name,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
        kind: span.kind,
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
        attributes: read_attributes(span.attributes),
        links: span.links.into_iter().map(read_link).collect(),
        events: span.events.into_iter().map(|event| event.name).collect(),
        status,
        resource,
    }
}

fn read_link(link: ProtoLink) -> Link {
    Link {
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
        attributes: read_attributes(link.attributes),
    }
}

fn read_attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|pair| (pair.key, read_value(pair.value))).collect()
}

fn read_value(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(truth)) => json!(truth),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::BytesValue(bytes)) => json!(hex(&bytes)),
        Some(Any::ArrayValue(array)) => {
            array.values.into_iter().map(|value| read_value(Some(value))).collect()
        }
        Some(Any::KvlistValue(list)) => json!(read_attributes(list.values)),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;
