//! Who may open a session, and with what.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{Response as Answer, StatusCode};

use super::Shared;
use super::fault::Refusal;
use super::session::Session;
use crate::deepgram::Query;
use crate::wait::lock;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);

const MODELS: [&str; 2] = ["universal-streaming-english", "universal-streaming-multilingual"];

/// What a client asked for, and was granted.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) query: Query,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) bytes_per_second: u64,
    pub(crate) formatted: bool,
    pub(crate) turn_silence: Option<Duration>,
}

/// Lets a client in, and serves it to the end.
pub(crate) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut admitted = None;
    let refusal = lock(&shared.faults).refusals.pop_front();
    // An error response is as large as the library makes it.
    #[expect(clippy::result_large_err, reason = "the library's own type of a refusal")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        admitted = Some(admit(request, refusal.as_ref())?);
        Ok(response)
    };
    let accepted = timeout(PATIENCE, tokio_tungstenite::accept_hdr_async(stream, check)).await;
    match (accepted, admitted) {
        (Ok(Ok(ws)), Some(admission)) => open(ws, admission, refusal, &shared).await,
        _ => shared.book.update(|book| book.refused += 1),
    }
}

#[expect(clippy::result_large_err, reason = "the library's own type of a refusal")]
fn admit(request: &Request, refusal: Option<&Refusal>) -> Result<Admission, ErrorResponse> {
    if let Some(Refusal::Status(status, body)) = refusal {
        return Err(answer(*status, body));
    }
    if request.uri().path() != "/v3/ws" {
        return Err(answer(404, "Not found"));
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let pairs = request.headers().iter();
    let pair = |(name, value): (&_, &tokio_tungstenite::tungstenite::http::HeaderValue)| {
        let name: &tokio_tungstenite::tungstenite::http::HeaderName = name;
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers: Vec<_> = pairs.map(pair).collect();
    granted(query, headers).map_err(|why| answer(400, &format!(r#"{{"error":"{why}"}}"#)))
}

fn granted(query: Query, headers: Vec<(String, String)>) -> Result<Admission, &'static str> {
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<u64>().ok());
    let bytes_per_sample = match query.get("encoding").unwrap_or("pcm_s16le") {
        "pcm_s16le" => 2,
        "pcm_mulaw" => 1,
        _ => return Err("unknown encoding"),
    };
    let hertz = number("sample_rate").filter(|hertz| *hertz > 0).ok_or("no sample_rate")?;
    if query.get("speech_model").is_some_and(|model| !MODELS.contains(&model)) {
        return Err("unknown speech_model");
    }
    let terms = query.get("keyterms_prompt").unwrap_or("[]");
    let terms: Vec<String> = serde_json::from_str(terms).map_err(|_| "keyterms_prompt")?;
    if terms.len() > 100 || terms.iter().any(|term| term.chars().count() > 50) {
        return Err("too many or too long keyterms");
    }
    Ok(Admission {
        bytes_per_second: hertz * bytes_per_sample,
        formatted: query.get("format_turns").is_some_and(|flag| flag.eq_ignore_ascii_case("true")),
        turn_silence: number("max_turn_silence").map(Duration::from_millis),
        query,
        headers,
    })
}

fn answer(status: u16, body: &str) -> ErrorResponse {
    let mut answer = Answer::new(Some(body.to_owned()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    answer
}

/// The key is looked at after the upgrade, as the real service does.
async fn open(
    ws: WebSocketStream<TcpStream>,
    admission: Admission,
    refusal: Option<Refusal>,
    shared: &Arc<Shared>,
) {
    let turned_away = match refusal {
        Some(Refusal::Close(code, reason)) => Some((code, reason)),
        Some(Refusal::Hang) => return std::future::pending().await,
        _ => shared.objection(&admission).map(|reason| (1008, reason.to_owned())),
    };
    match turned_away {
        Some((code, reason)) => {
            shared.book.update(|book| book.refused += 1);
            super::session::turn_away(ws, code, reason).await;
        }
        None => Box::pin(Session::open(ws, admission, Arc::clone(shared)).run()).await,
    }
}
