//! The receiver, fed by hand.

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn post(receiver: &Receiver, body: &[u8]) -> String {
    let address = receiver.endpoint().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

fn request() -> Vec<u8> {
    let value = Some(AnyValue { value: Some(Any::IntValue(7)) });
    let span = ProtoSpan {
        name: "chunk".to_owned(),
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        start_time_unix_nano: 1000,
        end_time_unix_nano: 3000,
        attributes: vec![KeyValue { key: "seq".to_owned(), value, ..KeyValue::default() }],
        links: vec![ProtoLink {
            trace_id: vec![3; 16],
            span_id: vec![4; 8],
            ..ProtoLink::default()
        }],
        ..ProtoSpan::default()
    };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let process = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![process] }.encode_to_vec()
}

#[tokio::test]
async fn spans_are_kept() {
    let receiver = Receiver::start().await.unwrap();
    assert_eq!(post(&receiver, &request()).await, "HTTP/1.1 200 OK");
    let spans = receiver.wait_for(Duration::from_secs(5), |spans| !spans.is_empty()).await.unwrap();
    assert_eq!((spans[0].name.as_str(), spans[0].parent_id.as_ref()), ("chunk", None));
    assert_eq!(spans[0].trace_id, "01".repeat(16));
    assert_eq!(spans[0].attributes["seq"], json!(7));
    assert_eq!(spans[0].links[0].span_id, "04".repeat(8));
    assert_eq!(spans[0].duration(), Duration::from_micros(2));
    assert_eq!(post(&receiver, b"\xff\xff").await, "HTTP/1.1 400 Bad Request");
    receiver.answer_with(503);
    assert_eq!(post(&receiver, &request()).await, "HTTP/1.1 503 Service Unavailable");
    assert_eq!((receiver.spans().len(), receiver.exports()), (1, 3));
}
