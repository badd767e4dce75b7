//! `POST /transcriptions/transcribe-and-translate`: what is heard goes on to a translator.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{answer, upload::Form};
use crate::{
    auth::Caller,
    idempotency::Answer,
    model::Error,
    providers::{
        recorded::{Stretch, Transcription},
        translator::Translator,
    },
    translation::{self, Translations},
};

/// What follows a transcription.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who translates, into which language; nobody where that is not asked for.
    then: Option<(Translator, String)>,
    /// What the caller named as the recording's language.
    source: String,
}

/// Who transcribes: whoever the contract does not know is Deepgram.
pub fn transcriber(form: &Form) -> &'static str {
    match form.text("transcript_model") {
        Some("whisper") => "whisper",
        Some("assemblyai") => "assemblyai",
        _ => "deepgram",
    }
}

impl Plan {
    /// Reads the fields; nothing is begun where the translator is not there.
    pub fn read(form: &Form, translations: &Translations) -> Result<Option<Self>, Error> {
        let source = form.text("language").unwrap_or("en").to_owned();
        let wanted = form.text("translate").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        if !wanted {
            return Ok(Some(Self { then: None, source }));
        }
        let translator = match form.text("translation_model").unwrap_or("google") {
            "google" => &translations.translators.google,
            "openai" => &translations.translators.openai,
            _ => {
                let text = "Invalid translation model. Must be \"google\" or \"openai\"";
                return Err(Error::invalid(text));
            }
        };
        if let Some(why) = translator.absent() {
            return Err(translation::absent(translator.name(), why));
        }
        let target =
            translation::language("target_language", form.text("target_language").unwrap_or("en"))?;
        Ok(Some(Self { then: Some((translator.clone(), target)), source }))
    }

    /// Has it translated and tells both.
    pub async fn finish(
        self,
        translations: &Translations,
        heard: &Transcription,
        caller: Caller,
        (endpoint, act): (&'static str, Uuid),
    ) -> Result<Answer, Error> {
        let text = &heard.transcript;
        let translated = match self.then {
            Some(_) if text.trim().is_empty() => Some(String::new()),
            Some((translator, target)) => {
                let source = heard.language.as_deref().unwrap_or(&self.source);
                let asked = translation::Asked::new(text, source, &target, Vec::new(), false)?;
                let made = translations
                    .translate(&translator, asked, caller, (endpoint, beside(act)))
                    .await?;
                Some(made.text)
            }
            None => None,
        };
        let told: Vec<Value> = heard.segments.iter().map(stretch).collect();
        let body = json!({
            "formatted_transcript_array": told, "transcript": text, "translated_text": translated });
        Ok(Answer::new("application/json", answer::text(&body)?))
    }
}

/// The id of the second act of two that are asked for together.
const fn beside(act: Uuid) -> Uuid {
    Uuid::from_u128(act.as_u128() ^ 1)
}

fn stretch(stretch: &Stretch) -> Value {
    let seconds = answer::seconds;
    let mut told = json!({
        "text": stretch.text, "start": seconds(stretch.start_ms), "end": seconds(stretch.end_ms) });
    if let Some(speaker) = stretch.speaker {
        told["speaker"] = format!("Speaker_{speaker}").into();
    }
    told
}
