//! OpenAI's transcription of recordings.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use tokio::time::timeout;

use super::judge;
use crate::{
    model::{Word, language_code},
    outbound::{Call, Events, Outbound, Part, Peer, protocol},
    providers::{
        ErrorClass, ProviderError,
        recorded::{RecordedOptions, Recording, Say, Stretch, Tokens, Transcription},
    },
};

/// The name of its route and in metrics.
pub const PROVIDER: &str = "whisper";
/// Most bytes of one file: 25 MiB, less what stands around it.
pub const MOST_BYTES: u64 = 25 * 1024 * 1024 - 64 * 1024;
/// Media types that it reads.
pub const TAKES: [&str; 8] = [
    "audio/flac",
    "audio/mpeg",
    "audio/mp4",
    "video/mp4",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "video/webm",
];
/// What models other than that one take, with some room.
const LONGEST: Duration = Duration::from_secs(23 * 60);
/// The model that takes words to listen for, and several languages.
const WITH_KEYWORDS: &str = "gpt-transcribe";
/// The model that tells times.
const WITH_TIMES: &str = "whisper-1";

/// Recordings to one OpenAI account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorded {
    key: SecretString,
    model: String,
    peer: Peer,
}

impl Recorded {
    /// A client for that account; `base` is its address with `/v1`.
    pub fn new(key: SecretString, model: &str, base: &str, outbound: &Outbound) -> Self {
        Self { key, model: model.to_owned(), peer: outbound.peer(PROVIDER, base) }
    }

    /// The model that these options would use.
    pub fn model_for(&self, options: &RecordedOptions) -> String {
        options.model.clone().unwrap_or_else(|| self.model.clone())
    }

    /// The newer models take 25 minutes.
    pub fn longest(&self, options: &RecordedOptions) -> Option<Duration> {
        (self.model_for(options) != WITH_TIMES).then_some(LONGEST)
    }

    /// Sends it and waits for what was heard.
    pub async fn transcribe(
        &self,
        recording: &Recording,
        options: &RecordedOptions,
        total: Duration,
    ) -> Result<Transcription, ProviderError> {
        let model = self.model_for(options);
        let call = Call::post("transcribe", "/audio/transcriptions")
            .bearer(&self.key)
            .multipart(parts(recording, options, &model))
            .total(total);
        let answer = self.peer.send(&call, judge).await?;
        let id = answer.header("x-request-id").map(ToOwned::to_owned);
        let heard: Heard = answer.json()?;
        let heard = heard.into_transcription(model, options);
        Ok(Transcription { request_id: id, ..heard })
    }

    /// The same, its words told as they are heard, by models that can.
    pub async fn transcribe_aloud(
        &self,
        recording: &Recording,
        options: &RecordedOptions,
        total: Duration,
        say: &Say<'_>,
    ) -> Result<Transcription, ProviderError> {
        let model = self.model_for(options);
        if model == WITH_TIMES {
            return self.transcribe(recording, options, total).await;
        }
        let mut parts = parts(recording, options, &model);
        parts.insert(0, Part::text("stream", "true"));
        let call = Call::post("transcribe_stream", "/audio/transcriptions")
            .bearer(&self.key)
            .multipart(parts)
            .total(total);
        let opened = self.peer.open(&call, judge).await?;
        let late = |_| ProviderError::new(ErrorClass::Timeout, "timeout", "no answer in time");
        let heard = timeout(total, listen(Events::new(opened), say)).await.map_err(late)??;
        Ok(heard.into_transcription(model, options))
    }
}

/// Tells words until all is heard.
async fn listen(mut events: Events, say: &Say<'_>) -> Result<Heard, ProviderError> {
    while let Some(event) = events.next().await? {
        let told = serde_json::from_str(&event)
            .map_err(|error| protocol(format!("not the expected JSON: {error}")))?;
        match told {
            Told::Delta { delta } => say(&delta),
            Told::Done(heard) => return Ok(heard),
            Told::Other => {}
        }
    }
    Err(ProviderError::new(ErrorClass::Unavailable, "lost", "it broke off"))
}

/// An event of a stream.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Told {
    #[serde(rename = "transcript.text.delta")]
    Delta { delta: String },
    #[serde(rename = "transcript.text.done")]
    Done(Heard),
    #[serde(other)]
    Other,
}

fn parts(recording: &Recording, options: &RecordedOptions, model: &str) -> Vec<Part> {
    let mut parts = vec![Part::text("model", model)];
    let mut add = |name: &str, value: &str| parts.push(Part::text(name, value));
    if model == WITH_TIMES {
        add("response_format", "verbose_json");
        add("timestamp_granularities[]", "segment");
        add("timestamp_granularities[]", "word");
    } else {
        add("response_format", "json");
    }
    if let Some(language) = &options.language {
        add("language", language.split('-').next().unwrap_or(language));
    }
    if model.starts_with(WITH_KEYWORDS) {
        options.keyterms.iter().for_each(|term| add("keywords[]", term));
    }
    options.extra.iter().for_each(|(name, value)| add(name, value));
    if let Some(prompt) = &options.prompt {
        add("prompt", prompt);
    }
    if let Some(temperature) = options.temperature {
        add("temperature", &temperature.to_string());
    }
    parts.push(Part::File {
        name: "file".into(),
        path: recording.path.clone(),
        file_name: recording.file_name.clone(),
        media_type: recording.media_type,
    });
    parts
}

#[derive(Deserialize)]
struct Heard {
    text: String,
    language: Option<String>,
    #[serde(default)]
    languages: Vec<String>,
    duration: Option<f64>,
    #[serde(default)]
    segments: Vec<Segment>,
    #[serde(default)]
    words: Vec<Spoken>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Segment {
    start: f64,
    end: f64,
    text: String,
    avg_logprob: Option<f64>,
}

#[derive(Deserialize)]
struct Spoken {
    word: String,
    start: f64,
    end: f64,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

impl Heard {
    fn into_transcription(self, model: String, options: &RecordedOptions) -> Transcription {
        let segments: Vec<Stretch> = self.segments.into_iter().map(Segment::into_stretch).collect();
        let sure = mean(&segments);
        let word = |spoken: Spoken| {
            let start_ms = ms(spoken.start);
            let of = segments.iter().rev().find(|segment| segment.start_ms <= start_ms);
            Word {
                word: Word::plain(&spoken.word),
                punctuated_word: Some(spoken.word.trim().to_owned()),
                start_ms,
                end_ms: ms(spoken.end).max(start_ms),
                confidence: of.and_then(|segment| segment.confidence).unwrap_or(1.0) as f32,
                speaker: None,
            }
        };
        let words = self.words.into_iter().map(word).collect();
        let spoken = self.language.or_else(|| self.languages.into_iter().next());
        let tokens = self.usage.filter(|usage| usage.input_tokens + usage.output_tokens > 0);
        Transcription {
            transcript: self.text.trim().to_owned(),
            confidence: sure,
            language: spoken.map_or_else(
                || options.language.clone(),
                |name| Some(language_code(&name).to_owned()),
            ),
            model,
            duration_ms: self.duration.map(ms),
            words,
            segments,
            tokens: tokens.map(|usage| Tokens {
                input: usage.input_tokens,
                output: usage.output_tokens,
                ..Tokens::default()
            }),
            ..Transcription::default()
        }
    }
}

impl Segment {
    fn into_stretch(self) -> Stretch {
        let sure = self.avg_logprob.map(|log| log.exp().clamp(0.0, 1.0));
        Stretch {
            text: self.text.trim().to_owned(),
            start_ms: ms(self.start),
            end_ms: ms(self.end),
            speaker: None,
            confidence: sure,
        }
    }
}

/// The mean confidence of segments, each with the weight of its length.
fn mean(segments: &[Stretch]) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for segment in segments {
        let long = segment.end_ms.saturating_sub(segment.start_ms) as f64;
        sum += segment.confidence? * long;
        weight += long;
    }
    (weight > 0.0).then(|| sum / weight)
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verbose_answer_keeps_times_and_tells_the_language_as_a_code() {
        let body = r#"{"task":"transcribe","language":"english","duration":2.5,"text":" Hello there. ",
            "segments":[{"id":0,"seek":0,"start":0.0,"end":2.0,"text":" Hello there.","tokens":[],
            "temperature":0,"avg_logprob":-0.1,"compression_ratio":1,"no_speech_prob":0}],
            "words":[{"word":"Hello","start":0.0,"end":0.5},{"word":"there.","start":0.6,"end":1.0}],
            "usage":{"type":"duration","seconds":3}}"#;
        let heard: Heard = serde_json::from_str(body).unwrap();
        let heard = heard.into_transcription("whisper-1".into(), &RecordedOptions::default());
        assert_eq!(
            (heard.transcript.as_str(), heard.language.as_deref()),
            ("Hello there.", Some("en"))
        );
        assert_eq!((heard.duration_ms, heard.tokens), (Some(2_500), None));
        assert!(heard.confidence.is_some_and(|sure| (sure - 0.9048).abs() < 0.001));
        assert_eq!((heard.words[1].word.as_str(), heard.words[1].start_ms), ("there", 600));
    }

    #[test]
    fn a_form_has_what_its_model_takes() {
        let recording = Recording {
            path: "audio.wav".into(),
            bytes: 1,
            file_name: "audio.wav".into(),
            media_type: "audio/wav",
            duration_ms: None,
        };
        let options = RecordedOptions {
            language: Some("en-US".into()),
            keyterms: vec!["Ross".into()],
            extra: vec![("include[]".into(), "logprobs".into())],
            ..RecordedOptions::default()
        };
        let fields = |model| {
            let text = |part| match part {
                Part::Text { name, value } => Some(format!("{name}={value}")),
                Part::File { .. } => None,
            };
            parts(&recording, &options, model).into_iter().filter_map(text).collect::<Vec<_>>()
        };
        assert_eq!(
            fields("gpt-transcribe"),
            [
                "model=gpt-transcribe",
                "response_format=json",
                "language=en",
                "keywords[]=Ross",
                "include[]=logprobs"
            ]
        );
        let timed = fields("whisper-1");
        assert!(timed.contains(&"timestamp_granularities[]=word".to_owned()), "{timed:?}");
        assert!(!timed.iter().any(|field| field.starts_with("keywords")), "{timed:?}");
    }

    #[test]
    fn a_bare_answer_is_enough() {
        let body = r#"{"text":"Hola","languages":["es"],"usage":{"type":"tokens","input_tokens":10,
            "input_token_details":{"text_tokens":0,"audio_tokens":10},"output_tokens":2,"total_tokens":12}}"#;
        let heard: Heard = serde_json::from_str(body).unwrap();
        let heard = heard.into_transcription("gpt-transcribe".into(), &RecordedOptions::default());
        assert_eq!(heard.language.as_deref(), Some("es"));
        assert_eq!(heard.tokens, Some(Tokens { input: 10, cached: 0, output: 2 }));
    }
}
