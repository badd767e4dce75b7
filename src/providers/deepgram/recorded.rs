//! Deepgram's transcription of recordings: one request, the file as its body.
//!
//! Wire facts: <https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded>.

mod heard;

use std::time::Duration;

use axum::http::header;
use secrecy::ExposeSecret;

use super::{handshake::judge, model};
use crate::{
    config::DeepgramConfig,
    outbound::{Call, Outbound, Peer},
    providers::{
        ProviderError,
        recorded::{RecordedOptions, Recording, Transcription},
    },
};

/// Most bytes of one request: 2 GB.
pub const MOST_BYTES: u64 = 2_000_000_000;
/// Most bytes of an answer: hours of speech with every word's times.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// What the service listened for where nobody said, since it began with doctors.
const MEDICAL: [&str; 5] = ["medical", "doctor", "patient", "diagnosis", "treatment"];

/// Recordings to one Deepgram project. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorded {
    config: DeepgramConfig,
    peer: Peer,
}

impl Recorded {
    /// A client for that project.
    pub fn new(config: DeepgramConfig, outbound: &Outbound) -> Self {
        let peer = outbound.peer(super::PROVIDER, &config.base_url);
        Self { config, peer }
    }

    /// The model that these options would use.
    pub fn model_for(&self, options: &RecordedOptions) -> String {
        options.model.clone().unwrap_or_else(|| self.config.model.clone())
    }

    /// Sends it and waits for what was heard.
    pub async fn transcribe(
        &self,
        recording: &Recording,
        options: &RecordedOptions,
        total: Duration,
    ) -> Result<Transcription, ProviderError> {
        let model = self.model_for(options);
        let token = format!("Token {}", self.config.api_key.expose_secret());
        let call = Call::post("transcribe", format!("/v1/listen?{}", query(&model, options)))
            .header(header::AUTHORIZATION, &token)
            .header(header::CONTENT_TYPE, recording.media_type)
            .file(recording.path.clone())
            .total(total)
            .most_bytes(ANSWER_BYTES);
        let answer = self.peer.send(&call, judge).await?;
        heard::read(&answer, model, options)
    }
}

/// Where there are parameters in Deepgram's own words, they are all that is asked for.
fn query(model: &str, options: &RecordedOptions) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !options.extra.is_empty() {
        query.extend_pairs(&options.extra);
        return query.finish();
    }
    query.append_pair("model", model);
    match &options.language {
        Some(language) => query.append_pair("language", language),
        None => query.append_pair("detect_language", "true"),
    };
    for (name, wanted) in [
        ("diarize", options.diarize),
        ("paragraphs", options.paragraphs),
        ("punctuate", options.punctuate),
        ("smart_format", true),
        ("utterances", options.diarize),
    ] {
        query.append_pair(name, if wanted { "true" } else { "false" });
    }
    if model::takes_keyterm(model) {
        query.extend_pairs(options.keyterms.iter().map(|term| ("keyterm", term)));
    } else if !options.keyterms.is_empty() {
        query.extend_pairs(options.keyterms.iter().map(|term| ("keywords", term)));
    } else if !options.diarize {
        query.extend_pairs(MEDICAL.map(|term| ("keywords", term)));
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_what_the_service_always_asked() {
        let options = RecordedOptions {
            language: Some("en".into()),
            punctuate: true,
            ..RecordedOptions::default()
        };
        assert_eq!(
            query("nova-2", &options),
            "model=nova-2&language=en&diarize=false&paragraphs=false&punctuate=true\
             &smart_format=true&utterances=false&keywords=medical&keywords=doctor\
             &keywords=patient&keywords=diagnosis&keywords=treatment"
        );
        let diarized = query("nova-2", &RecordedOptions { diarize: true, ..options.clone() });
        assert!(diarized.contains("utterances=true") && !diarized.contains("keywords"));
        assert!(!query("nova-3", &options).contains("key"), "nova-3 refuses keywords");
        let named = RecordedOptions { keyterms: vec!["Ross & Co".into()], ..options.clone() };
        assert!(query("nova-3", &named).ends_with("&keyterm=Ross+%26+Co"));
        let unknown = RecordedOptions { language: None, ..options.clone() };
        assert!(query("nova-2", &unknown).contains("detect_language=true"));
        let own = RecordedOptions { extra: vec![("topics".into(), "true".into())], ..options };
        assert_eq!(query("nova-2", &own), "topics=true");
    }
}
