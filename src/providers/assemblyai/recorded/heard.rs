//! A transcript as AssemblyAI tells it, running, done or failed.

use serde::Deserialize;

use crate::{
    model::Word,
    providers::{
        ErrorClass, ProviderError,
        recorded::{RecordedOptions, Stretch, Transcription},
    },
};

#[derive(Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    status: Status,
    text: Option<String>,
    confidence: Option<f64>,
    audio_duration: Option<f64>,
    language_code: Option<String>,
    speech_model_used: Option<String>,
    speech_model: Option<String>,
    error: Option<String>,
    words: Option<Vec<Spoken>>,
    utterances: Option<Vec<Utterance>>,
    auto_highlights_result: Option<Highlights>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Status {
    Queued,
    Processing,
    Completed,
    Error,
}

#[derive(Deserialize)]
struct Spoken {
    text: String,
    start: u64,
    end: u64,
    #[serde(default)]
    confidence: f32,
    speaker: Option<String>,
}

#[derive(Deserialize)]
struct Utterance {
    text: String,
    start: u64,
    end: u64,
    confidence: Option<f64>,
    speaker: Option<String>,
}

#[derive(Deserialize)]
struct Highlights {
    #[serde(default)]
    results: Vec<Highlight>,
}

#[derive(Deserialize)]
struct Highlight {
    text: String,
}

impl Job {
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Error)
    }

    pub(super) fn into_transcription(
        self,
        options: &RecordedOptions,
    ) -> Result<Transcription, ProviderError> {
        if self.status == Status::Error {
            let detail = self.error.unwrap_or_else(|| "it could not be transcribed".to_owned());
            return Err(ProviderError::new(ErrorClass::Poison, "transcript_error", detail));
        }
        let mut names = Vec::new();
        let words = self.words.unwrap_or_default();
        let words = words.into_iter().map(|spoken| spoken.into_word(&mut names)).collect();
        let utterances = self.utterances.unwrap_or_default();
        let segments = utterances.into_iter().map(|said| said.into_stretch(&mut names)).collect();
        let highlights = self.auto_highlights_result.map(|found| found.results);
        let model = self.speech_model_used.or(self.speech_model);
        Ok(Transcription {
            transcript: self.text.unwrap_or_default(),
            confidence: self.confidence,
            language: self.language_code.or_else(|| options.language.clone()),
            model: model.unwrap_or_else(|| super::USUAL_MODEL.to_owned()),
            duration_ms: self.audio_duration.map(|seconds| (seconds * 1000.0) as u64),
            words,
            segments,
            highlights: highlights.unwrap_or_default().into_iter().map(|one| one.text).collect(),
            request_id: Some(self.id),
            ..Transcription::default()
        })
    }
}

impl Spoken {
    fn into_word(self, names: &mut Vec<String>) -> Word {
        Word {
            word: Word::plain(&self.text),
            punctuated_word: Some(self.text),
            start_ms: self.start,
            end_ms: self.end.max(self.start),
            confidence: self.confidence,
            speaker: number(self.speaker, names),
        }
    }
}

impl Utterance {
    fn into_stretch(self, names: &mut Vec<String>) -> Stretch {
        Stretch {
            text: self.text,
            start_ms: self.start,
            end_ms: self.end,
            speaker: number(self.speaker, names),
            confidence: self.confidence,
        }
    }
}

/// Speakers have letters; here they are numbered as they come.
fn number(name: Option<String>, names: &mut Vec<String>) -> Option<u32> {
    let name = name?;
    let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    });
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_read_and_what_failed_is_the_audios_fault() {
        let done = r#"{"id":"a1","status":"completed","text":"Hi there.","confidence":0.9,
            "audio_duration":3,"language_code":"en_us","speech_model":null,"error":null,
            "words":[{"text":"Hi","start":0,"end":200,"confidence":0.9,"speaker":"B"},
                     {"text":"there.","start":250,"end":500,"confidence":0.8,"speaker":"A"}],
            "utterances":null,"auto_highlights_result":{"status":"success","results":[
            {"count":1,"rank":0.1,"text":"there","timestamps":[]}]}}"#;
        let job: Job = serde_json::from_str(done).unwrap();
        assert!(job.is_over());
        let heard = job.into_transcription(&RecordedOptions::default()).unwrap();
        let speakers: Vec<_> = heard.words.iter().map(|word| word.speaker).collect();
        assert_eq!(
            (speakers, heard.highlights),
            (vec![Some(0), Some(1)], vec!["there".to_owned()])
        );
        assert_eq!((heard.duration_ms, heard.model.as_str()), (Some(3_000), "universal"));
        let failed = r#"{"id":"a1","status":"error","error":"Audio duration is too short."}"#;
        let job: Job = serde_json::from_str(failed).unwrap();
        let error = job.into_transcription(&RecordedOptions::default()).unwrap_err();
        assert_eq!(
            (error.class, error.detail.as_str()),
            (ErrorClass::Poison, "Audio duration is too short.")
        );
        let running: Job = serde_json::from_str(r#"{"id":"a1","status":"queued"}"#).unwrap();
        assert!(!running.is_over());
    }
}
