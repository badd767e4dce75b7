//! AssemblyAI's transcription of recordings: an upload, a transcript that is made of it, and looking
//! until it is done.
//!
//! Wire facts: <https://www.assemblyai.com/docs/api-reference>.

mod heard;

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::heard::Job;
use crate::{
    outbound::{Answer, Call, Outbound, Peer, Repeat, class_of},
    providers::{
        ErrorClass, ProviderError,
        recorded::{RecordedOptions, Recording, Transcription},
    },
};

/// Most bytes of an upload.
pub const MOST_BYTES: u64 = 2_200_000_000;
/// The name of what it uses where nobody says.
pub const USUAL_MODEL: &str = "universal";
/// Most bytes of an answer: hours of speech with every word's times.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How often to look: short recordings are done soon, long ones are looked at as the SDKs do.
const FIRST_LOOK: Duration = Duration::from_millis(500);
const USUAL_LOOK: Duration = Duration::from_secs(3);
/// How long one look may take.
const LOOK_TIME: Duration = Duration::from_secs(30);

/// Recordings to one AssemblyAI account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorded {
    key: SecretString,
    peer: Peer,
}

#[derive(Deserialize)]
struct Uploaded {
    upload_url: String,
}

impl Recorded {
    /// A client for that account.
    pub fn new(key: SecretString, base: &str, outbound: &Outbound) -> Self {
        Self { key, peer: outbound.peer(super::PROVIDER, base) }
    }

    /// Uploads it, has it transcribed, and waits for what was heard.
    pub async fn transcribe(
        &self,
        recording: &Recording,
        options: &RecordedOptions,
        total: Duration,
    ) -> Result<Transcription, ProviderError> {
        let until = Instant::now() + total;
        let left = || until.saturating_duration_since(Instant::now());
        let upload = Call::post("upload", "/v2/upload")
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .file(recording.path.clone())
            .repeat(Repeat::Always)
            .total(left());
        let Uploaded { upload_url } = self.send(upload).await?.json()?;
        let create = Call::post("create", "/v2/transcript").json(&wanted(&upload_url, options));
        let job: Job = self.send(create.total(left())).await?.json()?;
        self.watch(job, until).await?.into_transcription(options)
    }

    /// Looks until it is over. A look that fails is not the end of a job that is paid for.
    async fn watch(&self, mut job: Job, until: Instant) -> Result<Job, ProviderError> {
        let path = format!("/v2/transcript/{}", plain(&job.id)?);
        let left = || until.saturating_duration_since(Instant::now());
        let (mut look, mut told) = (FIRST_LOOK, Duration::ZERO);
        while !job.is_over() {
            sleep(look.max(told).min(left())).await;
            (look, told) = ((look * 2).min(USUAL_LOOK), Duration::ZERO);
            let call = Call::get("look", path.clone()).most_bytes(ANSWER_BYTES);
            match self.send(call.total(left().min(LOOK_TIME))).await {
                Ok(answer) => job = answer.json()?,
                Err(error) if error.class.retryable() && !left().is_zero() => {
                    told = error.retry_after.unwrap_or_default();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(job)
    }

    async fn send(&self, call: Call) -> Result<Answer, ProviderError> {
        let call = call.header(header::AUTHORIZATION, self.key.expose_secret());
        self.peer.send(&call, judge).await
    }
}

/// An id that may stand in a path.
fn plain(id: &str) -> Result<&str, ProviderError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let good = !id.is_empty() && id.len() <= 100 && id.bytes().all(is_plain);
    good.then_some(id).ok_or_else(|| crate::outbound::protocol("an id that is none"))
}

/// What the service always asked for, and what the caller wants.
fn wanted(audio_url: &str, options: &RecordedOptions) -> Value {
    let mut body = json!({
        "audio_url": audio_url,
        "punctuate": true,
        "format_text": true,
        "speaker_labels": true,
        "auto_highlights": true,
    });
    match &options.language {
        Some(language) => body["language_code"] = json!(language.replace('-', "_").to_lowercase()),
        None => body["language_detection"] = json!(true),
    }
    if let Some(model) = options.model.as_ref().filter(|model| *model != USUAL_MODEL) {
        body["speech_models"] = json!([model]);
    }
    if !options.keyterms.is_empty() {
        body["keyterms_prompt"] = json!(options.keyterms);
    }
    body
}

/// An empty account is told as a bad request.
fn judge(status: StatusCode, _: &HeaderMap, body: &[u8]) -> ProviderError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = body["error"].as_str().unwrap_or_default().to_owned();
    let broke = status == StatusCode::BAD_REQUEST && detail.contains("balance is negative");
    let class = if broke { ErrorClass::Payment } else { class_of(status) };
    ProviderError::new(class, format!("http_{}", status.as_u16()), detail)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{
        Router,
        extract::Request,
        response::{IntoResponse, Response},
    };

    use super::*;
    use crate::telemetry::Metrics;

    /// What looks are answered, one after the other.
    const LOOKS: [(u16, &str); 3] = [
        (503, r#"{"error":"come back later"}"#),
        (502, "<html>"),
        (200, r#"{"id":"a1","status":"completed","text":"Hi.","audio_duration":1}"#),
    ];

    fn answer(looks: &AtomicUsize, request: &Request) -> Response {
        let body = match request.uri().path() {
            "/v2/upload" => r#"{"upload_url":"https://cdn.example/u1"}"#,
            "/v2/transcript" => r#"{"id":"a1","status":"queued"}"#,
            "/v2/transcript/a1" => {
                let (status, body) = LOOKS[looks.fetch_add(1, Ordering::SeqCst).min(2)];
                let status = StatusCode::from_u16(status).unwrap();
                // So that the look itself is not made again.
                return (status, [("x-should-retry", "false")], body).into_response();
            }
            path => panic!("nobody asks for {path}"),
        };
        body.into_response()
    }

    #[tokio::test]
    async fn a_look_that_fails_does_not_lose_the_job() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let looks = Arc::new(AtomicUsize::new(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let counted = looks.clone();
        let routes =
            Router::new().fallback(async move |request: Request| answer(&counted, &request));
        #[expect(clippy::disallowed_methods, reason = "the server ends with the test")]
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let outbound = Outbound::new(&Metrics::new().unwrap()).unwrap();
        let path = std::env::temp_dir().join(format!("look-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, "sound").unwrap();
        let recording = Recording {
            path: path.clone(),
            bytes: 5,
            file_name: "audio.wav".into(),
            media_type: "audio/wav",
            duration_ms: None,
        };
        let heard = Recorded::new(SecretString::from("key"), &base, &outbound)
            .transcribe(&recording, &RecordedOptions::default(), Duration::from_secs(60))
            .await;
        std::fs::remove_file(path).unwrap();
        assert_eq!(heard.unwrap().transcript, "Hi.");
        assert_eq!(looks.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn an_empty_account_is_not_the_callers_fault() {
        let of = |status, text: &str| {
            let body = json!({ "error": text }).to_string();
            judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()).class
        };
        let broke = "Your current account balance is negative. Please top up to continue.";
        assert_eq!(of(400, broke), ErrorClass::Payment);
        assert_eq!(of(400, "language_code is unknown"), ErrorClass::BadRequest);
        assert_eq!(of(401, "Authentication error"), ErrorClass::Credentials);
    }

    #[test]
    fn an_id_cannot_leave_its_path() {
        assert!(plain("9ea68fd3-f953-42c1-9742-976c447fb463").is_ok());
        for id in ["", "../v2/account", "a/b", "a?b"] {
            assert_eq!(plain(id).unwrap_err().class, ErrorClass::Protocol, "{id}");
        }
    }
}
